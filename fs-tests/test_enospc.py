# SPDX-License-Identifier: Apache-2.0
#
# test_enospc.py - a full disk: writes fail, nothing is hurt, deleting still works (D4)

import errno
import os
import random

import pytest

from txs import Tx

from harness import Crowd, eventually, fails, fsync_path, loop_disk

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]

QUIET = {"G_MESSAGES_DEBUG": None}


@pytest.fixture
def disk(tmp_path):
    with loop_disk(64, tmp_path / "disk") as at:
        yield at


@pytest.fixture
def on_disk(make_mount, disk, tmp_path):
    def make():
        made = make_mount(disk / "store", tmp_path / "mnt", "create", env=QUIET)
        made.expect_log("(?i)space|full|ENOSPC")
        return made

    return make


def write(path, data, sync=True):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if sync:
            os.fsync(fd)
    finally:
        os.close(fd)


def fill(m, prefix, sizes, most=5000):
    """Write until it fails; what is in, by name.  Small files without fsync: what write
    and close accepted must not be lost for lack of space either."""
    random_ = random.Random(1)
    kept = {}
    for n in range(most):
        data = random_.randbytes(sizes[n % len(sizes)])
        path = m.table / f"{prefix}{n}"
        try:
            write(path, data, sync=len(data) != 900)
        except OSError as error:
            assert error.errno == errno.ENOSPC, error
            return kept, path.name
        kept[path.name] = data
    pytest.fail("the disk never got full")


def verify(top, kept):
    for name, data in kept.items():
        assert (top / name).read_bytes() == data, name


def can_write(m, size):
    try:
        write(m.table / "again", os.urandom(size))
    except OSError as error:
        assert error.errno == errno.ENOSPC
        return False
    return True


@pytest.mark.parametrize("sizes", [[1_000_000], [900], [700, 50_000, 300_000, 10]])
def test_a_full_disk_fails_writes_hurts_nothing_and_deleting_helps(on_disk, check, disk, sizes):
    with on_disk() as m:
        m.table.mkdir()
        kept, failed = fill(m, "f", sizes, 100_000)
        assert kept
        verify(m.table, kept)
        # again and again: still ENOSPC, still alive
        for _ in range(20):
            if not can_write(m, 2_000_000):
                break
        verify(m.table, kept)
        assert os.statvfs(m.path).f_bavail * os.statvfs(m.path).f_frsize < 60 << 20
        (m.table / failed).unlink(missing_ok=True)
        (m.table / "again").unlink(missing_ok=True)
        for name in list(kept)[::2]:
            (m.table / name).unlink()
            del kept[name]
        assert eventually(lambda: can_write(m, 2_000_000)), "no space came back"
        verify(m.table, kept)
    with on_disk() as m:
        verify(m.table, kept)
    check(disk / "store")


def test_dropping_a_checkpoint_works_on_a_full_disk_and_gives_space(on_disk, check, disk):
    with on_disk() as m:
        m.table.mkdir()
        first = {}
        for n in range(20):
            first[f"a{n}"] = os.urandom(1_000_000)
            write(m.table / f"a{n}", first[f"a{n}"])
        m.checkpoint("c")
        kept, _ = fill(m, "a", [1_000_000])
        verify(m.checkpoints / "c/t", first)
        for name in os.listdir(m.table):
            (m.table / name).unlink()
        verify(m.checkpoints / "c/t", first)
        fsync_path(m.table)
        m.drop("c")
        assert eventually(lambda: can_write(m, 15_000_000)), "no space came back"
    with on_disk() as m:
        assert os.listdir(m.checkpoints) == []
        assert os.listdir(m.table) == ["again"]
    check(disk / "store")


def test_a_kill_on_a_full_disk_is_survived(on_disk, check, disk):
    with on_disk() as m:
        m.table.mkdir()
        kept, _ = fill(m, "f", [300_000, 2000])
        m.crash()
    with on_disk() as m:
        verify(m.table, kept)
        for name in kept:
            (m.table / name).unlink()
        assert eventually(lambda: can_write(m, 5_000_000))
    check(disk / "store")


def test_a_checkpoint_can_be_made_or_is_refused_with_enospc_on_a_full_disk(
    on_disk, check, disk
):
    with on_disk() as m:
        m.table.mkdir()
        kept, failed = fill(m, "f", [500_000])
        try:
            m.checkpoint("c")
        except OSError as error:
            assert error.errno == errno.ENOSPC
            assert os.listdir(m.checkpoints) == []
        else:
            verify(m.checkpoints / "c/t", kept)
    check(disk / "store")


def test_what_truncate_answers_on_a_disk_without_a_block_is_what_is_seen(
    on_disk, check, disk
):
    """And it is committed when there is room again."""
    crowd = Crowd(disk / "crowd")
    wanted = {}
    with on_disk() as m:
        m.table.mkdir()
        for n in range(100):
            wanted[f"{n}"] = os.urandom(200)
            write(m.table / f"{n}", wanted[f"{n}"], sync=False)
        fsync_path(m.table)
        crowd.fill()
        for name, data in list(wanted.items()):
            try:
                os.truncate(m.table / name, 100)
                wanted[name] = data[:100]
            except OSError as error:
                assert error.errno == errno.ENOSPC
            verify(m.table, wanted)
        crowd.leave()
        assert eventually(lambda: is_committed(m))
    with on_disk() as m:
        verify(m.table, wanted)
    check(disk / "store")


def test_what_a_merge_left_when_it_was_killed_is_room_to_mount_again(on_disk, check, disk):
    kept = {}
    with on_disk() as m:
        m.table.mkdir()
        for n in range(2000):
            kept[f"{n}"] = os.urandom(900)
            write(m.table / f"{n}", kept[f"{n}"], sync=False)
        fsync_path(m.table)
        m.crash()
    Crowd(disk / "store/kv/999999.ldb").fill()
    with on_disk() as m:
        verify(m.table, kept)
        assert eventually(lambda: can_write(m, 5_000_000))
    check(disk / "store")


def test_a_transaction_whose_moment_went_with_a_full_disk_can_be_given_up(
    on_disk, check, disk
):
    """A write that failed has the store opened anew, and no moment outlives that."""
    crowd = Crowd(disk / "crowd")
    with on_disk() as m:
        m.table.mkdir()
        for name in ("in", "out"):
            write(m.table / name, b"old")
        tx = Tx(m)
        write(tx.table / "in", b"new", sync=False)
        crowd.fill()
        with fails(errno.ENOSPC):
            for n in range(1000):
                os.rename(m.table / "out", m.table / "other")
                os.rename(m.table / "other", m.table / "out")
        crowd.leave()
        (m.table / "dir").mkdir()
        with fails(errno.ECANCELED):
            os.listdir(tx.table)
        tx.abort()
        assert os.listdir(m.path / ".tx") == []
        with Tx(m) as again:
            write(again.table / "in", b"newer", sync=False)
            again.commit()
        assert (m.table / "in").read_bytes() == b"newer"
    check(disk / "store")


def test_of_a_third_that_is_deleted_here_and_there_the_room_comes_back(
    on_disk, check, disk
):
    """Every segment is two thirds alive."""
    with on_disk() as m:
        m.table.mkdir()
        kept, failed = fill(m, "f", [60_000])
        (m.table / failed).unlink(missing_ok=True)
        for name in list(kept)[::3]:
            (m.table / name).unlink()
            del kept[name]
        assert eventually(lambda: can_write(m, 8_000_000)), "no space came back"
        verify(m.table, kept)
    check(disk / "store")


def is_committed(m):
    return "uncommitted 0" in (m.path / ".mnefs/status").read_text()
