# SPDX-License-Identifier: Apache-2.0
#
# fail_full.py - a disk that stays full, for as long as --full-disk-seconds
#
# Every process works in a directory of its own and keeps a model: what each of its files
# must hold.  What was answered with ENOSPC has changed nothing, except that of a write
# the bytes are there that it said it had written.  Between rounds the daemon is unmounted
# or killed, the store is checked, and mounted again; then
#
#	everything is as in the models; where the daemon was killed, a file that was closed
#	without fsync may also be what it was before, and what was under way may be done,
#	all of it, or not (D1, D2, T1);
#	every checkpoint is what it was when it was made (C1).
#
# Deleting, dropping and aborting never fail (D4).  The daemon takes no more memory than
# in the beginning, and says nothing but that its disk is full.
#
# In some rounds others fill the disk to its last block, again and again.  Then deleting
# can fail, too, and what was closed but never synced may not last.

import contextlib
import errno
import hashlib
import mmap
import os
import pickle
import random
import time
import traceback
from collections import Counter

import pytest
from txs import Tx

from harness import Crowd, eventually, fsync_path, is_sanitized, loop_disk

PROCESSES = 5
NAMES = 40
KEPT = 2  # checkpoints of each process
SIZES = [10, 900, 5000, 60_000, 300_000, 1_500_000]
PAUSE = 0.01  # seconds between changes, at most
QUIET = {"G_MESSAGES_DEBUG": None}
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.ECANCELED)


def digest(data):
    return None if data is None else (len(data), hashlib.blake2b(data).hexdigest()[:16])


def read(path):
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def found_in(top):
    return {name: digest((top / name).read_bytes()) for name in os.listdir(top)}


def write_all(fd, data):
    """How much of it was written, and whether that is all."""
    done = 0
    try:
        while done < len(data):
            done += os.write(fd, data[done : done + 400_000])
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        return done, False
    return done, True


class Full(Exception):
    """ENOSPC, where it may be."""


class Process:
    """What one of them does, and what must be there."""

    def __init__(self, m, number, seed, is_crowded):
        self.m = m
        self.is_crowded = is_crowded
        self.number = number
        self.top = m.table / f"p{number}"
        self.rng = random.Random(f"{seed} {number}")
        self.now = {}
        self.doubts = {}  # after a kill the file may also be one of these
        self.unsynced = {}  # … and after an unmount: its commit failed, or may have
        self.pending = {}  # name: (before, after), of what is being done
        self.kept = {}
        self.counts = Counter()

    # the model

    def becomes(self, name, data, committed):
        before = self.now.pop(name, None)
        if data is not None:
            self.now[name] = data
        if committed:
            self.doubts.pop(name, None)
            self.unsynced.pop(name, None)
        else:
            self.doubts.setdefault(name, set()).add(digest(before))
            if self.is_crowded:
                self.unsynced[name] = set(self.doubts[name])

    def attempt(self, changes):
        """This is begun: all of these, or none of them."""
        self.pending = {
            name: (digest(self.now.get(name)), digest(data))
            for name, data in changes.items()
        }

    def report(self, problem, is_gone):
        return {
            "now": {name: digest(data) for name, data in self.now.items()},
            "doubts": self.doubts,
            "unsynced": self.unsynced,
            "pending": self.pending,
            "kept": self.kept,
            "counts": self.counts,
            "problem": problem,
            "is_gone": is_gone,
        }

    # its life

    def run(self, stop):
        """Until it is told to stop, or the daemon is gone."""
        for name in sorted(os.listdir(self.top)):
            self.now[name] = (self.top / name).read_bytes()
        kinds = [self.put] * 4 + [self.replace, self.append, self.overwrite] * 2
        kinds += [self.cut, self.move, self.remove, self.transact, self.transact]
        kinds += [self.checkpoint, self.sync_directory, self.look]
        while not stop[0]:
            kind = self.rng.choice(kinds)
            self.pending = {}
            try:
                kind()
                self.counts[kind.__name__] += 1
            except Full:
                self.counts[f"{kind.__name__}: full"] += 1
                self.pending = {}
                self.see_that_all_is_there()
                with contextlib.suppress(Full):
                    self.make_room()
            time.sleep(self.rng.random() * PAUSE)
        self.pending = {}

    def see_that_all_is_there(self):
        assert set(os.listdir(self.top)) == set(self.now)
        for name in self.rng.sample(sorted(self.now), min(3, len(self.now))):
            self.see(name)

    def see(self, name):
        found = read(self.top / name)
        assert found == self.now.get(name), f"{name}: {digest(found)}"

    def make_room(self):
        """For a little while: the disk stays full."""
        if self.rng.random() < 0.5:
            return
        for name in self.rng.sample(sorted(self.now), min(4, len(self.now))):
            self.unlink(name)
        if self.kept and self.rng.random() < 0.7:
            self.drop()

    def name(self):
        return f"f{self.rng.randrange(NAMES)}"

    def data(self):
        return self.rng.randbytes(self.rng.choice(SIZES))

    # what it does

    def write(self, name, flags, data, after, at=None):
        """Open, write, fsync or not, close.  after(n): what there is after n bytes."""
        path = self.top / name
        sync = self.rng.random() < 0.3
        self.attempt({name: after(len(data))})
        try:
            fd = os.open(path, os.O_WRONLY | flags, 0o644)
        except OSError as error:
            raise self.checked(error, name) from None
        try:
            if at is not None:
                os.lseek(fd, at, os.SEEK_SET)
            done, whole = write_all(fd, data)
            self.becomes(name, after(done), False)
            if sync:
                self.fsync(fd, name)
        finally:
            os.close(fd)
        if not whole:
            self.see(name)
            raise Full

    def fsync(self, fd, name):
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self.counts["fsync: full"] += 1
            self.unsynced[name] = set(self.doubts[name])
        else:
            self.becomes(name, self.now[name], True)

    def checked(self, error, *names):
        """It failed for lack of space, and changed nothing."""
        if error.errno != errno.ENOSPC:
            return error
        for name in names:
            self.see(name)
        return Full()

    def checked_if_crowded(self, error, *names):
        return self.checked(error, *names) if self.is_crowded else error

    def put(self, name=None):
        data = self.data()
        flags = os.O_CREAT | os.O_TRUNC
        self.write(name or self.name(), flags, data, lambda n: data[:n])

    def replace(self):
        name = self.name()
        try:
            self.put("tmp")
        except Full:
            if "tmp" in self.now:
                self.unlink("tmp")
            raise
        self.rename("tmp", name)

    def append(self):
        name, data = self.name(), self.data()
        old = self.now.get(name, b"")
        if len(old) < 3_000_000:
            flags = os.O_CREAT | os.O_APPEND
            self.write(name, flags, data, lambda n: old + data[:n])

    def overwrite(self):
        name, data = self.name(), self.data()
        old = self.now.get(name)
        if old:
            at = self.rng.randrange(len(old))
            self.write(
                name, 0, data, lambda n: old[:at] + data[:n] + old[at + n :], at
            )

    def cut(self):
        name = self.name()
        old = self.now.get(name)
        if old:
            size = self.rng.randrange(len(old))
            self.attempt({name: old[:size]})
            try:
                os.truncate(self.top / name, size)
            except OSError as error:
                raise self.checked(error, name) from None
            self.becomes(name, old[:size], False)

    def move(self):
        old, new = self.name(), self.name()
        if old in self.now and old != new:
            self.rename(old, new)

    def rename(self, old, new):
        data = self.now[old]
        self.attempt({old: None, new: data})
        try:
            os.rename(self.top / old, self.top / new)
        except OSError as error:
            raise self.checked(error, old, new) from None
        self.becomes(old, None, True)
        self.becomes(new, data, True)

    def remove(self):
        name = self.name()
        if name in self.now:
            self.unlink(name)

    def unlink(self, name):
        self.attempt({name: None})
        try:
            os.unlink(self.top / name)
        except OSError as error:
            raise self.checked_if_crowded(error, name) from None
        self.becomes(name, None, True)

    def sync_directory(self):
        try:
            fsync_path(self.top)
        except OSError as error:
            raise self.checked(error) from None

    def look(self):
        self.see(self.name())

    # transactions

    def transact(self):
        """Some files become others, all of them or none."""
        names = self.rng.sample(range(NAMES), 4)
        changes = {f"f{n}": self.data() for n in names[:3]}
        if f"f{names[3]}" in self.now:
            changes[f"f{names[3]}"] = None
        try:
            tx = Tx(self.m, f"p{self.number}")
        except OSError as error:
            raise self.checked_if_crowded(error) from None
        try:
            self.fill(tx, changes)
            self.attempt(changes)
            tx.commit(self.rng.choice(["commit", "commit sync"]))
        except OSError as error:
            if not tx.path.exists():  # the daemon is gone, or it had been committed
                raise
            self.pending = {}
            tx.abort()
            if error.errno == errno.ECANCELED:
                self.counts["transact: conflict"] += 1
                return
            if error.errno == errno.ENOENT and self.is_crowded:
                return  # it was made, but its commit fails
            raise self.checked(error, *changes) from None
        for name, data in changes.items():
            self.becomes(name, data, True)

    def fill(self, tx, changes):
        for name, data in changes.items():
            path = tx.table / self.top.name / name
            if data is None:
                os.unlink(path)
                continue
            fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
            try:
                if not write_all(fd, data)[1]:
                    raise OSError(errno.ENOSPC, "in a transaction")
            finally:
                os.close(fd)

    # checkpoints

    def checkpoint(self):
        if len(self.kept) == KEPT:
            self.drop()
        name = f"p{self.number}-{self.rng.getrandbits(40):x}"
        try:
            self.m.checkpoint(name)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                assert name not in os.listdir(self.m.checkpoints)
            raise self.checked(error) from None
        # it waited for what had been closed before
        self.doubts = dict(self.unsynced)
        self.kept[name] = {
            n: {digest(self.now.get(n))} | self.doubts.get(n, set())
            for n in {*self.now, *self.doubts}
        }

    def drop(self):
        name = self.rng.choice(sorted(self.kept))
        was = self.kept[name]
        see_kept(self.m, name, self.top.name, was)
        del self.kept[name]
        try:
            self.m.drop(name)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                self.kept[name] = was
            raise self.checked_if_crowded(error) from None


def see_kept(m, name, directory, wanted):
    found = found_in(m.checkpoints / name / "t" / directory)
    for file in {*found, *wanted}:
        was = found.get(file)
        fine = wanted.get(file, {None})
        assert was in fine, f"{name}, {file}: {was}, not {fine}"


class Child:
    """A process of its own for a Process; what it reports at its end."""

    def __init__(self, process, stop):
        read_end, write_end = os.pipe()
        self.number = process.number
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read_end)
            problem, is_gone = None, False
            try:
                process.run(stop)
            except BaseException as error:
                problem = traceback.format_exc()
                is_gone = isinstance(error, OSError) and error.errno in GONE
            with os.fdopen(write_end, "wb") as pipe:
                pickle.dump(process.report(problem, is_gone), pipe)
            os._exit(0)
        os.close(write_end)
        self.pipe = read_end

    def end(self, is_killed):
        with os.fdopen(self.pipe, "rb") as pipe:
            report = pickle.load(pipe)
        os.waitpid(self.pid, 0)
        if is_killed and report["is_gone"]:
            report["problem"] = None
        return report


def allowed(report, name, is_killed):
    now = report["now"].get(name)
    doubts = report["doubts" if is_killed else "unsynced"].get(name, set())
    return {now} | doubts | set(report["pending"].get(name, ()))


def compare(m, number, report, is_killed):
    found = found_in(m.table / f"p{number}")
    for name in {*found, *report["now"], *report["doubts"], *report["pending"]}:
        wanted = allowed(report, name, is_killed)
        assert found.get(name) in wanted, f"{name}: {found.get(name)}, not {wanted}"
    done = {
        found.get(name) == after
        for name, (before, after) in report["pending"].items()
        if before != after and name not in report["doubts"]
    }
    assert len(done) < 2, f"half of {report['pending']}"
    for name, wanted in report["kept"].items():
        see_kept(m, name, f"p{number}", wanted)


def memory(m):
    with open(f"/proc/{m.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


class Disk:
    """The store on its small disk, round after round."""

    def __init__(self, at, make, seed):
        self.crowd = Crowd(at / "crowd")
        self.turns = 0
        self.make = make
        self.rng = random.Random(seed)
        self.counts = Counter()
        self.most = []  # KiB of memory, in each round

    def mount(self):
        m = self.make()
        m.expect_log("(?i)space|full|ENOSPC")
        return m

    def round(self, seconds, is_killed, is_crowded, reports):
        m = self.mount()
        stop = mmap.mmap(-1, 1)
        children = []
        for number in range(PROCESSES):
            process = Process(m, number, self.rng.random(), is_crowded)
            if reports:
                process.kept = reports[number]["kept"]
            children.append(Child(process, stop))
        end = time.monotonic() + seconds
        most = 0
        while time.monotonic() < end and m.is_alive():
            most = max(most, memory(m))
            if is_crowded:
                self.turn()
            time.sleep(0.2)
        assert m.is_alive(), "the daemon died"
        if is_killed:
            m.process.kill()
        stop[0] = 1
        reports = [child.end(is_killed) for child in children]
        self.crowd.leave()
        problems = [report["problem"] for report in reports if report["problem"]]
        assert not problems, "\n".join(problems)
        if is_killed:
            m.crash()
            m.check_log()
        else:
            m.unmount()
        self.most.append(most)
        for report in reports:
            self.counts += report["counts"]
        return reports

    def turn(self):
        """The others take all room for a second, and give it back for another one."""
        self.turns += 1
        if self.turns % 12 < 6:
            self.crowd.fill()
        else:
            self.crowd.leave()

    def verify(self, reports, is_killed):
        with self.mount() as m:
            for number, report in enumerate(reports):
                compare(m, number, report, is_killed)
            kept = {name for report in reports for name in report["kept"]}
            for name in set(os.listdir(m.checkpoints)) - kept:
                m.drop(name)  # it was being made when the daemon was killed


def delete_everything(m):
    for name in os.listdir(m.checkpoints):
        m.drop(name)
    for top in m.table.iterdir():
        for name in os.listdir(top):
            os.unlink(top / name)
        top.rmdir()


def can_write(path, size):
    data = os.urandom(size)
    try:
        path.write_bytes(data)
        fsync_path(path)
    except OSError as error:
        assert error.errno == errno.ENOSPC
        return False
    assert path.read_bytes() == data
    return True


@pytest.mark.root
@pytest.mark.timeout(5000)
def test_a_disk_that_stays_full_loses_nothing_and_ends_empty(
    make_mount, cli, tmp_path, request
):
    """D4"""
    seconds = request.config.getoption("--full-disk-seconds")
    length = max(3, min(180, seconds / 6))
    seed = request.config.getoption("--seed")
    seed = random.getrandbits(30) if seed is None else seed
    print(f"--seed={seed}")
    with loop_disk(64, tmp_path / "disk") as at:
        store = at / "store"
        disk = Disk(
            at, lambda: make_mount(store, tmp_path / "mnt", "create", env=QUIET), seed
        )
        with disk.mount() as m:
            m.table.mkdir()
            for number in range(PROCESSES):
                (m.table / f"p{number}").mkdir()
        end = time.monotonic() + seconds
        reports = []
        while time.monotonic() < end:
            is_killed, is_crowded = len(disk.most) % 2 == 1, len(disk.most) % 4 > 1
            reports = disk.round(length, is_killed, is_crowded, reports)
            disk.verify(reports, is_killed)
            done = cli("check", store)
            assert done.returncode == 0, done
            print(time.strftime("%T"), disk.most[-1], dict(disk.counts), flush=True)
        assert sum(n for what, n in disk.counts.items() if "full" in what), "never full"
        first, later = max(disk.most[:2]), max(disk.most)
        assert later < first * 1.3 + 20_000 or is_sanitized(), f"KiB: {disk.most}"
        with disk.mount() as m:
            delete_everything(m)
            assert eventually(lambda: can_write(m.table / "again", 15 << 20))
        done = cli("check", store)
        assert done.returncode == 0, done
