# SPDX-License-Identifier: Apache-2.0
#
# test_posix_sparse.py - holes: far offsets, SEEK_HOLE, fallocate, copy_file_range

import errno
import os
import random
import subprocess

import pytest

from harness import (
    FALLOC_COLLAPSE_RANGE,
    FALLOC_KEEP_SIZE,
    FALLOC_PUNCH_HOLE,
    FALLOC_ZERO_RANGE,
    REFERENCE,
    fails,
    fallocate,
)

MIB = 1 << 20


@pytest.fixture
def fd(d):
    fd = os.open(d / "f", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


def fallocate_or_skip(fd, mode, offset, length):
    """EOPNOTSUPP is an honest answer."""
    try:
        fallocate(fd, mode, offset, length)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            pytest.skip("EOPNOTSUPP")
        raise


def test_a_hole_reads_as_zeros(fd):
    os.pwrite(fd, b"end", MIB)
    assert os.fstat(fd).st_size == MIB + 3
    assert os.pread(fd, 2 * MIB, 0) == bytes(MIB) + b"end"


def test_a_hole_takes_no_space(fd, d):
    os.pwrite(fd, b"end", 1 << 30)
    os.fsync(fd)
    assert (d / "f").stat().st_blocks * 512 < 10 * MIB


@pytest.mark.parametrize("shift", [31, 32, 40, 43])
def test_bytes_at_far_offsets_come_back(fd, shift):
    at = (1 << shift) - 2
    os.pwrite(fd, b"far!", at)
    assert os.fstat(fd).st_size == at + 4
    assert os.pread(fd, 10, at) == b"far!"
    assert os.pread(fd, 4, at - 2) == b"\0\0fa"
    assert os.pread(fd, 4, 0) == bytes(4)


def test_files_reach_two_to_the_62(d):
    fd = os.open(d / "f", os.O_RDWR | os.O_CREAT)
    at = (1 << 62) - 4
    try:
        os.pwrite(fd, b"last", at)
    except OSError as error:
        if REFERENCE and error.errno == errno.EFBIG:
            pytest.skip("the reference has smaller files")
        raise
    assert os.fstat(fd).st_size == 1 << 62
    assert os.pread(fd, 10, at) == b"last"
    assert os.lseek(fd, 0, os.SEEK_DATA) > 0
    os.close(fd)
    fd = os.open(d / "f", os.O_RDONLY)
    assert os.pread(fd, 10, at) == b"last"
    os.close(fd)
    os.truncate(d / "f", 0)
    assert (d / "f").read_bytes() == b""


def test_beyond_the_biggest_file_is_efbig(fd):
    with fails(errno.EFBIG, errno.EINVAL):
        os.pwrite(fd, b"xx", (1 << 63) - 2)
    assert os.fstat(fd).st_size == 0


def test_seek_data_and_seek_hole_find_data_and_holes(fd):
    os.pwrite(fd, b"x" * MIB, 4 * MIB)
    os.ftruncate(fd, 16 * MIB)
    os.fsync(fd)
    assert os.lseek(fd, 0, os.SEEK_HOLE) == 0
    data = os.lseek(fd, 0, os.SEEK_DATA)
    assert 0 <= data <= 4 * MIB
    hole = os.lseek(fd, 4 * MIB, os.SEEK_HOLE)
    assert 5 * MIB <= hole <= 16 * MIB
    assert os.lseek(fd, 4 * MIB + 5, os.SEEK_DATA) == 4 * MIB + 5


def test_seek_hole_of_a_full_file_is_its_end(fd):
    os.pwrite(fd, b"x" * 10000, 0)
    assert os.lseek(fd, 0, os.SEEK_HOLE) == 10000
    assert os.lseek(fd, 17, os.SEEK_DATA) == 17


def test_seek_data_at_or_after_the_end_is_enxio(fd):
    os.pwrite(fd, b"x", 0)
    for whence in (os.SEEK_DATA, os.SEEK_HOLE):
        with fails(errno.ENXIO):
            os.lseek(fd, 1, whence)
        with fails(errno.ENXIO):
            os.lseek(fd, 1000, whence)


def test_seek_data_in_a_trailing_hole_is_enxio(fd):
    os.ftruncate(fd, 10 * MIB)
    with fails(errno.ENXIO):
        os.lseek(fd, 0, os.SEEK_DATA)
    assert os.lseek(fd, 0, os.SEEK_HOLE) == 0


def test_seek_data_covers_every_byte_that_is_not_zero(fd):
    random_ = random.Random(3)
    written = []
    for _ in range(30):
        at = random_.randrange(0, 64 * MIB)
        os.pwrite(fd, b"\xff" * random_.randrange(1, 20000), at)
        written.append(at)
    for at in written:
        assert os.lseek(fd, at, os.SEEK_DATA) == at
    size = os.fstat(fd).st_size
    at, seen = 0, 0
    while at < size:
        data = os.lseek(fd, at, os.SEEK_DATA)
        if data > at:
            assert not any(os.pread(fd, min(data - at, MIB), at))
        at = os.lseek(fd, data, os.SEEK_HOLE)
        assert at > data
        seen += at - data
        if at < size:
            try:
                os.lseek(fd, at, os.SEEK_DATA)
            except OSError:
                break
    assert seen < 32 * MIB


def test_fallocate_extends_with_zeros(fd):
    os.pwrite(fd, b"abc", 0)
    fallocate_or_skip(fd, 0, 0, 100000)
    assert os.fstat(fd).st_size == 100000
    assert os.pread(fd, 100000, 0) == b"abc" + bytes(99997)


def test_fallocate_keep_size_keeps_the_size(fd):
    os.pwrite(fd, b"abc", 0)
    fallocate_or_skip(fd, FALLOC_KEEP_SIZE, 0, 100000)
    assert os.fstat(fd).st_size == 3
    assert os.pread(fd, 10, 0) == b"abc"


def test_posix_fallocate_works(fd):
    os.posix_fallocate(fd, 1000, 5000)
    assert os.fstat(fd).st_size == 6000


def test_fallocate_of_nothing_is_einval(fd):
    with fails(errno.EINVAL):
        fallocate(fd, 0, 0, 0)
    with fails(errno.EINVAL):
        fallocate(fd, 0, -1, 10)


@pytest.mark.parametrize(
    "at, length",
    [(0, 4096), (1, 10), (4096, 8192), (5000, 70000), (90000, 50000), (0, 200000)],
)
@pytest.mark.parametrize("size", [3000, 100000])
def test_a_punched_hole_is_zeros_and_keeps_the_size(fd, size, at, length):
    data = random.Random(2).randbytes(size)
    os.pwrite(fd, data, 0)
    fallocate_or_skip(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, at, length)
    end = min(at + length, size)
    expected = data[:at] + bytes(max(0, end - at)) + data[max(end, at) :]
    assert os.fstat(fd).st_size == size
    assert os.pread(fd, 300000, 0) == expected
    os.fsync(fd)
    assert os.pread(fd, 300000, 0) == expected


def test_a_punched_hole_gives_its_space_back(fd):
    os.pwrite(fd, os.urandom(8 * MIB), 0)
    os.fsync(fd)
    full = os.fstat(fd).st_blocks
    fallocate_or_skip(fd, FALLOC_PUNCH_HOLE | FALLOC_KEEP_SIZE, MIB, 6 * MIB)
    os.fsync(fd)
    assert os.fstat(fd).st_blocks < full / 2
    assert os.lseek(fd, 2 * MIB, os.SEEK_HOLE) == 2 * MIB


def test_punching_without_keep_size_is_refused(fd):
    with fails(errno.EOPNOTSUPP, errno.EINVAL):
        fallocate(fd, FALLOC_PUNCH_HOLE, 0, 4096)


@pytest.mark.parametrize("keep", [0, FALLOC_KEEP_SIZE])
def test_zero_range_zeroes_and_extends_unless_told(fd, keep):
    os.pwrite(fd, b"x" * 10000, 0)
    fallocate_or_skip(fd, FALLOC_ZERO_RANGE | keep, 5000, 10000)
    assert os.fstat(fd).st_size == (10000 if keep else 15000)
    expected = b"x" * 5000 + bytes(5000 if keep else 10000)
    assert os.pread(fd, 20000, 0) == expected


def test_modes_that_do_not_exist_change_nothing(fd):
    os.pwrite(fd, b"x" * 10000, 0)
    with fails(errno.EOPNOTSUPP, errno.EINVAL):
        fallocate(fd, FALLOC_COLLAPSE_RANGE, 1, 4096)
    assert os.pread(fd, 20000, 0) == b"x" * 10000


def test_copy_file_range_copies(d):
    data = random.Random(5).randbytes(300000)
    (d / "from").write_bytes(data)
    source = os.open(d / "from", os.O_RDONLY)
    target = os.open(d / "to", os.O_RDWR | os.O_CREAT)
    done = 0
    while done < len(data):
        n = os.copy_file_range(source, target, len(data) - done, done, done)
        assert n > 0
        done += n
    assert os.copy_file_range(source, target, 10, len(data), 0) == 0
    n = os.copy_file_range(source, target, 1000, 7, 200)
    data2 = data[:200] + data[7 : 7 + n] + data[200 + n :]
    os.close(source)
    os.close(target)
    assert (d / "to").read_bytes() == data2


def test_copy_file_range_within_a_file_that_overlaps_is_einval(d):
    (d / "f").write_bytes(b"x" * 1000)
    fd = os.open(d / "f", os.O_RDWR)
    with fails(errno.EINVAL):
        os.copy_file_range(fd, fd, 500, 0, 100)
    os.close(fd)


def test_cp_makes_an_equal_copy_of_a_sparse_file(d):
    fd = os.open(d / "f", os.O_RDWR | os.O_CREAT)
    for at in (0, 3 * MIB, 9 * MIB + 17):
        os.pwrite(fd, os.urandom(5000), at)
    os.ftruncate(fd, 12 * MIB)
    os.close(fd)
    for sparse in ("always", "auto", "never"):
        subprocess.run(["cp", f"--sparse={sparse}", "f", "g"], cwd=d, check=True)
        subprocess.run(["cmp", "f", "g"], cwd=d, check=True)


def test_st_blocks_is_never_zero_for_a_file_with_bytes(d):
    """I3: tar -S would archive it as zeros.  (ext4 may delay its blocks: fsync first.)"""
    for size in (1, 10, 500, 5000):
        (d / "f").write_bytes(b"x" * size)
        fd = os.open(d / "f", os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        assert (d / "f").stat().st_blocks >= 1
