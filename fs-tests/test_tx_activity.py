# SPDX-License-Identifier: Apache-2.0
#
# test_tx_activity.py - mnefs tx: locks, kinds and names of activities; who else may run it

import errno
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import threading
import time

import pytest

from harness import base_environment, eventually, fails
from txs import Tx, open_ones, with_table


@pytest.fixture
def tx(fs, cli, namespaces):
    def run(script, *options, check=None, env=None):
        words = ("tx", *options, "--", "sh", "-e", "-c", script)
        done = cli(*words, cwd=fs.path, env=env)
        assert check is None or done.returncode == check, done.stderr
        return done

    return run


def events_of(fs, work, query="all=1&system=1"):
    """What is told while work() is done."""
    fd = os.open(fs.path / ".mnefs" / f"events?{query}", os.O_RDONLY | os.O_NONBLOCK)
    work()
    text = b""
    try:
        while True:
            text += os.read(fd, 65536)
    except BlockingIOError:
        return [json.loads(line) for line in text.splitlines()][1:]
    finally:
        os.close(fd)


# --- locks ---------------------------------------------------------------------------------

INCREMENT = "n=$(cat t/n); echo $((n + 1)) > t/n"


@pytest.mark.parametrize("clients, rounds", [(2, 10), (10, 3)])
def test_with_a_lock_no_try_is_in_vain(fs, cli, tx, clients, rounds):
    (fs.table / "n").write_text("0\n")
    said = []

    def client():
        for _ in range(rounds):
            done = tx(INCREMENT, "--retries", "0", "--lock", "write t/n")
            said.append((done.returncode, done.stderr))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {status for status, _ in said} == {0}, said
    assert (fs.table / "n").read_text() == f"{clients * rounds}\n"


def test_a_lock_lost_in_the_command_is_taken_first_at_the_next_try(fs, tx, tmp_path):
    """The command asks for it itself; an older transaction has it; so it waits for it."""
    (fs.table / "n").write_text("0\n")
    with Tx(fs, "old") as old:
        old.tell("lock write t/n")
        script = f"""
            echo x >> {tmp_path}/tries
            echo 'lock write t/m' > .ctl
            echo 'lock write t/n' > .ctl
            {INCREMENT}
        """
        done = []
        runner = threading.Thread(
            target=lambda: done.append(tx(script, "--retries", "1"))
        )
        runner.start()

        def mine():
            return [name for name in open_ones(fs) if name.endswith("-2")]

        assert eventually(mine)
        status = fs.path / ".tx" / mine()[0] / ".status"
        assert eventually(lambda: "waits write t/n\nbehind old" in status.read_text())
        (old.table / "n").write_text("5\n")
        old.commit()
        runner.join()
    assert done[0].returncode == 0, done[0].stderr
    assert (tmp_path / "tries").read_text() == "x\nx\n"
    assert (fs.table / "n").read_text() == "6\n"


def test_the_age_is_kept_from_try_to_try(fs, tx, tmp_path):
    (fs.table / "n").write_text("0\n")
    script = f"""
        sed -n 's/^born //p' .status >> {tmp_path}/born
        cat t/n
        [ -e {tmp_path}/twice ] || {{ touch {tmp_path}/twice; echo 1 > {fs.store}.x; exit 0; }}
    """
    others = f"""
        while ! [ -e {tmp_path}/born ]; do sleep 0.01; done
        while ! [ -e {tmp_path}/twice ]; do echo $RANDOM > {fs.table}/n; sleep 0.01; done
    """
    other = subprocess.Popen(["bash", "-c", others])
    tx(f"{script}\n sleep 0.2; echo 2 > t/n")
    other.wait(30)
    born = (tmp_path / "born").read_text().split()
    assert len(set(born)) == 1


def test_a_lock_that_is_not_to_be_had_in_time_is_an_end(fs, tx):
    with Tx(fs, "holder") as holder:
        holder.tell("lock write t")
        begun = time.monotonic()
        done = tx("true", "--lock", "read t/a", "--lock-timeout", "1")
        assert done.returncode == 125
        assert "read t/a" in done.stderr and "holder" in done.stderr
        assert time.monotonic() - begun < 20
    assert open_ones(fs) == []


@pytest.mark.parametrize(
    "options",
    [
        ("--lock", "frobnicate t"),
        ("--lock", "write nosuch/a"),
        ("--lock", "write t/a\nabort"),
        ("--lock", ""),
        ("--lock-timeout", "soon"),
        ("--name", "two\nlines"),
        ("--kind", "ets"),
        ("--kind", "dirty"),
        ("--kind", "async_dirty", "--lock", "write t"),
        ("--kind", "async_dirty", "--dry-run"),
        ("--kind", "sync_dirty", "--sync"),
        ("--kind", "sync_dirty", "--name", "x"),
    ],
)
def test_what_cannot_be_is_refused_before_the_command_runs(fs, tx, tmp_path, options):
    done = tx(f"touch {tmp_path}/ran", *options)
    assert done.returncode == 125
    assert done.stderr.startswith("mnefs: ")
    assert not (tmp_path / "ran").exists()
    assert open_ones(fs) == []


def test_who_waits_for_a_lock_can_be_interrupted(fs, cli):
    with Tx(fs, "holder") as holder:
        holder.tell("lock write t")
        words = [cli.binary, "tx", "--lock", "write t", "--", "true"]
        with subprocess.Popen(words, cwd=fs.path) as waiting:
            assert eventually(lambda: len(open_ones(fs)) == 2)
            waiting.send_signal(signal.SIGINT)
            assert waiting.wait(20) == -signal.SIGINT
        assert eventually(lambda: open_ones(fs) == ["holder"])


# --- kinds ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["transaction", "sync_transaction"])
def test_a_transaction_is_all_or_nothing(fs, tx, kind):
    tx("echo 1 > t/a; echo 2 > t/b; false", "--kind", kind, check=1)
    assert os.listdir(fs.table) == []
    tx("echo 1 > t/a; echo 2 > t/b", "--kind", kind, check=0)
    assert sorted(os.listdir(fs.table)) == ["a", "b"]


@pytest.mark.parametrize("kind", ["async_dirty", "sync_dirty"])
def test_a_dirty_activity_is_plain_operations(fs, tx, kind):
    tx(f"echo 1 > t/a; cat {fs.table}/a; echo 2 > t/b; exit 3", "--kind", kind, check=3)
    assert sorted(os.listdir(fs.table)) == ["a", "b"]
    assert tx("kill -9 $$", "--kind", kind).returncode == 128 + 9
    done = tx("test ! -e .ctl && ls .tx", "--kind", kind, check=0)
    assert done.stdout == ""


@pytest.mark.parametrize(
    "options", [("--kind", "sync_dirty"), ("--kind", "sync_transaction"), ("--sync",)]
)
def test_d2_a_sync_kind_is_durable_when_it_returns(mount, cli, options):
    """Nothing but it has asked for a barrier."""
    fs = with_table(mount, "sync=off")

    def barriers():
        text = (fs.path / ".mnefs" / "metrics").read_text()
        lines = [line.split() for line in text.splitlines() if "barriers" in line]
        return [float(line[-1]) for line in lines if line[0] != "#"][0]

    words = ("tx", "--", "sh", "-c", "echo 1 > t/a")
    cli(*words, cwd=fs.path)
    before = barriers()
    words = ("tx", *options, "--", "sh", "-c", "echo 1 > t/a")
    assert cli(*words, cwd=fs.path).returncode == 0
    assert barriers() > before


def test_inside_a_transaction_a_dirty_activity_is_part_of_it(fs, tx, cli):
    script = f"{cli.binary} tx --kind async_dirty -- sh -c 'echo 1 > t/a'; test -e t/a; exit 9"
    tx(script, check=9)
    assert os.listdir(fs.table) == []


def test_inside_a_transaction_another_is_nested(fs, tx, cli):
    inner = f"{cli.binary} tx --lock 'write t/a' -- sh -c"
    tx(f"{inner} 'echo 1 > t/a'; {inner} 'echo 2 > t/b; false' || true", check=0)
    assert os.listdir(fs.table) == ["a"]


def test_inner_ones_that_conflict_are_run_again(fs, tx, cli):
    (fs.table / "n").write_text("0\n")
    one = f"{cli.binary} tx --retries 50 -- sh -c 'n=$(cat t/n); sleep 0.1; echo $((n + 1)) > t/n'"
    done = tx(f"{one} & {one} & {one} & wait; cat t/n", check=0)
    assert done.stdout == "3\n", done.stderr
    assert (fs.table / "n").read_text() == "3\n"


# --- names -----------------------------------------------------------------------------------


def test_the_events_of_a_commit_say_whose_it_was(fs):
    (fs.table / "gone").write_text("x")

    def work():
        (fs.table / "plain").write_text("x")
        with Tx(fs, "J") as tx:
            tx.tell('name import of "prices"')
            assert tx.values("name") == ['import of "prices"']
            (tx.table / "a").write_text("x")
            (tx.table / "gone").unlink()
            (tx.path / "u").mkdir()
            with Tx(fs, "K", at=tx.path) as inner:
                (inner.table / "b").write_text("x")
                inner.commit()
            tx.commit()
        with Tx(fs, "L") as tx:
            (tx.table / "c").write_text("x")
            tx.commit()

    told = events_of(fs, work)
    by_path = {event.get("path") or event.get("table"): event for event in told}
    mine = [by_path[path] for path in ("t/a", "t/gone", "t/b", "u")]
    assert {event["tx"] for event in mine} == {"J"}
    assert {event["activity"] for event in mine} == {'import of "prices"'}
    assert len({event["seq"] for event in mine}) == 1
    assert by_path["t/c"]["tx"] == "L" and "activity" not in by_path["t/c"]
    assert "tx" not in by_path["t/plain"]


def test_a_named_activity_is_in_the_log(fs, tx, tmp_path):
    tx("echo 1 > t/a; grep '^name nightly import$' .status", "--name", "nightly import")
    log = (fs.path / ".mnefs" / "log").read_text()
    assert "nightly import (transaction tx-" in log
    assert "committed" in log


@pytest.mark.parametrize("name", ["", "x" * 256, "\udc80"])
def test_a_name_is_a_short_line_of_text(fs, name):
    with Tx(fs) as tx:
        fd = os.open(tx.path / ".ctl", os.O_WRONLY)
        with fails(errno.EINVAL):
            os.write(fd, os.fsencode(f"name {name}"))
        os.close(fd)
        assert tx.values("name") == []
