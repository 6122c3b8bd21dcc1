# SPDX-License-Identifier: Apache-2.0
#
# test_written_only.py - descriptors that can only write go past the kernel's cache, and
# nobody can tell

import errno
import mmap
import os
import stat

import pytest

from harness import as_nobody, fails


@pytest.fixture
def file(fs):
    path = fs.table / "x"
    path.write_bytes(b"a" * 10000)
    return path


def status(fs, key):
    lines = (fs.path / ".mnefs/status").read_text().splitlines()
    return int(dict(line.split(" ", 1) for line in lines)[key])


def write_only(path, flags=0):
    return os.open(path, os.O_WRONLY | flags)


def test_one_who_has_it_in_the_cache_sees_what_is_written(file):
    with open(file, "rb", buffering=0) as reader:
        assert reader.read(10) == b"a" * 10
        fd = write_only(file)
        os.pwrite(fd, b"new", 2)
        assert os.pread(reader.fileno(), 6, 0) == b"aanewa"
        os.pwrite(fd, b"end", 9998)
        assert os.pread(reader.fileno(), 10, 9996) == b"aaend"
        os.close(fd)
        assert os.pread(reader.fileno(), 6, 0) == b"aanewa"


def test_one_who_has_it_mapped_sees_what_is_written(file):
    with open(file, "r+b") as mapped, mmap.mmap(mapped.fileno(), 10000) as memory:
        assert memory[:3] == b"aaa"
        memory[4096:4099] = b"mmm"  # of a page that is written around
        fd = write_only(file)
        os.pwrite(fd, b"new", 0)
        os.pwrite(fd, b"new", 4200)
        assert memory[:4] == b"newa"
        assert memory[4096:4099] == b"mmm"
        assert memory[4200:4203] == b"new"
        os.close(fd)
    assert file.read_bytes()[4096:4100] == b"mmma"


def test_appends_of_two_descriptors_follow_one_another(file):
    a, b = write_only(file, os.O_APPEND), write_only(file, os.O_APPEND)
    for fd, text in ((a, b"1"), (b, b"22"), (a, b"333"), (b, b"4444")):
        os.write(fd, text)
        assert os.fstat(fd).st_size == file.stat().st_size
    os.close(a)
    os.close(b)
    assert file.read_bytes() == b"a" * 10000 + b"1223334444"


def test_size_and_times_are_those_of_the_last_write(file):
    before = file.stat()
    fd = write_only(file, os.O_TRUNC)
    assert file.stat().st_size == 0
    os.write(fd, b"x" * 5000)
    info = os.fstat(fd)
    os.close(fd)
    assert info.st_size == file.stat().st_size == 5000
    assert info.st_mtime_ns > before.st_mtime_ns


def test_what_is_written_in_sync_is_durable_when_the_call_returns(fs, file):
    for flags in (os.O_SYNC, os.O_DSYNC):
        fd = write_only(file, flags)
        for _ in range(3):
            barriers = status(fs, "barriers")
            assert os.write(fd, b"durable") == 7
            assert status(fs, "barriers") > barriers
            assert status(fs, "last_barrier_seq") == status(fs, "seq")
        os.close(fd)


def test_one_write_of_many_may_be_in_sync(fs, file):
    fd = write_only(file)
    os.pwrite(fd, b"not", 0)
    barriers = status(fs, "barriers")
    assert os.pwritev(fd, [b"du", b"rable"], 0, os.RWF_DSYNC) == 7
    assert status(fs, "barriers") > barriers
    os.close(fd)
    assert file.read_bytes()[:8] == b"durablea"


@pytest.mark.root
def test_a_write_drops_the_capability_of_a_file(file):
    capability = bytes.fromhex("0100000200040000000000000000000000000000")
    fd = write_only(file)
    os.setxattr(file, "user.kept", b"kept")
    for _ in range(2):
        os.setxattr(file, "security.capability", capability)
        os.pwrite(fd, b"new", 0)
        with fails(errno.ENODATA):
            os.getxattr(file, "security.capability")
    os.close(fd)
    assert os.listxattr(file) == ["user.kept"]


@pytest.mark.root
def test_setuid_is_gone_when_the_write_of_somebody_else_returns(open_fs):
    table = open_fs.table
    table.chmod(0o777)
    (table / "x").write_text("#!/bin/sh\n")

    def work():
        fd = os.open("x", os.O_WRONLY)
        for n in range(20):
            with open("turn", "w", encoding="ascii") as turn:
                turn.write(str(n))
            os.rename("turn", f"ask{n}")
            while not os.path.exists(f"go{n}"):
                pass
            assert os.stat("x").st_mode & stat.S_ISUID
            os.pwrite(fd, b"#!/bin/sh\n", 0)
            assert not os.stat("x").st_mode & stat.S_ISUID
        os.close(fd)

    child = os.fork()
    if child == 0:
        for n in range(20):
            while not (table / f"ask{n}").exists():
                pass
            (table / "x").chmod(0o4777)
            (table / f"go{n}").write_text("")
        os._exit(0)
    (table / "x").chmod(0o4777)
    try:
        as_nobody(table, work)
    finally:
        os.waitpid(child, 0)
