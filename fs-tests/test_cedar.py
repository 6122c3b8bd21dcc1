# SPDX-License-Identifier: Apache-2.0
#
# test_cedar.py - what CedarSnapshot promised, line by line, as far as test_hooks.py does not
# say it: outcomes by their names, in the log, in the events and as exit codes
#
#	checkpointed, potentiallyDangerousCodeLinks         made            0, 3
#	insufficientDiskSpace, transactionsInProgress       not made        9, 8
#	rolledBack                                          rolled back     0
#	overwrittenBcd                                      not rolled back 6

import errno
import os

import pytest

from harness import fails, loop_disk, tree
from test_events import Listener
from test_hooks import Hooks

OK, PARTIAL, NOT_FOUND, EXISTS, BUSY, FULL = 0, 3, 5, 6, 8, 9


@pytest.fixture
def hooks(tmp_path):
    hooks = Hooks(tmp_path)
    hooks.add("10-first")
    hooks.add("20-second")
    return hooks


@pytest.fixture
def m(mount, hooks):
    with mount(f"hooks={hooks.dir}", "hook_timeout=5s") as m:
        m.table.mkdir()
        yield m


def calls_of(name, how):
    return [
        f"20-second prepare {name}",
        f"10-first prepare {name}",
        f"10-first after {name} {how}",
        f"20-second after {name} {how}",
    ]


def outcomes(m, act):
    """What the events say comes of it."""
    listener = Listener(m, "system=1")
    try:
        act()
        (m.path / ".mnefs/events").write_text("mark\n")
        told = listener.until("user")
    finally:
        listener.close()
    found = [(e["checkpoint"], e["outcome"]) for e in told if e["event"] == "outcome"]
    log = (m.path / ".mnefs/log").read_text()
    for name, outcome in found:
        assert f"checkpoint {name}: {outcome}" in log
    return found


def test_checkpointed_and_risky(m, hooks, cli):
    def create(name, code):
        done = cli("-C", m.path, "ck", "create", name)
        assert done.returncode == code, done.stderr

    assert outcomes(m, lambda: create("c", OK)) == [("c", "checkpointed")]
    assert hooks.calls() == calls_of("c", "ok")
    hooks.add("30-sulks", "[ $1 = after ]")
    found = outcomes(m, lambda: create("d", PARTIAL))
    assert found == [("d", "potentiallyDangerousCodeLinks")]
    shown = cli("-C", m.path, "ck", "show", "d")
    assert "potentiallyDangerousCodeLinks" in shown.stdout


def test_transactions_in_progress(m, hooks, cli):
    (m.path / ".tx/J").mkdir()

    def create():
        done = cli("-C", m.path, "ck", "create", "c", "--refuse")
        assert done.returncode == BUSY, done.stderr

    assert outcomes(m, create) == [("c", "transactionsInProgress")]
    assert hooks.calls() == calls_of("c", "failed"), "told also when it was not made"
    assert os.listdir(m.checkpoints) == []
    (m.path / ".tx/J").rmdir()
    assert cli("-C", m.path, "ck", "create", "c", "--refuse").returncode == OK


@pytest.mark.root
def test_insufficient_disk_space(make_mount, hooks, cli, tmp_path, check):
    with loop_disk(64, tmp_path / "disk") as disk:
        store = disk / "store"
        m = make_mount(store, tmp_path / "mnt", "create", f"hooks={hooks.dir}")
        m.expect_log(".")
        m.table.mkdir()
        (m.table / "f").write_text("f")
        m.checkpoint("before")
        hooks.calls()
        with open(disk / "filler", "wb") as filler:  # somebody else takes all of it
            with fails(errno.ENOSPC):
                while True:
                    filler.write(bytes(1 << 16))
                    filler.flush()
        results = []
        for n in range(3000):
            done = cli("-C", m.path, "ck", "create", f"c{n}", "--note", "n" * 1000)
            results.append(done.returncode)
            if done.returncode != OK:
                break
        assert results[-1] == FULL, done.stderr
        assert hooks.calls()[-4:] == calls_of(f"c{n}", "failed")
        assert f"checkpoint c{n}: insufficientDiskSpace" in (m.path / ".mnefs/log").read_text()
        assert f"c{n}" not in os.listdir(m.checkpoints)
        assert (m.checkpoints / "before/t/f").read_text() == "f"
        m.unmount(check=False)
        (disk / "filler").unlink()
        check(store)


def test_rolled_back_and_what_is_not_there(m, hooks, cli):
    (m.table / "f").write_text("then")
    m.checkpoint("c")
    (m.table / "f").write_text("now")
    hooks.calls()

    def roll(name, code):
        done = cli("-C", m.path, "rollback", name)
        assert done.returncode == code, done.stderr

    assert outcomes(m, lambda: roll("none", NOT_FOUND)) == []
    assert hooks.calls() == [] and (m.table / "f").read_text() == "now"
    assert outcomes(m, lambda: roll("c", OK)) == [("c", "rolledBack")]
    assert hooks.calls() == ["10-first after c rolledback", "20-second after c rolledback"]
    assert (m.table / "f").read_text() == "then"


def test_overwritten_bcd_what_it_needs_has_been_taken(m, hooks, cli):
    (m.table / "f").write_text("f")
    m.checkpoint("c", "t")
    os.rename(m.table, m.path / "renamed")
    m.table.mkdir()  # another table has the name
    before = tree(m.path)
    hooks.calls()

    def roll():
        done = cli("-C", m.path, "rollback", "c")
        assert done.returncode == EXISTS, done.stderr
        assert "rename" in done.stderr

    assert outcomes(m, roll) == [("c", "overwrittenBcd")]
    assert hooks.calls() == [], "nobody's world has changed"
    assert tree(m.path) == before


def test_delete_leaves_the_procedures(m, hooks, cli):
    """Later rollbacks have no effect; who is registered stays."""
    m.checkpoint("c")
    m.drop("c")
    hooks.calls()
    assert cli("-C", m.path, "rollback", "c").returncode == NOT_FOUND
    assert hooks.calls() == []
    m.checkpoint("c")
    assert hooks.calls() == calls_of("c", "ok")


def test_a_checkpoint_outlives_the_mount_and_the_machine(mount, hooks):
    """Cedar deleted its checkpoint when the volume was booted; ours stay."""
    with mount() as m:
        m.table.mkdir()
        (m.table / "f").write_text("f")
        m.checkpoint("c")
        m.crash()
    with mount() as m:
        assert (m.checkpoints / "c/t/f").read_text() == "f"
