# SPDX-License-Identifier: Apache-2.0
#
# test_stress.py - many processes at once in the same few names, and one file after all

import errno
import mmap
import os
import random
import shutil
import time

import pytest

from harness import (
    FALLOC_KEEP_SIZE,
    FALLOC_PUNCH_HOLE,
    FALLOC_ZERO_RANGE,
    RENAME_EXCHANGE,
    RENAME_NOREPLACE,
    fallocate,
    renameat2,
    tree,
)

QUIET = {"G_MESSAGES_DEBUG": None}

# What may happen to somebody whose file is taken away while he works.
EXPECTED = {
    None,  # shutil.rmtree of a symlink
    errno.ENOENT,
    errno.EPERM,  # link of a directory
    errno.EEXIST,
    errno.ENOTEMPTY,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.EINVAL,
    errno.ENODATA,
    errno.ESTALE,
    errno.EBUSY,
    errno.ELOOP,
}


class Chaos:
    """Random operations on few names, so that they meet."""

    def __init__(self, top, seed):
        self.top = top
        self.random = random.Random(seed)

    def path(self):
        depth = self.random.choice([1, 1, 2, 2, 3])
        return self.top / "/".join(self.random.choice("abcd") for _ in range(depth))

    def write(self):
        data = self.random.randbytes(self.random.choice([0, 10, 3000, 100_000]))
        with open(self.path(), self.random.choice(["wb", "ab"]), buffering=0) as file:
            file.write(data)
            if self.random.random() < 0.05:
                os.fsync(file.fileno())

    def read(self):
        path = self.path()
        if path.is_dir():
            for entry in os.scandir(path):
                entry.stat(follow_symlinks=False)
        else:
            path.read_bytes()

    def mkdir(self):
        self.path().mkdir()

    def rmdir(self):
        self.path().rmdir()

    def unlink(self):
        self.path().unlink()

    def rmtree(self):
        if self.random.random() < 0.2:
            shutil.rmtree(self.path())

    def rename(self):
        os.rename(self.path(), self.path())

    def rename2(self):
        flags = self.random.choice([RENAME_EXCHANGE, RENAME_NOREPLACE])
        renameat2(self.path(), self.path(), flags)

    def link(self):
        os.link(self.path(), self.path())

    def symlink(self):
        self.path().symlink_to("a")

    def truncate(self):
        os.truncate(self.path(), self.random.choice([0, 5, 5000, 200_000]))

    def xattr(self):
        os.setxattr(self.path(), "user.x", self.random.randbytes(self.random.choice([3, 5000])))

    def chmod(self):
        self.path().chmod(self.random.choice([0o600, 0o644, 0o755]))

    def keep_open(self):
        """An unlinked or renamed file that is written to."""
        path = self.path()
        fd = os.open(path, os.O_RDWR | os.O_CREAT)
        try:
            os.unlink(path)
            os.write(fd, b"x" * 9000)
            os.pread(fd, 10, 5)
        finally:
            os.close(fd)

    def run(self, seconds):
        operations = [
            self.write, self.write, self.write, self.read, self.read, self.mkdir, self.rmdir,
            self.unlink, self.rmtree, self.rename, self.rename, self.rename2, self.link,
            self.symlink, self.truncate, self.xattr, self.chmod, self.keep_open,
        ]  # fmt: skip
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                self.random.choice(operations)()
            except OSError as error:
                if error.errno not in EXPECTED:
                    raise


def fork_all(works):
    pids = []
    for work in works:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                work()
                status = 0
            except BaseException as error:
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(status)
        pids.append(pid)
    return pids


def wait_all(pids):
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * len(pids)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("same", [True, False], ids=["one tree", "a tree each"])
def test_chaos_in_few_names_leaves_a_sound_store(mount, check, same):
    """Four at once, checkpoints coming and going; then remount, compare, check."""
    with mount(env=QUIET) as m:
        m.table.mkdir()
        tops = [m.table / ("x" if same else f"x{n}") for n in range(4)]
        for top in tops:
            top.mkdir(exist_ok=True)
        pids = fork_all([lambda n=n: Chaos(tops[n], n).run(3) for n in range(4)])
        seen = {}
        for n in range(25):
            m.checkpoint(f"c{n}")
            seen[f"c{n}"] = tree(m.checkpoints / f"c{n}", times=True, modes=True)
            if n % 3 == 2:
                m.drop(f"c{n - 1}")
                del seen[f"c{n - 1}"]
            time.sleep(0.05)
        wait_all(pids)
        live = tree(m.table, times=True, modes=True)
        for name, then in seen.items():
            assert tree(m.checkpoints / name, times=True, modes=True) == then, name
    check()
    with mount(env=QUIET) as m:
        assert tree(m.table, times=True, modes=True) == live
        for name, then in seen.items():
            assert tree(m.checkpoints / name, times=True, modes=True) == then, name
            m.drop(name)
        shutil.rmtree(m.table)
    check()


@pytest.mark.timeout(200)
def test_chaos_ended_by_kill_leaves_a_sound_store(mount, check):
    for round_ in range(3):
        m = mount(env=QUIET)
        (m.table / "x").mkdir(parents=True, exist_ok=True)

        def work(n, top=m.table / "x", round_=round_):
            try:
                Chaos(top, round_ * 10 + n).run(30)
            except OSError as error:
                gone = {errno.ENOTCONN, errno.ECONNABORTED, errno.ECANCELED, errno.EIO}
                assert error.errno in gone, error

        pids = fork_all([lambda n=n: work(n) for n in range(3)])
        for n in range(6):
            m.checkpoint(f"{round_}-{n}")
            time.sleep(0.1)
        m.crash()
        wait_all(pids)
        check()


@pytest.mark.timeout(200)
def test_tables_come_and_go_under_checkpoints_and_writers(mount, check):
    def work(m, seed):
        random_ = random.Random(seed)
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            table = m.path / random_.choice("uvw")
            try:
                what = random_.random()
                if what < 0.3:
                    table.mkdir()
                elif what < 0.6:
                    (table / random_.choice("abc")).write_bytes(b"x" * 3000)
                elif what < 0.7:
                    shutil.rmtree(table)
                elif what < 0.8:
                    os.rename(table, m.path / random_.choice("uvw"))
                elif what < 0.9:
                    (table / ".checkpoints" / f"{random_.choice('123')}").mkdir()
                else:
                    os.rmdir(m.checkpoints / random_.choice("123"))
            except OSError as error:
                if error.errno not in EXPECTED:
                    raise

    with mount(env=QUIET) as m:
        pids = fork_all([lambda n=n: work(m, n) for n in range(4)])
        for n in range(10):
            m.checkpoint(f"all-{n}")
            tree(m.checkpoints / f"all-{n}")
            time.sleep(0.1)
        wait_all(pids)
        seen = {n: tree(m.checkpoints / n) for n in os.listdir(m.checkpoints)}
    check()
    with mount(env=QUIET) as m:
        assert {n: tree(m.checkpoints / n) for n in os.listdir(m.checkpoints)} == seen


class OneFile:
    """Everything that can be done to the bytes of a file, and a bytearray."""

    LIMIT = 600_000

    def __init__(self, path, seed):
        self.path = path
        self.random = random.Random(seed)
        self.model = bytearray()
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT)

    def range(self):
        at = self.random.choice([0, 4096, 65536, 131072, 300_000]) + self.random.randrange(100)
        return at, self.random.choice([1, 50, 4096, 10_000, 140_000])

    def put(self, at, data):
        self.model.extend(bytes(max(0, at + len(data) - len(self.model))))
        self.model[at : at + len(data)] = data

    def write(self):
        at, length = self.range()
        data = self.random.randbytes(length)
        assert os.pwrite(self.fd, data, at) == length
        self.put(at, data)

    def append(self):
        data = self.random.randbytes(self.range()[1])
        with open(self.path, "ab", buffering=0) as file:
            file.write(data)
        self.put(len(self.model), data)

    def truncate(self):
        size = self.range()[0]
        os.ftruncate(self.fd, size)
        self.model = self.model[:size] + bytes(max(0, size - len(self.model)))

    def mapped(self):
        at, length = self.range()
        length = min(length, len(self.model) - at)
        if length <= 0:
            return
        data = self.random.randbytes(length)
        with mmap.mmap(self.fd, len(self.model)) as seen:
            assert seen[at : at + length] == self.model[at : at + length]
            seen[at : at + length] = data
        self.put(at, data)

    def punch(self):
        at, length = self.range()
        mode = self.random.choice([FALLOC_PUNCH_HOLE, FALLOC_ZERO_RANGE])
        try:
            fallocate(self.fd, mode | FALLOC_KEEP_SIZE, at, length)
        except OSError as error:
            assert error.errno == errno.EOPNOTSUPP
            return
        end = min(at + length, len(self.model))
        if end > at:
            self.model[at:end] = bytes(end - at)

    def copy(self):
        at, length = self.range()
        to = at + length + self.random.randrange(10_000)
        n = os.copy_file_range(self.fd, self.fd, length, at, to)
        if n:
            self.put(to, bytes(self.model[at : at + n]))

    def reopen(self):
        os.close(self.fd)
        self.fd = os.open(self.path, os.O_RDWR)

    def sync(self):
        os.fsync(self.fd)

    def step(self):
        operation = self.random.choice(
            [self.write, self.write, self.write, self.append, self.truncate, self.mapped,
             self.punch, self.copy, self.reopen, self.sync]
        )  # fmt: skip
        operation()
        if len(self.model) > self.LIMIT:
            os.ftruncate(self.fd, 1000)
            self.model = self.model[:1000]
        return operation.__name__

    def compare(self, path=None):
        if path:
            found = path.read_bytes()
        else:
            assert os.fstat(self.fd).st_size == len(self.model)
            found = os.pread(self.fd, self.LIMIT * 2, 0)
        assert len(found) == len(self.model)
        if found != self.model:
            at = next(i for i, (a, b) in enumerate(zip(found, self.model)) if a != b)
            raise AssertionError(f"differs at {at}")


@pytest.mark.parametrize("seed", range(3))
def test_everything_done_to_one_file_agrees_with_a_bytearray(mount, check, seed):
    with mount(env=QUIET) as m:
        m.table.mkdir()
        file = OneFile(m.table / "f", seed)
        for n in range(400):
            done = file.step()
            try:
                file.compare()
            except AssertionError as error:
                raise AssertionError(f"step {n}, after {done}: {error}") from error
        os.close(file.fd)
        file.compare(m.table / "f")
    check()
    with mount(env=QUIET) as m:
        file.compare(m.table / "f")


@pytest.mark.parametrize("seed", range(2))
def test_every_version_of_one_file_stays_in_its_checkpoint(mount, check, seed):
    versions = {}
    with mount(env=QUIET) as m:
        m.table.mkdir()
        file = OneFile(m.table / "f", seed + 100)
        for n in range(40):
            for _ in range(5):
                file.step()
            file.sync()
            versions[f"c{n}"] = bytes(file.model)
            # what is written from here on, and not committed, is not in it
            file.write()
            m.checkpoint(f"c{n}")
            if n % 4 == 3:
                m.drop(f"c{n - 2}")
                del versions[f"c{n - 2}"]
        os.close(file.fd)
        for name, then in versions.items():
            assert (m.checkpoints / name / "t/f").read_bytes() == then, name
    check()
    with mount(env=QUIET) as m:
        for name, then in versions.items():
            assert (m.checkpoints / name / "t/f").read_bytes() == then, name
        file.compare(m.table / "f")
