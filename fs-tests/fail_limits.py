# SPDX-License-Identifier: Apache-2.0
#
# fail_limits.py - a mount at its limits: descriptors, open files, memory

import errno
import os
import random
import resource
import time

import pytest

from harness import eventually, fsync_path, is_sanitized

QUIET = {"G_MESSAGES_DEBUG": None}
SMALL = {**QUIET, "MNE_DEBUG": "unit=65536"}
MIB = 1 << 20


def rss(m):
    with open(f"/proc/{m.pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def open_files(m):
    status = (m.path / ".mnefs/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("open_files"))


# --- descriptors -----------------------------------------------------------------------


def test_a_daemon_without_descriptors_fails_what_needs_one_and_recovers(mount, check):
    rng = random.Random(1)
    kept = {}
    with mount(env=SMALL) as m:
        m.table.mkdir()
        m.expect_log("(?i)too many open files|EMFILE")
        used = len(os.listdir(f"/proc/{m.pid}/fd"))
        hard = resource.prlimit(m.pid, resource.RLIMIT_NOFILE)[1]
        resource.prlimit(m.pid, resource.RLIMIT_NOFILE, (used + 1, hard))
        refused = 0
        for n in range(120):
            data = rng.randbytes(30_000)
            try:
                (m.table / f"f{n}").write_bytes(data)
                fsync_path(m.table / f"f{n}")
            except OSError as error:
                assert error.errno in (errno.EMFILE, errno.ENFILE, errno.EIO, errno.EROFS)
                refused += 1
            else:
                kept[f"f{n}"] = data
        assert refused, "the limit was not felt"
        resource.prlimit(m.pid, resource.RLIMIT_NOFILE, (hard, hard))
        for name, data in kept.items():
            assert (m.table / name).read_bytes() == data
        if "failed 0" in (m.path / ".mnefs/status").read_text():
            (m.table / "again").write_bytes(b"again")
            fsync_path(m.table / "again")
        m.unmount(check=False)
    with mount(env=SMALL) as m:
        for name, data in kept.items():
            assert (m.table / name).read_bytes() == data
    check()


def test_a_daemon_that_may_write_only_short_files_fails_what_needs_more_and_recovers(
    mount, check
):
    rng = random.Random(2)
    kept = {}
    with mount(env=QUIET) as m:
        m.table.mkdir()
        m.expect_log("(?i)file too large|EFBIG")
        soft, hard = resource.prlimit(m.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(m.pid, resource.RLIMIT_FSIZE, (400_000, hard))
        refused = 0
        for n in range(200):
            data = rng.randbytes(rng.choice([2_000, 7_000]))
            try:
                (m.table / f"f{n}").write_bytes(data)
                fsync_path(m.table / f"f{n}")
            except OSError as error:
                assert error.errno in (errno.EFBIG, errno.EIO, errno.ENOENT)
                refused += 1
            else:
                kept[f"f{n}"] = data
        assert refused, "the limit was not felt"
        assert kept, "nothing went"
        resource.prlimit(m.pid, resource.RLIMIT_FSIZE, (soft, hard))
        (m.table / "after").write_bytes(b"after")
        fsync_path(m.table / "after")
        for name, data in kept.items():
            assert (m.table / name).read_bytes() == data
    check()
    with mount() as m:
        for name, data in kept.items():
            assert (m.table / name).read_bytes() == data
        assert (m.table / "after").read_bytes() == b"after"


# --- open files ------------------------------------------------------------------------


class Holder:
    """A client: opens files, says so, waits, and looks whether they still work."""

    def __init__(self, top, numbers):
        self.ready, ready = os.pipe()
        go_on, self.go_on = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
                resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
                self.hold(top, numbers, ready, go_on)
                status = 0
            finally:
                os._exit(status)
        os.close(ready)
        os.close(go_on)

    def hold(self, top, numbers, ready, go_on):
        files = {n: os.open(top / f"{n}", os.O_CREAT | os.O_RDWR) for n in numbers}
        for n in numbers[::997]:
            os.write(files[n], b"%d" % n)
        os.write(ready, b"x")
        os.read(go_on, 1)
        for n in numbers[::997]:
            assert os.pread(files[n], 20, 0) == b"%d" % n
            os.fsync(files[n])

    def end(self):
        os.write(self.go_on, b"x")
        return os.waitpid(self.pid, 0)[1] == 0


@pytest.mark.timeout(300)
def test_a_hundred_thousand_files_can_be_open(mount, check, request):
    count = request.config.getoption("--open-files")
    each = min(count, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200)
    with mount(env=QUIET) as m:
        m.table.mkdir()
        holders = [
            Holder(m.table, range(first, min(first + each, count)))
            for first in range(0, count, each)
        ]
        assert all(os.read(holder.ready, 1) == b"x" for holder in holders)
        assert open_files(m) == count
        assert len(os.listdir(m.table)) == count
        assert rss(m) < 150 * MIB + 2500 * count, f"{rss(m) / MIB} MiB"
        m.checkpoint("c")
        assert all([holder.end() for holder in holders])
        assert eventually(lambda: open_files(m) == 0)
        (m.table / "one more").write_text("x")
    check()


@pytest.mark.timeout(300)
def test_what_a_client_opens_and_never_closes_goes_with_the_client(mount, check):
    """Killed with everything open, some of it unlinked: names stay, space comes back."""
    with mount(env=SMALL) as m:
        m.table.mkdir()
        ready, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                for n in range(300):
                    fd = os.open(m.table / f"f{n}", os.O_CREAT | os.O_RDWR)
                    os.write(fd, b"%d" % n * 10_000)
                    if n % 3 == 0:
                        os.unlink(m.table / f"f{n}")
                os.write(told, b"x")
                time.sleep(1000)
            finally:
                os._exit(1)
        assert os.read(ready, 1) == b"x"
        assert open_files(m) == 300
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        assert eventually(lambda: open_files(m) == 0)
        assert len(os.listdir(m.table)) == 200
        for n in range(1, 300, 3):
            assert (m.table / f"f{n}").read_bytes() == b"%d" % n * 10_000
    check()


# --- memory ----------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_what_many_writers_have_not_committed_does_not_fill_the_memory(mount, check):
    """800 files are written side by side in small pieces, 200 MiB in all, none closed."""
    piece, rounds, count = os.urandom(16_384), 16, 800
    with mount(env=QUIET) as m:
        m.table.mkdir()
        before = rss(m)
        files = [os.open(m.table / f"f{n}", os.O_CREAT | os.O_RDWR) for n in range(count)]
        most = 0
        for _ in range(rounds):
            for fd in files:
                os.write(fd, piece)
            most = max(most, rss(m) - before)
        assert most < 170 * MIB or is_sanitized(), f"{most / MIB} MiB"
        for fd in files[::97]:
            assert os.pread(fd, len(piece), 5 * len(piece)) == piece
        for fd in files:
            os.close(fd)
        assert eventually(lambda: open_files(m) == 0)
        for n in range(0, count, 97):
            assert (m.table / f"f{n}").read_bytes() == piece * rounds
    check()
