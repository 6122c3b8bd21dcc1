# SPDX-License-Identifier: Apache-2.0
#
# test_history_limit.py - history=SIZE and full=fail|drop: what is kept has a limit, and
# who gives way at it (D4)

import errno
import json
import os

import pytest

from harness import MountFailed, eventually, fails, loop_disk

MB = 1_000_000
QUIET = {"G_MESSAGES_DEBUG": None}


def write(path, data):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def status(m):
    return json.loads((m.path / ".mnefs/status.json").read_text())


def names(m):
    return sorted(os.listdir(m.checkpoints))


def settle(m):
    (m.path / ".mnefs/ctl").write_text("sync\nreclaim\n")
    eventually(lambda: status(m)["reclaim_backlog"] == 0)


def last_word(m):
    return (m.path / ".mnefs/log").read_text().splitlines()[-1]


@pytest.fixture
def full(mount):
    """A history at its limit: 3 of 3 MB are taken."""
    m = mount("history=3M")
    m.table.mkdir()
    for n in range(6):
        write(m.table / f"{n}", os.urandom(MB))
    write(m.table / "small", b"small")
    m.checkpoint("c")
    for n in range(3):
        write(m.table / f"{n}", b"new")
    settle(m)
    assert 3 * MB <= status(m)["history_bytes"] <= 3 << 20
    return m


def test_overwriting_what_a_checkpoint_sees_fails_at_the_limit(full):
    for change in (
        lambda p: write(p, b"new"),
        lambda p: os.truncate(p, 0),
        lambda p: os.truncate(p, 1000),
        lambda p: os.rename(full.table / "0", p),
    ):
        with fails(errno.ENOSPC):
            change(full.table / "5")
        assert "the history is full" in last_word(full)
    fd = os.open(full.table / "5", os.O_WRONLY)
    with fails(errno.ENOSPC):
        os.pwrite(fd, os.urandom(500_000), 100)
    os.close(fd)
    before = (full.checkpoints / "c/t/5").read_bytes()
    assert (full.table / "5").read_bytes() == before
    assert status(full)["history_bytes"] <= 3 << 20


def test_what_fits_may_still_be_changed(full):
    write(full.table / "small", b"changed")
    os.chmod(full.table / "small", 0o600)
    fd = os.open(full.table / "5", os.O_WRONLY)
    os.pwrite(fd, b"x", 100)
    os.close(fd)
    assert status(full)["history_bytes"] <= 3 << 20


def test_new_records_and_their_changes_are_not_refused(full):
    for n in range(20):
        write(full.table / f"new {n}", os.urandom(300_000))
        write(full.table / f"new {n}", os.urandom(300_000))
    write(full.table / "0", os.urandom(MB))  # newer than the checkpoint
    (full.table / "dir").mkdir()
    os.rename(full.table / "new 1", full.table / "new 2")
    os.link(full.table / "new 2", full.table / "dir/link")


def test_deleting_always_works(full, check):
    for n in range(6):
        os.unlink(full.table / f"{n}")
    settle(full)
    assert status(full)["history_bytes"] > 5.9 * MB  # more than the limit
    with fails(errno.ENOSPC):
        write(full.table / "small", b"changed")
    full.drop("c")
    write(full.table / "small", b"changed")
    settle(full)
    assert status(full)["history_bytes"] == 0
    full.unmount()
    check()


def test_dropping_a_checkpoint_makes_room_at_once(full):
    full.drop("c")
    for n in range(6):
        write(full.table / f"{n}", b"newer")


def test_the_limit_counts_what_is_written_and_not_committed_yet(full):
    full.drop("c")
    settle(full)
    for n in range(6):
        write(full.table / f"{n}", os.urandom(MB))
    full.checkpoint("d")
    fds = [os.open(full.table / f"{n}", os.O_WRONLY) for n in range(6)]
    data, written = os.urandom(MB), 0
    for fd in fds:
        try:
            written += os.pwrite(fd, data, 0)
        except OSError as error:
            assert error.errno == errno.ENOSPC
    for fd in fds:
        os.close(fd)
    assert 2 * MB < written <= 3 * MB
    assert status(full)["history_bytes"] <= 3 << 20


def test_the_oldest_gives_way_and_its_readers_are_told(mount, check):
    m = mount("history=3M", "full=drop", env=QUIET)
    m.table.mkdir()
    write(m.table / "a", os.urandom(MB))
    for n in range(10):
        m.checkpoint(f"c{n}")
        if n == 0:
            reader = os.open(m.checkpoints / "c0/t/a", os.O_RDONLY)
            top = os.open(m.checkpoints / "c0", os.O_RDONLY)
            assert len(os.read(reader, 1000)) == 1000
        write(m.table / "a", os.urandom(MB))
        assert status(m)["history_bytes"] <= 3 << 20
    left = names(m)
    assert left == [f"c{n}" for n in range(10 - len(left), 10)] and 1 <= len(left) <= 6
    with fails(errno.ESTALE):
        os.pread(reader, 10, 0)
    with fails(errno.ESTALE):
        os.listdir(top)
    os.close(reader)
    os.close(top)
    log = (m.path / ".mnefs/log").read_text()
    assert "checkpoint c0 was dropped to make room: the history had reached its limit" in log
    m.unmount()
    check()


def test_deleting_past_the_limit_makes_the_oldest_give_way(mount):
    m = mount("history=2M", "full=drop", env=QUIET)
    m.table.mkdir()
    for n in range(4):
        write(m.table / f"{n}", os.urandom(MB))
    m.checkpoint("old")
    m.checkpoint("new")
    for n in range(4):
        os.unlink(m.table / f"{n}")
    eventually(lambda: names(m) == [])
    settle(m)
    assert status(m)["live_bytes"] == 0


def test_pinned_and_held_checkpoints_do_not_give_way(mount):
    m = mount("history=2M", "full=drop", env=QUIET)
    m.table.mkdir()
    for n in range(4):
        write(m.table / f"{n}", os.urandom(MB))
    for name in ("pinned", "held", "plain"):
        m.checkpoint(name)
    (m.path / ".mnefs/checkpoints/pinned/pinned").write_text("yes")
    with open(m.path / ".mnefs/hold/held"):
        write(m.table / "0", b"")
        write(m.table / "1", b"")
        assert names(m) == ["held", "pinned", "plain"]
        with fails(errno.ENOSPC):
            write(m.table / "2", b"")
        assert "every checkpoint is pinned or held" in last_word(m)
        assert names(m) == ["held", "pinned"]
    (m.path / ".mnefs/checkpoints/pinned/pinned").write_text("no")
    write(m.table / "2", b"")
    assert len(names(m)) < 2


# --- transactions and rollbacks ask, too ---------------------------------------------------


def begin(m):
    (m.path / ".tx/J").mkdir()
    return m.path / ".tx/J"


def commit(tx):
    fd = os.open(tx / ".ctl", os.O_WRONLY)
    try:
        os.write(fd, b"commit")
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    "change",
    [
        lambda t: write(t / "5", b"new"),
        lambda t: write(t / "5", os.urandom(2 * MB)),
        lambda t: os.truncate(t / "5", 1000),
        lambda t: os.rename(t / "0", t / "5"),
        lambda t: os.rename(t / "small", t / "5"),
    ],
    ids=["small", "big", "truncated", "replaced by a new one", "replaced by an old one"],
)
def test_a_transaction_that_overwrites_fails_at_the_limit_and_stays_open(full, check, change):
    tx = begin(full)
    change(tx / "t")
    with fails(errno.ENOSPC):
        commit(tx)
    assert "the history is full" in last_word(full)
    assert (full.table / "5").read_bytes() == (full.checkpoints / "c/t/5").read_bytes()
    assert status(full)["history_bytes"] <= 3 << 20
    inside = (tx / "t/5").read_bytes()
    full.drop("c")
    commit(tx)
    assert (full.table / "5").read_bytes() == inside
    settle(full)
    assert status(full)["history_bytes"] == 0
    full.unmount()
    check()


def test_a_transaction_may_delete_and_make_what_it_likes(full, check):
    tx = begin(full)
    for n in range(5):
        os.unlink(tx / f"t/{n}")
    for n in range(20):
        write(tx / f"t/new {n}", os.urandom(300_000))
    write(tx / "t/small", b"changed")
    (tx / "t/dir").mkdir()
    commit(tx)
    with fails(errno.ENOSPC):
        os.truncate(full.table / "5", 10)  # what is deleted counts before it is reaped
    settle(full)
    assert status(full)["history_bytes"] > 4.9 * MB
    full.unmount()
    check()


def test_at_a_commit_the_oldest_gives_way(mount, check):
    m = mount("history=3M", "full=drop", env=QUIET)
    m.table.mkdir()
    for n in range(3):
        write(m.table / f"{n}", os.urandom(MB))
    for n in range(6):
        m.checkpoint(f"c{n}")
        tx = begin(m)
        write(tx / f"t/{n % 3}", os.urandom(MB))
        commit(tx)
        settle(m)
        assert status(m)["history_bytes"] <= 3 << 20
    assert names(m) and names(m) == [f"c{n}" for n in range(6 - len(names(m)), 6)]
    m.unmount()
    check()


def run_rollback(m, name):
    fd = os.open(m.path / ".mnefs/rollback", os.O_RDWR)
    try:
        os.write(fd, f"run\t{name}\n".encode())
    finally:
        os.close(fd)


def test_a_rollback_keeps_what_it_leaves_behind_and_fails_at_the_limit(full, check):
    for n in range(3):
        write(full.table / f"{n}", os.urandom(MB))
    write(full.table / "new", os.urandom(MB))
    before = {name: (full.table / name).read_bytes() for name in os.listdir(full.table)}
    with fails(errno.ENOSPC):
        run_rollback(full, "c")
    assert "the history is full" in last_word(full)
    assert before == {n: (full.table / n).read_bytes() for n in os.listdir(full.table)}
    assert names(full) == ["c"]
    for name in ("0", "1", "2", "new"):
        write(full.table / name, b"little")
    run_rollback(full, "c")
    assert (full.table / "0").read_bytes() == (full.checkpoints / "c/t/0").read_bytes()
    assert not (full.table / "new").exists()
    assert len(names(full)) == 2
    full.unmount()
    check()


def test_a_rollback_does_not_keep_what_was_deleted_since_its_checkpoint(full, check):
    with open(full.table / "new", "wb") as file:  # open: the reaper does not get it
        file.write(os.urandom(MB))
        file.flush()
        os.fsync(file.fileno())
        os.unlink(full.table / "new")
        run_rollback(full, "c")
    assert (full.table / "0").read_bytes() == (full.checkpoints / "c/t/0").read_bytes()
    full.unmount()
    check()


def test_for_a_rollback_others_give_way_and_never_the_one_that_comes_back(mount, check):
    m = mount("history=7M", "full=drop", env=QUIET)
    m.table.mkdir()
    for n in range(3):
        write(m.table / f"{n}", os.urandom(MB))
    m.checkpoint("first")
    write(m.table / "0", os.urandom(MB))
    m.checkpoint("second")
    write(m.table / "1", os.urandom(MB))
    m.checkpoint("third")
    then = {n: (m.checkpoints / "first/t" / n).read_bytes() for n in "012"}
    for n in range(3):
        write(m.table / f"{n}", os.urandom(MB))  # 3 + 1 + 1 MB are kept
    run_rollback(m, "first")
    assert {n: (m.table / n).read_bytes() for n in "012"} == then
    assert "first" in names(m) and "second" not in names(m)
    settle(m)
    with fails(errno.ENOENT):
        run_rollback(m, "second")
    m.unmount()
    check()


def test_percent_is_of_the_disk_and_df_shows_the_reserve(mount, store):
    m = mount("history=10%")
    m.table.mkdir()
    disk = os.statvfs(store)
    limit = disk.f_blocks * disk.f_frsize // 100 * 10
    assert abs(status(m)["history_limit"] - limit) <= 4096
    row = os.statvfs(m.checkpoints)
    assert abs(row.f_blocks * row.f_frsize - limit) <= 4096
    assert row.f_bfree == row.f_blocks


def test_status_says_how_much_of_it_is_taken(full, cli):
    assert "of 3.0 MiB (9" in cli("-C", full.path, "status").stdout
    row = os.statvfs(full.checkpoints)
    assert row.f_blocks * row.f_frsize == 3 << 20
    assert row.f_bavail * row.f_frsize < 200_000


@pytest.mark.parametrize(
    "option", ["history=", "history=0", "history=200%", "history=x", "full=maybe", "full"]
)
def test_other_limits_are_refused(mount, option):
    with pytest.raises(MountFailed) as failed:
        mount(option)
    assert failed.value.returncode == 2


@pytest.mark.root
@pytest.mark.timeout(240)
def test_on_a_full_disk_checkpoints_give_way_to_writes(make_mount, tmp_path, check):
    """64 MB, of which up to 25 % are kept back; rewritten many times over."""
    with loop_disk(64, tmp_path / "disk") as disk:
        m = make_mount(disk / "store", tmp_path / "mnt", "create", "full=drop", env=QUIET)
        m.table.mkdir()
        for n in range(100):
            write(m.table / f"{n % 5}", os.urandom(MB))
            m.checkpoint(f"c{n}")
        assert 1 <= len(names(m)) < 60
        assert "c99" in names(m)
        assert "to make room: the store was full" in (m.path / ".mnefs/log").read_text()
        m.unmount()
        check(disk / "store")
