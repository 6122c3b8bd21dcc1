# SPDX-License-Identifier: Apache-2.0
#
# test_posix_files.py - the bytes of a file: create, read, write, append, truncate, mmap

import ctypes
import errno
import mmap
import os
import random
import shutil
import subprocess
import threading

import pytest

import aio

from harness import fails, in_child, link_fd, libc

SIZES = [0, 1, 100, 1023, 1024, 1025, 4095, 4096, 4097, 65536, 131072, 1 << 20, 3000001]


def pattern(size, seed=1):
    return random.Random(seed).randbytes(size)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_is_read_back(d, size):
    data = pattern(size)
    (d / "f").write_bytes(data)
    assert (d / "f").read_bytes() == data
    assert (d / "f").stat().st_size == size


def test_files_of_every_size_survive_being_rewritten_in_another_size(d):
    for size in SIZES + SIZES[::-1]:
        data = pattern(size, size)
        (d / "f").write_bytes(data)
        assert (d / "f").read_bytes() == data


def test_a_new_file_is_empty_and_has_one_name(d):
    (d / "f").touch()
    info = (d / "f").stat()
    assert (info.st_size, info.st_nlink) == (0, 1)
    assert os.listdir(d) == ["f"]


def test_creating_obeys_mode_and_umask(d):
    old = os.umask(0o027)
    try:
        os.close(os.open(d / "f", os.O_CREAT | os.O_WRONLY, 0o666))
        (d / "sub").mkdir(0o777)
    finally:
        os.umask(old)
    assert (d / "f").stat().st_mode == 0o100640
    assert (d / "sub").stat().st_mode & 0o7777 == 0o750


def test_o_excl_refuses_what_exists_even_a_dangling_symlink(d):
    (d / "f").touch()
    (d / "dangling").symlink_to("nowhere")
    for name in ("f", "dangling"):
        with fails(errno.EEXIST):
            os.open(d / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY)


def test_opening_a_missing_file_without_o_creat_is_enoent(d):
    with fails(errno.ENOENT):
        os.open(d / "f", os.O_RDWR)
    with fails(errno.ENOENT):
        os.open(d / "no" / "f", os.O_RDWR | os.O_CREAT)


def test_opening_a_directory_for_writing_is_eisdir(d):
    (d / "sub").mkdir()
    with fails(errno.EISDIR):
        os.open(d / "sub", os.O_WRONLY)


def test_a_file_is_no_directory(d):
    (d / "f").touch()
    with fails(errno.ENOTDIR):
        (d / "f" / "x").stat()
    with fails(errno.ENOTDIR):
        os.open(d / "f", os.O_RDONLY | os.O_DIRECTORY)


def test_o_trunc_empties_a_file(d):
    (d / "f").write_bytes(pattern(100000))
    fd = os.open(d / "f", os.O_WRONLY | os.O_TRUNC)
    assert (d / "f").stat().st_size == 0
    os.close(fd)
    assert (d / "f").read_bytes() == b""


def test_a_read_only_descriptor_cannot_write_and_the_reverse(d):
    (d / "f").write_bytes(b"x")
    fd = os.open(d / "f", os.O_RDONLY)
    with fails(errno.EBADF):
        os.write(fd, b"y")
    os.close(fd)
    fd = os.open(d / "f", os.O_WRONLY)
    with fails(errno.EBADF):
        os.read(fd, 1)
    os.close(fd)


def test_reading_beyond_the_end_is_empty(d):
    (d / "f").write_bytes(b"12345")
    fd = os.open(d / "f", os.O_RDONLY)
    assert os.pread(fd, 10, 3) == b"45"
    assert os.pread(fd, 10, 5) == b""
    assert os.pread(fd, 10, 1 << 40) == b""
    os.close(fd)


def test_random_writes_agree_with_a_bytearray(d):
    random_ = random.Random(7)
    model = bytearray()
    fd = os.open(d / "f", os.O_RDWR | os.O_CREAT)
    for _ in range(300):
        at = random_.choice([0, 1000, 4096, 60000, 131072, 400000]) + random_.randrange(50)
        data = random_.randbytes(random_.choice([1, 10, 1000, 4096, 5000, 70000]))
        what = random_.random()
        if what < 0.75:
            os.pwrite(fd, data, at)
            model.extend(bytes(max(0, at + len(data) - len(model))))
            model[at : at + len(data)] = data
        elif what < 0.9:
            os.ftruncate(fd, at)
            model = model[:at] + bytes(max(0, at - len(model)))
        else:
            os.fsync(fd)
        assert os.pread(fd, 8192, at) == model[at : at + 8192]
    assert os.pread(fd, 1 << 20, 0) == model
    os.close(fd)
    assert (d / "f").read_bytes() == model


def test_every_reader_sees_a_write_at_once(d):
    fd = os.open(d / "f", os.O_RDWR | os.O_CREAT)
    other = os.open(d / "f", os.O_RDONLY)
    for n in range(50):
        os.pwrite(fd, b"%04d" % n, n * 4)
        assert os.pread(other, 4, n * 4) == b"%04d" % n
        assert os.stat(d / "f").st_size == n * 4 + 4
    os.close(fd)
    os.close(other)


def test_two_writers_of_one_file_see_each_other(d):
    a = os.open(d / "f", os.O_RDWR | os.O_CREAT)
    b = os.open(d / "f", os.O_RDWR)
    os.pwrite(a, b"aaaa", 0)
    os.pwrite(b, b"bb", 1)
    assert os.pread(a, 10, 0) == b"abba"
    os.close(a)
    os.pwrite(b, b"c", 4)
    os.close(b)
    assert (d / "f").read_bytes() == b"abbac"


def test_o_append_always_writes_at_the_end(d):
    (d / "f").write_bytes(b"begin")
    fd = os.open(d / "f", os.O_WRONLY | os.O_APPEND)
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, b" middle")
    with open(d / "f", "ab") as other:
        other.write(b" other")
    os.write(fd, b" end")
    os.close(fd)
    assert (d / "f").read_bytes() == b"begin middle other end"


def test_appends_of_two_processes_lose_nothing(d):
    lines = 400

    def append(letter):
        fd = os.open("f", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        for n in range(lines):
            os.write(fd, b"%s%06d\n" % (letter, n))
        os.close(fd)

    pids = []
    for letter in (b"a", b"b"):
        pid = os.fork()
        if pid == 0:
            try:
                os.chdir(d)
                append(letter)
            finally:
                os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    got = (d / "f").read_bytes().splitlines()
    assert len(got) == 2 * lines
    for letter in (b"a", b"b"):
        mine = [line for line in got if line.startswith(letter)]
        assert mine == [b"%s%06d" % (letter, n) for n in range(lines)]


@pytest.mark.parametrize("size", [0, 1, 10, 1000, 4096, 5000, 100000])
def test_truncate_cuts_and_extends_with_zeros(d, size):
    data = pattern(50000)
    (d / "f").write_bytes(data)
    os.truncate(d / "f", size)
    assert (d / "f").read_bytes() == data[:size] + bytes(max(0, size - len(data)))


def test_what_truncate_cut_off_does_not_come_back(d):
    (d / "f").write_bytes(pattern(100000))
    os.truncate(d / "f", 10)
    os.truncate(d / "f", 100000)
    assert (d / "f").read_bytes() == pattern(100000)[:10] + bytes(99990)


def test_truncating_nothing_to_a_size_makes_zeros(d):
    (d / "f").touch()
    os.truncate(d / "f", 12345)
    assert (d / "f").read_bytes() == bytes(12345)


def test_a_negative_size_and_a_directory_cannot_be_truncated(d):
    (d / "sub").mkdir()
    with fails(errno.EISDIR):
        os.truncate(d / "sub", 0)
    (d / "f").touch()
    with fails(errno.EINVAL):
        os.truncate(d / "f", -1)


def test_an_open_unlinked_file_keeps_working(d):
    fd = os.open(d / "f", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"before")
    os.unlink(d / "f")
    assert os.listdir(d) == []
    assert os.fstat(fd).st_nlink == 0
    os.pwrite(fd, pattern(300000), 6)
    os.ftruncate(fd, 200000)
    os.fsync(fd)
    os.fchmod(fd, 0o600)
    assert os.pread(fd, 300000, 0) == b"before" + pattern(300000)[: 200000 - 6]
    (d / "f").write_bytes(b"another")
    assert os.pread(fd, 6, 0) == b"before"
    os.close(fd)
    assert (d / "f").read_bytes() == b"another"


def test_a_file_replaced_by_rename_stays_readable_where_it_is_open(d):
    (d / "f").write_bytes(b"old")
    fd = os.open(d / "f", os.O_RDWR)
    (d / "g").write_bytes(b"new")
    os.rename(d / "g", d / "f")
    assert os.pread(fd, 10, 0) == b"old"
    os.pwrite(fd, b"!", 3)
    assert os.pread(fd, 10, 0) == b"old!"
    assert (d / "f").read_bytes() == b"new"
    os.close(fd)


def test_a_file_renamed_while_open_is_the_same_file(d):
    fd = os.open(d / "f", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"one")
    os.rename(d / "f", d / "g")
    os.write(fd, b"two")
    assert (d / "g").read_bytes() == b"onetwo"
    (d / "sub").mkdir()
    os.rename(d / "g", d / "sub" / "h")
    os.write(fd, b"three")
    os.close(fd)
    assert (d / "sub" / "h").read_bytes() == b"onetwothree"
    assert os.listdir(d) == ["sub"]


def test_o_tmpfile_has_no_name_until_linkat_gives_it_one(d):
    try:
        fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o640)
    except OSError as error:
        assert error.errno == errno.EOPNOTSUPP
        pytest.skip("no O_TMPFILE here")
    data = pattern(70000)
    os.write(fd, data)
    assert os.listdir(d) == []
    assert os.fstat(fd).st_nlink == 0
    link_fd(fd, d / "f")
    assert os.fstat(fd).st_nlink == 1
    os.pwrite(fd, b"x", 0)
    os.close(fd)
    assert (d / "f").read_bytes() == b"x" + data[1:]
    assert (d / "f").stat().st_mode & 0o7777 == 0o640


def test_an_o_tmpfile_that_got_no_name_is_gone(d):
    try:
        fd = os.open(d, os.O_TMPFILE | os.O_RDWR, 0o640)
    except OSError:
        pytest.skip("no O_TMPFILE here")
    os.write(fd, b"x")
    os.close(fd)
    assert os.listdir(d) == []


def test_o_tmpfile_with_o_excl_cannot_be_linked(d):
    try:
        fd = os.open(d, os.O_TMPFILE | os.O_RDWR | os.O_EXCL, 0o640)
    except OSError:
        pytest.skip("no O_TMPFILE here")
    with fails(errno.ENOENT):
        link_fd(fd, d / "f")
    os.close(fd)


def test_a_private_and_a_shared_mapping_read_the_file(d):
    data = pattern(20000)
    (d / "f").write_bytes(data)
    with open(d / "f", "rb") as file:
        for flags in (mmap.MAP_SHARED, mmap.MAP_PRIVATE):
            with mmap.mmap(file.fileno(), 0, flags=flags, prot=mmap.PROT_READ) as seen:
                assert seen[:] == data


def test_a_shared_mapping_writes_the_file(d):
    (d / "f").write_bytes(bytes(20000))
    with open(d / "f", "r+b") as file:
        with mmap.mmap(file.fileno(), 0) as seen:
            seen[5000:5005] = b"hello"
            seen.flush()
            assert os.pread(file.fileno(), 5, 5000) == b"hello"
            seen[19999:20000] = b"!"
    assert (d / "f").read_bytes() == bytes(5000) + b"hello" + bytes(14994) + b"!"


def test_a_mapping_outlives_its_descriptor(d):
    (d / "f").write_bytes(bytes(9000))
    fd = os.open(d / "f", os.O_RDWR)
    seen = mmap.mmap(fd, 0)
    os.close(fd)
    seen[8000:8003] = b"abc"
    seen.close()
    assert (d / "f").read_bytes() == bytes(8000) + b"abc" + bytes(997)


def test_a_mapping_sees_what_write_wrote(d):
    (d / "f").write_bytes(bytes(8192))
    with open(d / "f", "r+b") as file:
        with mmap.mmap(file.fileno(), 0) as seen:
            assert seen[4096:4100] == bytes(4)
            os.pwrite(file.fileno(), b"here", 4096)
            assert seen[4096:4100] == b"here"


def test_fsync_and_fdatasync_of_files_and_directories_work(d):
    fd = os.open(d / "f", os.O_RDWR | os.O_CREAT)
    os.write(fd, pattern(5000))
    os.fdatasync(fd)
    os.fsync(fd)
    os.close(fd)
    fd = os.open(d, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(fd)
    os.fdatasync(fd)
    assert libc.syncfs(fd) == 0
    os.close(fd)


@pytest.mark.parametrize("flag", [os.O_SYNC, os.O_DSYNC])
def test_synchronous_writes_work(d, flag):
    fd = os.open(d / "f", os.O_RDWR | os.O_CREAT | flag)
    os.write(fd, b"x" * 5000)
    os.close(fd)
    assert (d / "f").read_bytes() == b"x" * 5000


def test_vectored_writes_and_reads_agree(d):
    fd = os.open(d / "f", os.O_RDWR | os.O_CREAT)
    parts = [pattern(n, n) for n in (1, 4096, 33, 10000)]
    assert os.writev(fd, parts) == sum(map(len, parts))
    buffers = [bytearray(len(part)) for part in parts]
    os.preadv(fd, buffers, 0)
    assert buffers == parts
    os.close(fd)


def test_writes_through_dup_and_fork_share_the_offset(d):
    fd = os.open(d / "f", os.O_RDWR | os.O_CREAT)
    copy = os.dup(fd)
    os.write(fd, b"a")
    os.write(copy, b"b")
    in_child(lambda: os.write(fd, b"c"))
    os.write(fd, b"d")
    os.close(fd)
    os.write(copy, b"e")
    os.close(copy)
    assert (d / "f").read_bytes() == b"abcde"


def test_programs_can_be_run_from_it(d):
    script = d / "run"
    script.write_text("#!/bin/sh\necho ran $1\n")
    script.chmod(0o755)
    done = subprocess.run([script, "well"], capture_output=True, text=True, check=True)
    assert done.stdout == "ran well\n"
    shutil.copy("/bin/true", d / "true")
    (d / "true").chmod(0o755)
    subprocess.run([d / "true"], check=True)


# --- past the page cache ---------------------------------------------------------------


@pytest.mark.skipif(not aio.is_known(), reason="system calls of unknown numbers")
def test_a_reader_sees_what_was_written_past_the_cache_at_once(d):
    """Asynchronously, too, while others read the old bytes into the cache."""
    size = 10 * 65_536
    old, new = (mmap.mmap(-1, size) for _ in range(2))
    fd = os.open(d / "f", os.O_CREAT | os.O_RDWR | os.O_DIRECT)
    done = threading.Event()

    def read_on():
        while not done.is_set():
            (d / "f").read_bytes()

    os.pwrite(fd, old, 0)
    reader = threading.Thread(target=read_on)
    reader.start()
    try:
        with aio.Queue() as queue:
            for turn in range(150):
                new[:] = bytes([1 + turn % 200]) * size
                whole = (ctypes.c_char * size).from_buffer(new)
                pieces = [
                    (ctypes.c_char * 65_536).from_buffer(whole, at)
                    for at in range(0, size, 65_536)
                ]
                for number, piece in enumerate(pieces):
                    queue.write(fd, piece, 65_536 * number)
                for _ in pieces:
                    assert queue.wait() == 65_536
                assert (d / "f").read_bytes() == new[:], turn
    finally:
        done.set()
        reader.join()
        os.close(fd)
