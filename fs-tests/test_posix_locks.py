# SPDX-License-Identifier: Apache-2.0
#
# test_posix_locks.py - flock(2) and fcntl(2) locks between processes

import errno
import fcntl
import os
import signal
import time

import pytest

from harness import fails, in_child


@pytest.fixture
def file(d):
    (d / "f").write_bytes(bytes(100))
    return d / "f"


def refused(take):
    """Does another process get EAGAIN/EACCES?"""

    def attempt():
        try:
            take()
        except OSError as error:
            return error.errno
        return 0

    answer = in_child(attempt)
    assert answer in (0, errno.EAGAIN, errno.EACCES)
    return answer != 0


def test_flock_excludes_other_openings(file):
    fd = os.open(file, os.O_RDWR)

    def other(how):
        with open(file, "rb") as again:
            fcntl.flock(again, how | fcntl.LOCK_NB)

    fcntl.flock(fd, fcntl.LOCK_EX)
    assert refused(lambda: other(fcntl.LOCK_EX))
    assert refused(lambda: other(fcntl.LOCK_SH))
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert refused(lambda: other(fcntl.LOCK_EX))
    assert not refused(lambda: other(fcntl.LOCK_SH))
    fcntl.flock(fd, fcntl.LOCK_UN)
    assert not refused(lambda: other(fcntl.LOCK_EX))
    os.close(fd)


def test_flock_goes_with_its_last_descriptor(file):
    fd = os.open(file, os.O_RDWR)
    copy = os.dup(fd)
    fcntl.flock(fd, fcntl.LOCK_EX)

    def other():
        with open(file, "rb") as again:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)

    os.close(fd)
    assert refused(other)
    os.close(copy)
    assert not refused(other)


def test_record_locks_exclude_by_range(file):
    fd = os.open(file, os.O_RDWR)

    def other(start, length, how=fcntl.LOCK_EX):
        with open(file, "r+b") as again:
            fcntl.lockf(again, how | fcntl.LOCK_NB, length, start)

    fcntl.lockf(fd, fcntl.LOCK_EX, 10, 20)
    assert refused(lambda: other(25, 1))
    assert refused(lambda: other(0, 0))
    assert not refused(lambda: other(0, 20))
    assert not refused(lambda: other(30, 5))
    fcntl.lockf(fd, fcntl.LOCK_SH, 10, 20)
    assert refused(lambda: other(25, 1))
    assert not refused(lambda: other(25, 1, fcntl.LOCK_SH))
    fcntl.lockf(fd, fcntl.LOCK_UN, 10, 20)
    assert not refused(lambda: other(25, 1))
    os.close(fd)


def test_record_locks_go_with_any_close_of_the_process(file):
    fd = os.open(file, os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX)

    def other():
        with open(file, "r+b") as again:
            fcntl.lockf(again, fcntl.LOCK_EX | fcntl.LOCK_NB)

    assert refused(other)
    with open(file, "rb"):
        pass
    assert not refused(other)
    os.close(fd)


@pytest.mark.parametrize("kind", ["flock", "lockf"])
def test_a_waiter_gets_the_lock_when_the_holder_lets_go(file, kind):
    take = getattr(fcntl, kind)
    fd = os.open(file, os.O_RDWR)
    take(fd, fcntl.LOCK_EX)
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            again = os.open(file, os.O_RDWR)
            take(again, fcntl.LOCK_EX)
            os.write(write_end, b"got it")
        finally:
            os._exit(0)
    os.close(write_end)
    time.sleep(0.1)
    os.set_blocking(read_end, False)
    with fails(errno.EAGAIN):
        os.read(read_end, 10)
    os.set_blocking(read_end, True)
    take(fd, fcntl.LOCK_UN)
    assert os.read(read_end, 10) == b"got it"
    os.waitpid(pid, 0)
    os.close(read_end)
    os.close(fd)


@pytest.mark.parametrize("kind", ["flock", "lockf"])
def test_a_waiter_can_be_killed(file, kind):
    take = getattr(fcntl, kind)
    fd = os.open(file, os.O_RDWR)
    take(fd, fcntl.LOCK_EX)
    pid = os.fork()
    if pid == 0:
        try:
            take(os.open(file, os.O_RDWR), fcntl.LOCK_EX)
        finally:
            os._exit(0)
    time.sleep(0.1)
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL
    os.close(fd)


def test_locks_of_a_killed_process_are_gone(file):
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            fd = os.open(file, os.O_RDWR)
            fcntl.lockf(fd, fcntl.LOCK_EX)
            fcntl.flock(fd, fcntl.LOCK_EX)
            os.write(write_end, b"x")
            time.sleep(60)
        finally:
            os._exit(0)
    os.close(write_end)
    os.read(read_end, 1)
    os.close(read_end)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    fd = os.open(file, os.O_RDWR)
    fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(fd)
