# SPDX-License-Identifier: Apache-2.0
#
# test_tx.py - transactions as directories: .tx
#
# T1: one consistent state and its own changes, seen by nobody else before commit; commit
# is one atomic batch.  T2: conflict: ECANCELED, and nothing was changed.  T3: an open
# transaction blocks nobody.

import errno
import mmap
import os
import subprocess
import threading

import pytest

from harness import as_nobody, eventually, fails, sh, tree
from txs import Tx, open_ones, with_table


@pytest.fixture
def tx(fs):
    (fs.table / "a").write_text("1")
    return Tx(fs)


# --- what is seen, and by whom (T1) -------------------------------------------------------


def test_changes_are_seen_inside_and_nowhere_else_before_commit(fs, tx):
    (tx.table / "a").write_text("2")
    (tx.table / "new").write_text("2")
    assert (tx.table / "a").read_text() == "2"
    assert sorted(os.listdir(tx.table)) == ["a", "new"]
    assert (fs.table / "a").read_text() == "1"
    assert os.listdir(fs.table) == ["a"]
    assert not (fs.table / "new").exists()
    tx.commit()
    assert (fs.table / "a").read_text() == "2"
    assert (fs.table / "new").read_text() == "2"
    assert open_ones(fs) == []


def test_what_the_kernel_remembers_is_right_after_commit(fs, tx):
    """Entries, absent names, attributes, pages, listings: all were cached before."""
    for name in ("gone", "moved", "replaced"):
        (fs.table / name).write_text(name)
    (fs.table / "dir").mkdir()
    tx2 = Tx(fs, "K")
    names = ("a", "gone", "moved", "replaced", "absent", "there", "dir", "sub")
    for name in names:
        path = fs.table / name
        if path.is_file():
            path.read_bytes()
    os.listdir(fs.table)
    with open(fs.table / "a", "rb") as held:
        held.read()
        (tx2.table / "a").write_text("much longer")
        (tx2.table / "gone").unlink()
        os.rename(tx2.table / "moved", tx2.table / "there")
        (tx2.table / "absent").write_text("now")
        os.chmod(tx2.table / "replaced", 0o600)
        (tx2.table / "x").write_text("other")
        os.rename(tx2.table / "x", tx2.table / "replaced")
        (tx2.table / "dir").rmdir()
        (tx2.table / "sub").mkdir()
        inside = tree(tx2.table)
        tx2.commit()
        assert os.pread(held.fileno(), 100, 0) == b"much longer"
    assert tree(fs.table) == inside
    assert (fs.table / "a").stat().st_size == 11
    assert not (fs.table / "gone").exists() and not (fs.table / "moved").exists()
    assert (fs.table / "there").read_text() == "moved"
    assert (fs.table / "replaced").read_text() == "other"
    with fails(errno.ECANCELED):  # the other one read these names' directory … and `a`
        (tx.table / "a").read_text()
        (tx.table / "b").write_text("x")
        tx.commit()


def test_it_sees_one_moment(fs):
    for i in range(50):
        (fs.table / f"{i:02}").write_text("before")
    tx = Tx(fs)
    for i in range(50):
        (fs.table / f"{i:02}").write_text("after")
    (fs.table / "new").write_text("after")
    assert len(os.listdir(tx.table)) == 50
    assert {(tx.table / f"{i:02}").read_text() for i in range(50)} == {"before"}
    tx.abort()


def test_commit_is_one_seq(fs, tx):
    def seq():
        text = (fs.path / ".mnefs/status").read_text()
        return int(dict(line.split(" ", 1) for line in text.splitlines())["seq"])

    before = seq()
    for i in range(20):
        (tx.table / f"{i}").write_text("x")
    assert seq() == before
    said = tx.commit()
    assert seq() == before + 1
    assert f"at seq {before + 1}" in said


def test_rmdir_aborts(fs, tx):
    (tx.table / "a").write_text("2")
    (tx.table / "b").mkdir()
    tx.abort()
    assert os.listdir(fs.table) == ["a"]
    assert (fs.table / "a").read_text() == "1"
    assert open_ones(fs) == []


def test_the_shell_is_enough(fs, tx):
    sh("echo 2 > .tx/J/t/b && echo commit > .tx/J/.ctl", fs.path)
    assert (fs.table / "b").read_text() == "2\n"


def test_an_ended_one_is_stale(fs, tx):
    fd = os.open(tx.table / "a", os.O_RDWR)
    here = os.open(tx.table, os.O_RDONLY)
    tx.commit()
    for attempt in (
        lambda: os.pread(fd, 1, 0),
        lambda: os.open("a", os.O_RDONLY, dir_fd=here),
        lambda: os.mkdir("x", dir_fd=here),
    ):
        with fails(errno.ESTALE):
            attempt()
    os.close(fd)
    os.close(here)
    again = Tx(fs)
    assert (again.table / "a").read_text() == "1"
    again.abort()


def test_everything_posix_works_inside(fs, tx):
    top = tx.table
    (top / "dir/sub").mkdir(parents=True)
    (top / "dir/file").write_bytes(os.urandom(500_000))
    os.link(top / "dir/file", top / "second")
    os.symlink("dir/file", top / "link")
    os.setxattr(top / "a", "user.city", b"Oslo")
    os.setxattr(top / "a", "user.big", b"x" * 5000)
    os.chmod(top / "a", 0o640)
    os.utime(top / "a", ns=(10**18, 10**18 + 5))
    os.mkfifo(top / "fifo")
    os.truncate(top / "second", 300_000)
    with open(top / "second", "r+b") as file:
        file.seek(100_000)
        file.write(b"middle")
        with mmap.mmap(file.fileno(), 0) as mapped:
            mapped[5:9] = b"mmap"
    os.rename(top / "dir/sub", top / "moved")
    inside = tree(top, times=True, modes=True)
    data = (top / "second").read_bytes()
    assert data[100_000:100_006] == b"middle" and data[5:9] == b"mmap"
    tx.commit()
    assert tree(fs.table, times=True, modes=True) == inside
    assert (fs.table / "link").read_bytes() == data
    assert os.stat(fs.table / "second").st_nlink == 2
    assert os.getxattr(fs.table / "a", "user.big") == b"x" * 5000


def test_tables_come_and_go_inside(fs, tx):
    (tx.path / "orders").mkdir()
    (tx.path / "orders/1").write_text("x")
    (tx.table / "a").unlink()
    tx.table.rmdir()
    assert not (fs.path / "orders").exists()
    tx.commit()
    assert os.listdir(fs.path) == ["orders"]
    assert (fs.path / "orders/1").read_text() == "x"


def test_a_move_between_tables_is_atomic_as_a_copy_inside(fs, tx):
    (fs.path / "u").mkdir()
    other = Tx(fs, "K")
    sh("mv t/a u/a", other.path)
    assert (fs.table / "a").exists() and not (fs.path / "u/a").exists()
    other.commit()
    assert not (fs.table / "a").exists() and (fs.path / "u/a").exists()


def test_nothing_moves_in_or_out(fs, tx):
    other = Tx(fs, "K")
    for there in (fs.table, other.table):
        with fails(errno.EXDEV):
            os.rename(tx.table / "a", there / "b")
        with fails(errno.EXDEV):
            os.link(tx.table / "a", there / "b")


def test_a_file_open_outside_follows(fs, tx):
    with open(fs.table / "a", "r+b", buffering=0) as held:
        (tx.table / "a").write_text("22")
        tx.commit()
        assert held.read() == b"22"
        held.write(b"3")
    assert (fs.table / "a").read_text() == "223"


def test_a_file_removed_inside_lives_on_where_it_is_open(fs, tx):
    data = os.urandom(400_000)
    (fs.table / "big").write_bytes(data)
    other = Tx(fs, "K")
    with open(fs.table / "big", "rb") as held:
        (other.table / "big").unlink()
        other.commit()
        assert not (fs.table / "big").exists()
        assert held.read() == data


# --- conflicts (T2) -----------------------------------------------------------------------


def test_a_lost_update_is_refused_and_names_the_record(fs, tx):
    n = int((tx.table / "a").read_text())
    (tx.table / "a").write_text(str(n + 1))
    (fs.table / "a").write_text("10")
    tx.refused("t/a")
    assert (fs.table / "a").read_text() == "10"
    assert "t/a" in (fs.path / ".mnefs/log").read_text().splitlines()[-1]


def test_of_two_writers_the_first_commits(fs, tx):
    other = Tx(fs, "K")
    (tx.table / "a").write_text("2")
    (other.table / "a").write_text("3")
    other.commit()
    tx.refused("t/a")
    assert (fs.table / "a").read_text() == "3"


def test_write_skew_is_refused(fs, tx):
    (fs.table / "b").write_text("1")
    one, two = Tx(fs, "one"), Tx(fs, "two")
    assert (one.table / "b").read_text() == "1"
    (one.table / "a").write_text("0")
    assert (two.table / "a").read_text() == "1"
    (two.table / "b").write_text("0")
    one.commit()
    two.refused("t/a")


def test_a_name_that_was_absent_is_read(fs, tx):
    assert not (tx.table / "b").exists()
    (tx.table / "c").write_text("no b")
    (fs.table / "b").write_text("1")
    tx.refused("t/b")


def test_a_listing_is_read(fs, tx):
    n = len(os.listdir(tx.table))
    (tx.path / "t/count").write_text(str(n))
    (fs.table / "phantom").write_text("1")
    tx.refused("t/phantom")


def test_different_records_of_one_table_never_conflict(fs, tx):
    other = Tx(fs, "K")
    (tx.table / "b").write_text("1")
    (other.table / "c").write_text("1")
    (fs.table / "d").write_text("1")
    tx.commit()
    other.commit()
    assert sorted(os.listdir(fs.table)) == ["a", "b", "c", "d"]


def test_listing_does_not_conflict_with_a_change_of_what_is_listed(fs, tx):
    assert os.listdir(tx.table) == ["a"]
    (tx.table / "b").write_text("1")
    (fs.table / "a").write_text("2")
    tx.commit()


def test_a_file_being_written_outside_conflicts(fs, tx):
    (tx.table / "a").write_text("2")
    with open(fs.table / "a", "w") as held:
        held.write("plain")
        held.flush()
        tx.refused("t/a")
    assert (fs.table / "a").read_text() == "plain"


# --- nobody waits (T3) --------------------------------------------------------------------


def test_plain_reads_and_writes_go_on(fs, tx):
    (tx.table / "a").write_text("2")
    for i in range(100):
        (fs.table / "a").write_text(str(i))
        assert (fs.table / "a").read_text() == str(i)
    tx.refused("t/a")


def test_plain_locks_work_as_posix_says(fs, tx):
    sh("flock -n t/a true && flock -n .tx/J/t/a flock -n t/a true", fs.path)


# --- whose it is, and how long ------------------------------------------------------------


@pytest.mark.root
def test_it_is_private_to_its_owner(open_fs):
    tx = Tx(open_fs)
    (tx.table / "secret").write_text("x")

    def work():
        for attempt in (
            lambda: os.listdir(".tx/J"),
            lambda: open(".tx/J/t/secret"),
            lambda: open(".tx/J/.status"),
            lambda: open(".tx/J/.ctl", "w"),
            lambda: os.rmdir(".tx/J"),
        ):
            with fails(errno.EACCES, errno.EPERM):
                attempt()
        os.mkdir(".tx/mine")
        assert os.listdir(".tx/mine") == ["t"]
        os.rmdir(".tx/mine")

    as_nobody(open_fs.path, work)
    tx.commit()


def test_a_name_is_taken_while_it_is_open(fs, tx):
    with fails(errno.EEXIST):
        Tx(fs)
    tx.abort()
    Tx(fs).abort()


def test_only_so_many_are_open(mount):
    fs = with_table(mount, "tx_max=3")
    ones = [Tx(fs, str(i)) for i in range(3)]
    with fails(errno.EDQUOT):
        Tx(fs, "more")
    ones[0].abort()
    Tx(fs, "more").abort()


def test_one_takes_only_so_much_memory(mount):
    fs = with_table(mount, "tx_mem=256K")
    tx = Tx(fs)
    with fails(errno.EDQUOT):
        for i in range(5000):
            (tx.table / f"{i}").mkdir()
    tx.abort()
    tx = Tx(fs)
    (tx.table / "big").write_bytes(bytes(20_000_000))  # goes to the disk, not to memory
    tx.commit()
    assert (fs.table / "big").stat().st_size == 20_000_000


def test_an_idle_one_is_aborted(mount):
    fs = with_table(mount, "tx_idle=2")
    tx = Tx(fs)
    (tx.table / "a").write_text("x")
    assert eventually(lambda: open_ones(fs) == [])
    assert os.listdir(fs.table) == []
    fs.expect_log("transaction J was not used")


def test_with_its_owner_it_goes(fs, tx):
    script = (
        "exec 9<>.tx/J/.ctl; echo own >&9; echo 2 > .tx/J/t/a; echo ready; exec sleep 100"
    )
    words = ["bash", "-c", script]
    with subprocess.Popen(words, cwd=fs.path, stdout=subprocess.PIPE) as owner:
        assert owner.stdout.readline() == b"ready\n"
        assert open_ones(fs) == ["J"]
        assert ("owned", "yes") in tx.status()
        owner.kill()
    assert eventually(lambda: open_ones(fs) == [])
    assert (fs.table / "a").read_text() == "1"


@pytest.mark.parametrize("end", ["unmount", "crash"])
def test_after_an_unmount_or_a_kill_nothing_is_left(mount, check, end):
    fs = with_table(mount)
    (fs.table / "a").write_text("1")
    tx = Tx(fs)
    (tx.table / "a").write_text("2")
    (tx.table / "big").write_bytes(os.urandom(3_000_000))
    (tx.path / "u").mkdir()
    getattr(fs, end)()
    fs = mount(create=False)
    assert open_ones(fs) == []
    assert os.listdir(fs.path) == ["t"]
    assert os.listdir(fs.table) == ["a"]
    assert (fs.table / "a").read_text() == "1"
    fs.unmount()
    check()


def test_commit_sync_is_durable(fs, tx):
    (tx.table / "a").write_text("2")
    assert "committed" in tx.commit("commit sync")


def test_what_ctl_does_not_understand_it_refuses(fs, tx):
    with fails(errno.EINVAL):
        tx.tell("frobnicate")
    for name in (".ctl", ".status"):
        with fails(errno.EPERM, errno.EEXIST):
            os.mkdir(tx.path / name)
        with fails(errno.EPERM, errno.EACCES):
            os.unlink(tx.path / name)


def test_the_name_is_reserved(fs):
    with fails(errno.EPERM, errno.EEXIST):
        os.mkdir(fs.path / ".tx")
    with fails(errno.EPERM):
        os.mkdir(fs.table / ".tx")
    with fails(errno.EPERM):
        os.mkdir(fs.path / ".tx/.hidden")
    with fails(errno.EPERM, errno.EACCES):
        (fs.path / ".tx/file").write_text("x")


# --- nesting ------------------------------------------------------------------------------


def test_an_inner_commit_is_seen_in_the_outer_only(fs, tx):
    (tx.table / "a").write_text("outer")
    inner = Tx(fs, "K", tx.path)
    assert (inner.table / "a").read_text() == "outer"
    (inner.table / "a").write_text("inner")
    assert (tx.table / "a").read_text() == "outer"
    with fails(errno.EBUSY):
        tx.commit()
    inner.commit()
    assert (tx.table / "a").read_text() == "inner"
    assert (fs.table / "a").read_text() == "1"
    tx.commit()
    assert (fs.table / "a").read_text() == "inner"


def test_an_inner_abort_undoes_only_the_inner_part(fs, tx):
    (tx.table / "a").write_text("outer")
    inner = Tx(fs, "K", tx.path)
    (inner.table / "a").write_text("inner")
    inner.abort()
    tx.commit()
    assert (fs.table / "a").read_text() == "outer"


def test_an_outer_abort_undoes_all(fs, tx):
    inner = Tx(fs, "K", tx.path)
    (inner.table / "b").write_text("x")
    inner.commit()
    inner = Tx(fs, "L", tx.path)
    (inner.table / "c").write_text("x")
    tx.abort()
    assert open_ones(fs) == []
    assert os.listdir(fs.table) == ["a"]


# --- checkpoints --------------------------------------------------------------------------


def test_a_checkpoint_holds_whole_commits_only(fs, tx):
    """C1: an open transaction is newer than the checkpoint, all of it."""
    (tx.table / "a").write_text("2")
    fs.checkpoint("c")
    (tx.table / "b").write_text("2")
    tx.commit()
    past = fs.checkpoints / "c" / "t"
    assert os.listdir(past) == ["a"]
    assert (past / "a").read_text() == "1"
    assert (fs.table / "b").read_text() == "2"


def test_checkpoints_are_made_and_read_inside(fs, tx):
    (tx.table / "a").write_text("2")
    (tx.path / ".checkpoints/c").mkdir()
    assert (tx.path / ".checkpoints/c/t/a").read_text() == "1"
    assert (tx.table / ".checkpoints/c/a").read_text() == "1"
    tx.commit()
    assert (fs.checkpoints / "c/t/a").read_text() == "1"


# --- many at once -------------------------------------------------------------------------


def test_counting_in_parallel_loses_nothing(fs):
    """Ten workers add to one record, each until it succeeded."""
    (fs.table / "n").write_text("0")
    tries = []

    def work(number):
        for round_ in range(10):
            while True:
                tx = Tx(fs, f"w{number}")
                n = int((tx.table / "n").read_text())
                (tx.table / "n").write_text(str(n + 1))
                tries.append(1)
                try:
                    tx.commit()
                    break
                except OSError as err:
                    assert err.errno == errno.ECANCELED
                    tx.abort()

    workers = [threading.Thread(target=work, args=(i,)) for i in range(10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert (fs.table / "n").read_text() == "100"
    assert len(tries) >= 100


# --- checkpoints and transactions ------------------------------------------------------


def test_c1_all_that_an_open_transaction_changes_is_later_than_a_checkpoint(fs, tx):
    (tx.table / "a").write_text("2")
    (tx.table / "b").write_text("2")
    first = fs.checkpoint("first")
    tx.commit()
    second = fs.checkpoint("second")
    assert tree(first / "t") != tree(second / "t")
    assert os.listdir(first / "t") == ["a"]
    assert (first / "t/a").read_text() == "1"
    assert (second / "t/b").read_text() == "2"


def test_refuse_makes_no_checkpoint_while_a_transaction_is_open(fs, tx, cli):
    done = cli("ck", "create", "c", "--refuse", cwd=fs.path)
    assert done.returncode == 8
    assert "transactions are in progress" in done.stderr
    assert os.listdir(fs.checkpoints) == []
    tx.abort()
    assert cli("ck", "create", "c", "--refuse", cwd=fs.path).returncode == 0
    assert os.listdir(fs.checkpoints) == ["c"]


def test_wait_makes_the_checkpoint_when_those_that_were_open_have_ended(fs, tx, mnefs):
    (tx.table / "a").write_text("2")
    command = [mnefs, "-C", fs.path, "ck", "create", "c", "--wait"]
    waiting = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(0.5)
    later = Tx(fs, "later")
    assert os.listdir(fs.checkpoints) == []
    tx.commit()
    assert waiting.wait(30) == 0
    assert (fs.checkpoints / "c/t/a").read_text() == "2"
    later.abort()
