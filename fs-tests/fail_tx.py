# SPDX-License-Identifier: Apache-2.0
#
# fail_tx.py - transactions while the store fails, or the daemon is killed
#
# Every step is one transaction of several changes, and one commit.  The n-th call to the
# engine or the segments, or the n-th system call that changes the store, fails, or is the
# last one.  Mounted again, the store is as after some step (T1: nothing of a transaction
# or all of it): not before the last one that was committed with `sync`, and not after the
# first one that failed; nothing of any transaction is left, and the store is clean.

import os

import pytest
from fail_calls import Faults, shim  # noqa: F401
from fail_sweep import BIG, Sweep, in_place, write

from harness import eventually
from txs import Tx


def begin(m, at=None, name="tx"):
    return Tx(m, name, at)


def committing(how="commit"):
    """The transaction is the first argument of the function, and ends with it."""

    def wrap(function):
        def step(m):
            tx = begin(m)
            function(tx)
            tx.commit(how)

        return step

    return wrap


@committing()
def records(tx):
    write(tx.table / "one", b"1")
    write(tx.table / "two", b"2" * 900)
    write(tx.table / "old", b"other")
    os.unlink(tx.table / "gone")
    os.chmod(tx.table / "log", 0o600)
    os.setxattr(tx.table / "old", "user.a", b"x" * 3000)


@committing("commit sync")
def big_files(tx):
    write(tx.table / "big", BIG)
    in_place(tx.table / "old big", 100_000, b"X" * 150_000)
    write(tx.table / "small", b"small")
    os.truncate(tx.table / "big two", 120_000)


@committing()
def names(tx):
    (tx.table / "dir/sub").mkdir(parents=True)
    os.rename(tx.table / "small", tx.table / "dir/sub/small")
    os.rename(tx.table / "one", tx.table / "two")
    os.link(tx.table / "old big", tx.table / "link")
    os.unlink(tx.table / "old big")
    os.rename(tx.table / "dir/sub", tx.table / "sub")
    os.symlink("x" * 2000, tx.table / "s")
    (tx.table / "empty").rmdir()


def checkpoint(m):
    m.checkpoint("c")


@committing()
def tables(tx):
    (tx.path / "new").mkdir()
    write(tx.path / "new/1", b"1")
    os.unlink(tx.path / "u/only")
    (tx.path / "u").rmdir()
    os.rename(tx.path / "v", tx.path / "w")
    write(tx.path / "w/2", b"2")


def nested(m):
    tx = begin(m)
    write(tx.table / "two", b"outer")
    inner = begin(m, tx.path, "in")
    write(inner.table / "two", b"inner")
    write(inner.table / "big", BIG[::-1])
    os.rename(inner.table / "log", inner.table / "sub/log")
    inner.commit()
    inner = begin(m, tx.path, "in")
    os.unlink(inner.table / "two")
    write(inner.table / "not", BIG)
    inner.abort()
    os.unlink(tx.table / "old")
    tx.commit()


def aborted(m):
    tx = begin(m)
    write(tx.table / "two", b"not at all")
    write(tx.table / "not", BIG)
    (tx.path / "not").mkdir()
    os.unlink(tx.table / "sub/log")
    tx.abort()


@committing("commit sync")
def fragments(tx):
    for n in range(8):
        write(tx.path / f"f/{n}", b"%d" % n * 100)
    for n in range(0, 8, 2):
        os.rename(tx.path / f"f/old{n}", tx.path / f"f/new{n}")
        os.unlink(tx.path / f"f/old{n + 1}")
    write(tx.path / "f/new0", BIG)


def begin_late(m):
    m.late = begin(m, name="late")
    write(m.late.table / "three", b"3")
    (m.late.table / "late").mkdir()


def go_past_it(m):
    write(m.table / "sub/plain", b"plain")


def lock_late(m):
    """Together with the lock it gets what was changed since."""
    m.late.tell("lock write t/two\nlock read f\n")
    os.rename(m.late.table / "sub/plain", m.late.table / "late/plain")
    write(m.late.table / "two", b"locked")
    m.late.commit()


def left_open(m):
    """It is never committed: nothing of it is ever seen."""
    tx = begin(m, name="open")
    write(tx.table / "two", b"not at all")
    write(tx.table / "not", BIG)
    os.unlink(tx.table / "link")
    (tx.path / "not").mkdir()


@committing()
def last(tx):
    write(tx.table / "two", b"last")
    os.unlink(tx.table / "link")


STEPS = [
    (False, None, records),
    (True, None, big_files),
    (False, None, names),
    (True, None, checkpoint),
    (False, None, tables),
    (False, None, nested),
    (False, None, aborted),
    (True, None, fragments),
    (False, None, begin_late),
    (False, None, go_past_it),
    (False, None, lock_late),
    (False, None, left_open),
    (False, None, last),
]


def prepare(m):
    m.table.mkdir()
    for name in ("old", "gone", "log"):
        write(m.table / name, name.encode())
    for name in ("old big", "big two"):
        write(m.table / name, BIG)
    (m.table / "empty").mkdir()
    for name in ("u", "v", "f"):
        (m.path / name).mkdir()
    write(m.path / "u/only", b"only")
    for n in range(8):
        write(m.path / f"f/old{n}", b"old%d" % n)
    settings = m.path / ".mnefs/tables/f"
    (settings / "listing").write_text("records\n")
    (settings / "fragments").write_text("3\n")
    assert eventually(lambda: '"step_to":0' in (settings / "fragments.json").read_text())
    m.checkpoint("first")


class Transactions(Sweep):
    """Each transaction's directory is gone with it."""

    def found(self):
        with self.mount(create=False) as m:
            assert os.listdir(m.path / ".tx") == []
            return self.state_of(m)


@pytest.fixture
def sweep(mount, store, tmp_path):
    return Transactions(mount, store, tmp_path, STEPS, prepare)


def chosen(request, total, what, times=1):
    """Of so many places some, others for each kind of fault; with --tx-faults 1, all."""
    every = max(1, request.config.getoption("--tx-faults") // times)
    return range(1 + len(what) % every, total + 1, every)


@pytest.mark.timeout(3000)
@pytest.mark.parametrize(
    "fault", ["kv-fail", "blob-fail", "kv-kill", "kv-kill-after", "blob-kill"]
)
def test_t1_after_any_fault_there_is_all_of_a_transaction_or_nothing(
    fault, sweep, check, request
):
    for nth in chosen(request, 400, fault, 4):
        fired = sweep.try_fault(fault, nth)
        check()
        if not fired:
            return
    pytest.fail("the faults never end")


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("what", ["space", "full", "kill", "torn"])
def test_t1_after_any_call_that_failed_there_is_all_of_a_transaction_or_nothing(
    what, sweep, shim, tmp_path, check, request  # noqa: F811
):
    faults = Faults(shim, sweep, tmp_path)
    total = faults.total(what)
    assert total > 30, "the shim sees nothing"
    for nth in chosen(request, total, what):
        faults.try_call(what, nth, check)
