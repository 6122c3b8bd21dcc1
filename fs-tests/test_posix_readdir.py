# SPDX-License-Identifier: Apache-2.0
#
# test_posix_readdir.py - listings: complete, without repeats, while others come and go

import collections
import os
import random

import pytest

from harness import DirStream

MANY = 20_000


def make_many(d, names):
    fd = os.open(d, os.O_RDONLY)
    for name in names:
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=fd))
    os.close(fd)


def stay_names(count):
    return [f"stay-{n:06d}".encode() for n in range(count)]


@pytest.mark.timeout(180)
def test_entries_that_stay_appear_once_while_others_come_and_go(fs):
    """20,000 that stay; a child creates, unlinks and renames others all the time."""
    d = fs.table
    stay = stay_names(MANY)
    make_many(d, stay)
    assert sorted(os.listdir(os.fsencode(d))) == stay
    stop = d / "stop-00"
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(d)
            random_ = random.Random(1)
            here = []
            for n in range(100_000):
                if n % 64 == 0 and os.path.exists("stop-00"):
                    break
                name = f"{random_.choice('azst')}-{random_.randrange(MANY)}-{n}"
                os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
                here.append(name)
                if len(here) > 50:
                    os.unlink(here.pop(random_.randrange(len(here))))
                    os.rename(here[0], here[0] + "r")
                    here[0] += "r"
        finally:
            os._exit(0)
    try:
        for _ in range(3):
            seen = collections.Counter(os.listdir(os.fsencode(d)))
            assert [n for n in stay if seen[n] != 1] == []
            assert [n for n, count in seen.items() if count != 1] == []
    finally:
        stop.touch()
        os.waitpid(pid, 0)


@pytest.mark.timeout(180)
def test_removing_while_listing_removes_all(fs):
    """What rm -r does, with everything gone from under the stream."""
    d = fs.table
    make_many(d, stay_names(3000))
    seen = []
    with DirStream(d) as stream:
        while (name := stream.read()) is not None:
            os.unlink(os.fsencode(d) + b"/" + name)
            seen.append(name)
    assert sorted(seen) == stay_names(3000)
    assert os.listdir(d) == []


def test_creating_while_listing_neither_repeats_nor_hides_nor_loops(d):
    stay = stay_names(1000)
    make_many(d, stay)
    seen = collections.Counter()
    made = 0
    with DirStream(d) as stream:
        while (name := stream.read()) is not None:
            seen[name] += 1
            made += 1
            if made < 5000:
                (d / f"z-{made}").touch()
                (d / f"a-{made}").touch()
    assert [n for n in stay if seen[n] != 1] == []
    assert max(seen.values()) == 1


def test_telldir_and_seekdir_come_back_to_the_same_entry(d):
    make_many(d, stay_names(2000))
    with DirStream(d) as stream:
        order, positions = [], []
        while True:
            position = stream.tell()
            name = stream.read()
            if name is None:
                break
            positions.append(position)
            order.append(name)
        assert sorted(order) == stay_names(2000)
        for n in random.Random(1).sample(range(2000), 200) + [0, 1999]:
            stream.seek(positions[n])
            assert stream.read() == order[n]
            if n < 1999:
                assert stream.read() == order[n + 1]


def test_seekdir_skips_what_was_unlinked_and_keeps_the_rest(d):
    make_many(d, stay_names(1000))
    with DirStream(d) as stream:
        order = [stream.read() for _ in range(300)]
        position = stream.tell()
        rest = []
        while (name := stream.read()) is not None:
            rest.append(name)
        for name in order[::2] + rest[::2]:
            os.unlink(os.fsencode(d) + b"/" + name)
        stream.seek(position)
        again = []
        while (name := stream.read()) is not None:
            again.append(name)
    assert [n for n in again if n in rest[1::2]] == rest[1::2]
    assert not set(again) & set(order)


def test_rewinddir_sees_what_is_new(d):
    make_many(d, stay_names(10))
    with DirStream(d) as stream:
        while stream.read() is not None:
            pass
        (d / "new").touch()
        stream.rewind()
        names = set()
        while (name := stream.read()) is not None:
            names.add(name)
    assert names == {*stay_names(10), b"new"}


def test_two_streams_of_one_directory_do_not_disturb_each_other(d):
    make_many(d, stay_names(500))
    with DirStream(d) as one, DirStream(d) as two:
        first = [one.read() for _ in range(250)]
        all_of_two = []
        while (name := two.read()) is not None:
            all_of_two.append(name)
        while (name := one.read()) is not None:
            first.append(name)
    assert sorted(first) == sorted(all_of_two) == stay_names(500)


def test_long_names_fill_the_buffer_without_loss(d):
    names = [f"{n:04d}".encode() + b"x" * 251 for n in range(1000)]
    make_many(d, [os.fsdecode(n) for n in names])
    assert sorted(os.listdir(os.fsencode(d))) == names


def test_listing_gives_what_stat_gives(d):
    for n in range(200):
        (d / str(n)).write_bytes(b"x" * n)
    with os.scandir(d) as entries:
        for entry in entries:
            info = os.lstat(entry.path)
            assert entry.inode() == info.st_ino
            assert info.st_size == int(entry.name)
