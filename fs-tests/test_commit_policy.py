# SPDX-License-Identifier: Apache-2.0
#
# test_commit_policy.py - when a table's files are committed: close, write, or seconds
#
# C3 as docs/semantics.md has it: what a checkpoint and a crash see of a file that is open.

import errno
import json
import mmap
import os
import subprocess

import pytest

from harness import eventually


def policy_file(m, table="t"):
    return m.path / ".mnefs" / "tables" / table / "commit"


def set_policy(m, value, table="t"):
    policy_file(m, table).write_text(f"{value}\n")


def seen(m, name):
    """What checkpoints made now see of the table: {name: bytes}."""
    at = m.checkpoint(name)
    files = {p.name: p.read_bytes() for p in (at / "t").iterdir()}
    m.drop(name)
    return files


def test_a_table_commits_at_close_until_told_otherwise(fs):
    assert policy_file(fs).read_text() == "close\n"
    with open(fs.table / "f", "wb", buffering=0) as f:
        f.write(b"half")
        assert seen(fs, "c1") == {}
    assert seen(fs, "c2") == {"f": b"half"}


def test_with_write_a_checkpoint_sees_every_write_that_returned(fs):
    set_policy(fs, "write")
    with open(fs.table / "f", "wb", buffering=0) as f:
        assert seen(fs, "c0") == {"f": b""}
        f.write(b"one")
        assert seen(fs, "c1") == {"f": b"one"}
        f.write(b"two")
        assert seen(fs, "c2") == {"f": b"onetwo"}
        f.truncate(2)
        assert seen(fs, "c3") == {"f": b"on"}
        os.posix_fallocate(f.fileno(), 0, 5)
        assert seen(fs, "c4") == {"f": b"on\0\0\0"}
        f.seek(0)
        f.write(os.urandom(300_000))
        assert len(seen(fs, "c5")["f"]) == 300_000


def test_with_write_what_a_killed_daemon_was_told_is_there(mount):
    m = mount()
    m.table.mkdir()
    set_policy(m, "write")
    big = os.urandom(200_000)
    small = os.open(m.table / "small", os.O_CREAT | os.O_WRONLY, 0o644)
    large = os.open(m.table / "large", os.O_CREAT | os.O_WRONLY, 0o644)
    for i in range(20):
        os.write(small, b"%04d" % i)
    os.write(large, big)
    m.crash()
    for fd in (small, large):
        os.close(fd)
    with mount(at="again") as m:
        assert (m.table / "small").read_bytes() == b"".join(b"%04d" % i for i in range(20))
        assert (m.table / "large").read_bytes() == big
        assert policy_file(m).read_text() == "write\n"


def test_with_write_a_truncating_open_counts_as_a_write(fs):
    (fs.table / "f").write_bytes(b"old")
    set_policy(fs, "write")
    with open(fs.table / "f", "wb", buffering=0) as f:
        assert seen(fs, "c1") == {"f": b""}
        f.write(b"new")
    assert seen(fs, "c2") == {"f": b"new"}


def test_with_write_mapped_pages_are_committed_when_they_are_written_back(fs):
    (fs.table / "f").write_bytes(b"a" * 4096)
    set_policy(fs, "write")
    with open(fs.table / "f", "r+b") as f, mmap.mmap(f.fileno(), 4096) as pages:
        pages[0:3] = b"new"
        pages.flush()
        assert seen(fs, "c1")["f"][:4] == b"newa"


def test_two_writers_of_one_file_both_count_at_each_write(fs):
    set_policy(fs, "write")
    with open(fs.table / "f", "wb", buffering=0) as a:
        with open(fs.table / "f", "r+b", buffering=0) as b:
            a.write(b"1234")
            b.seek(2)
            b.write(b"xx")
            assert seen(fs, "c1") == {"f": b"12xx"}


def test_an_unlinked_open_file_is_still_written(fs):
    set_policy(fs, "write")
    with open(fs.table / "f", "w+b", buffering=0) as f:
        os.unlink(fs.table / "f")
        f.write(b"unseen")
        f.seek(0)
        assert f.read() == b"unseen"
    assert seen(fs, "c1") == {}


def test_it_counts_at_once_for_files_that_are_open(fs):
    with open(fs.table / "f", "wb", buffering=0) as f:
        f.write(b"one")
        assert seen(fs, "c1") == {}
        set_policy(fs, "write")
        f.write(b"two")
        assert seen(fs, "c2") == {"f": b"onetwo"}
        set_policy(fs, "close")
        f.write(b"three")
        assert seen(fs, "c3") == {"f": b"onetwo"}


def test_after_so_many_seconds_an_open_file_is_committed(fs):
    set_policy(fs, 1)
    assert policy_file(fs).read_text() == "1\n"
    with open(fs.table / "f", "wb", buffering=0) as f:
        f.write(b"open")
        eventually(lambda: seen(fs, "c") == {"f": b"open"})


def test_more_seconds_than_the_mount_has_are_the_tables_own(mount):
    with mount("commit=1") as m:
        m.table.mkdir()
        (m.path / "other").mkdir()
        set_policy(m, 86400)
        with open(m.table / "slow", "wb", buffering=0) as slow:
            slow.write(b"half")
            with open(m.path / "other" / "f", "wb", buffering=0) as f:
                f.write(b"open")

                def other():
                    at = m.checkpoint("c")
                    found = os.listdir(at / "other")
                    m.drop("c")
                    return found

                eventually(lambda: other() == ["f"])
            assert seen(m, "c1") == {}
        assert seen(m, "c2") == {"slow": b"half"}


@pytest.mark.parametrize("value", ["never", "0", "86401", "-1", "write 5", "1s"])
def test_what_is_no_policy_is_refused_with_a_sentence(fs, value):
    with pytest.raises(OSError) as e:
        set_policy(fs, value)
    assert e.value.errno == errno.EINVAL
    assert "commit is close, write, or from 1 to" in (fs.path / ".mnefs/log").read_text()
    assert policy_file(fs).read_text() == "close\n"


def test_it_stays_with_its_table(mount):
    with mount() as m:
        for name in "abc":
            (m.path / name).mkdir()
        set_policy(m, "write", "a")
        set_policy(m, 7, "b")
        os.rename(m.path / "a", m.path / "renamed")
        assert policy_file(m, "renamed").read_text() == "write\n"
    with mount() as m:
        assert policy_file(m, "renamed").read_text() == "write\n"
        assert policy_file(m, "b").read_text() == "7\n"
        assert policy_file(m, "c").read_text() == "close\n"
        os.rmdir(m.path / "b")
        (m.path / "b").mkdir()
        assert policy_file(m, "b").read_text() == "close\n"


def test_a_rollback_leaves_it_as_it_is_and_brings_back_that_of_a_table_it_brings_back(fs, mnefs):
    def rollback(name):
        done = subprocess.run([mnefs, "-C", fs.path, "rollback", name],
                              capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    (fs.path / "gone").mkdir()
    set_policy(fs, "write", "gone")
    fs.checkpoint("c")
    set_policy(fs, 9)
    (fs.path / "gone").rmdir()
    rollback("c")
    assert policy_file(fs).read_text() == "9\n"
    assert policy_file(fs, "gone").read_text() == "write\n"
    with open(fs.path / "gone" / "f", "wb", buffering=0) as f:
        f.write(b"now")
        at = fs.checkpoint("d")
        assert (at / "gone" / "f").read_bytes() == b"now"


def test_in_a_transaction_it_counts_for_nothing(fs):
    set_policy(fs, "write")
    tx = fs.path / ".tx" / "x"
    tx.mkdir()
    with open(tx / "t" / "f", "wb", buffering=0) as f:
        f.write(b"staged")
        assert not (fs.table / "f").exists()
        assert seen(fs, "c1") == {}
    (tx / ".ctl").write_text("commit\n")
    assert seen(fs, "c2") == {"f": b"staged"}


def test_the_command_sets_and_shows_it(fs, mnefs):
    def run(*words):
        return subprocess.run([mnefs, "-C", fs.path, *words], capture_output=True, text=True,
                              check=False)

    assert run("table", "set", "t", "commit", "write").returncode == 0
    assert policy_file(fs).read_text() == "write\n"
    assert "commit     write" in run("table", "show", "t").stdout
    assert run("table", "create", "u", "--commit", "5").returncode == 0
    rows = [json.loads(line) for line in run("table", "list", "--json").stdout.splitlines()]
    assert {row["table"]: row["commit"] for row in rows} == {"t": "write", "u": "5"}
    done = run("table", "set", "t", "commit", "sometimes")
    assert done.returncode != 0 and "commit is close, write" in done.stderr


def test_a_store_that_uses_it_checks_clean(mount, cli):
    with mount() as m:
        m.table.mkdir()
        set_policy(m, "write")
        store = m.store
        (m.table / "f").write_text("x")
    assert cli("check", store).returncode == 0
