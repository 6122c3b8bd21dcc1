# SPDX-License-Identifier: Apache-2.0
#
# crash_kill.py - kill -9 at random moments while four writers write
#
# Every writer numbers its changes and makes them in order; now and then it calls fsync
# and, when that has returned, acknowledges the number over a pipe, which survives the
# daemon.  After the kill:
#
#	everything acknowledged is there (D2);
#	of each writer's changes there is a prefix (D1);
#	every checkpoint whose mkdir returned is there, and shows a prefix, too;
#	`mnefs check` finds nothing.
#
# The store is the same over all rounds.

import contextlib
import mmap
import os
import random
import struct
import time

import pytest

WRITERS = 4
SLOTS = 40


def content(writer, number):
    size = [10, 900, 5000, 100_000][number % 4]
    head = b"%d %d " % (writer, number)
    return head + bytes([number % 251]) * size


def slot(number):
    return f"{number % SLOTS:02d}"


class Writer:
    """A child that works until it is stopped, or the daemon is gone; what it had
    acknowledged."""

    def __init__(self, mnt, writer, start):
        self.writer = writer
        self.told = mmap.mmap(-1, 1)
        read_end, write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.close(read_end)
                self.work(mnt, start, write_end)
            except OSError:
                pass
            finally:
                os._exit(0)
        os.close(write_end)
        self.pipe = read_end

    def work(self, mnt, start, pipe):
        """Change n: file n in place of file n - SLOTS, then a pointer to the newest."""
        mine = mnt / "t" / f"w{self.writer}"
        random_ = random.Random(start * 10 + self.writer)
        for number in range(start, 10**9):
            if self.told[0]:
                return
            sync = random_.random() < 0.2
            data = content(self.writer, number)
            if number % 3 == 0:
                temporary = mine / "tmp"
                fd = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
                self.fill(fd, data, sync)
                os.rename(temporary, mine / slot(number))
            else:
                flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC
                fd = os.open(mine / slot(number), flags, 0o644)
                self.fill(fd, data, sync)
            if sync:
                fd = os.open(mine, os.O_RDONLY)
                os.fsync(fd)
                os.close(fd)
                os.write(pipe, struct.pack("<q", number))

    def fill(self, fd, data, sync):
        try:
            os.write(fd, data)
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)

    def stop(self):
        """Between two changes, if the daemon lives."""
        self.told[0] = 1

    def acknowledged(self):
        """The last number, once the child is gone."""
        os.waitpid(self.pid, 0)
        got = b""
        while more := os.read(self.pipe, 65536):
            got += more
        os.close(self.pipe)
        return struct.unpack("<q", got[-8:])[0] if got else -1


def numbers_in(top, writer):
    """The change numbers of a writer's files; contents verified."""
    found = {}
    mine = top / f"w{writer}"
    for name in os.listdir(mine):
        data = (mine / name).read_bytes()
        assert data, f"{mine / name} is empty"
        number = int(data.split(b" ", 2)[1])
        assert data == content(writer, number), f"{mine / name}: torn"
        if name != "tmp":
            assert slot(number) == name
            found[name] = number
    return set(found.values())


def last_of_prefix(numbers):
    """The slots must hold the last SLOTS numbers before some point; that point."""
    if not numbers:
        return -1
    last = max(numbers)
    assert numbers == set(range(max(0, last - SLOTS + 1), last + 1)), sorted(numbers)
    return last


def make_places(m):
    m.table.mkdir()
    for writer in range(WRITERS):
        (m.table / f"w{writer}").mkdir()


def checkpoints_while(goes_on, m, round_):
    """Make some and drop others; those that are there, also if the daemon goes."""
    made, count = [], 0
    with contextlib.suppress(OSError):
        while goes_on():
            count += 1
            name = f"{round_}-{count}"
            (m.checkpoints / name).mkdir()
            made.append(name)
            if len(made) > 3:
                gone = made.pop(0)
                (m.checkpoints / gone).rmdir()
            time.sleep(0.05)
    return made


def kill_while_writing(m, round_, starts):
    writers = [Writer(m.path, n, starts[n]) for n in range(WRITERS)]
    end = time.monotonic() + random.Random(round_).uniform(0.1, 1.2)
    made = checkpoints_while(lambda: time.monotonic() < end, m, round_)
    assert m.is_alive(), "the daemon died"
    m.crash()
    return made, [w.acknowledged() for w in writers]


def at_least(acknowledged, starts):
    """What each writer has said it synced, and what was there when it began."""
    return [max(last, start - 1) for last, start in zip(acknowledged, starts)]


def compare(m, made, least):
    """What is there against what must be; of each writer the last number."""
    present = set(os.listdir(m.checkpoints))
    assert set(made) <= present
    lasts = []
    for writer in range(WRITERS):
        last = last_of_prefix(numbers_in(m.table, writer))
        assert last >= least[writer], f"writer {writer} lost fsynced data"
        for name in made:
            then = last_of_prefix(numbers_in(m.checkpoints / name / "t", writer))
            assert then <= last
        lasts.append(last)
    for name in present:
        (m.checkpoints / name).rmdir()
    return lasts


@pytest.mark.timeout(1000)
def test_after_kill_9_everything_fsynced_is_there_and_the_rest_is_a_prefix(
    mount, check, request
):
    quiet = {"G_MESSAGES_DEBUG": None}
    with mount(env=quiet) as m:
        make_places(m)
    starts = [0] * WRITERS
    total = 0
    for round_ in range(request.config.getoption("--crash-rounds")):
        m = mount(env=quiet)
        made, acknowledged = kill_while_writing(m, round_, starts)
        with mount(env=quiet) as m:
            lasts = compare(m, made, at_least(acknowledged, starts))
        total += sum(lasts) + WRITERS - sum(starts)
        starts = [last + 1 for last in lasts]
        check()
    assert total > 50, "the writers did not get anywhere"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("sync", ["commit", "off"])
def test_kill_9_right_after_fsync_loses_nothing(mount, check, sync):
    for round_ in range(5):
        m = mount(f"sync={sync}")
        m.table.mkdir(exist_ok=True)
        names = []
        for n in range(10):
            path = m.table / f"{round_}-{n}"
            fd = os.open(path, os.O_CREAT | os.O_WRONLY)
            os.write(fd, content(round_, n))
            os.fsync(fd)
            if n % 2:
                os.close(fd)
            names.append(path)
        m.crash()
        with mount() as m:
            for n, path in enumerate(names):
                assert path.read_bytes() == content(round_, n)
        check()


@pytest.mark.timeout(300)
def test_kill_9_during_recovery_and_reclaim_is_survived(mount, check):
    with mount() as m:
        m.table.mkdir()
        for n in range(200):
            (m.table / f"{n}").write_bytes(content(1, n))
        m.checkpoint("keep")
        m.checkpoint("drop")
        for n in range(200):
            (m.table / f"{n}").write_bytes(content(2, n))
        (m.table / "open").write_text("x")
        fd = os.open(m.table / "open", os.O_RDWR)
        os.unlink(m.table / "open")
        m.drop("drop")
        m.crash()
        os.close(fd)
    for wait in (0, 0.01, 0.05, 0.1, 0.3):
        m = mount()
        time.sleep(wait)
        m.crash()
    with mount() as m:
        assert sorted(os.listdir(m.checkpoints)) == ["keep"]
        for n in range(200):
            assert (m.table / f"{n}").read_bytes() == content(2, n)
            assert (m.checkpoints / f"keep/t/{n}").read_bytes() == content(1, n)
        assert not (m.table / "open").exists()
    check()
