# SPDX-License-Identifier: Apache-2.0
#
# test_soak.py - eight processes, mixed load, a checkpoint every second; --soak SECONDS
#
# Each process works in a directory of its own and knows what must be there.  Checkpoints
# are made and dropped meanwhile; in each, each process's part is one that it had.  At the
# end everything is compared, the store is checked, and the daemon's memory has not grown
# since the load had settled.

import os
import random
import time

import pytest

from harness import eventually

PROCESSES = 8
NAMES = 30
SIZES = [0, 100, 3000, 9000, 60_000, 300_000]
QUIET = {"G_MESSAGES_DEBUG": None}


def content(worker, number):
    size = SIZES[number % len(SIZES)]
    return (b"%d/%d " % (worker, number) * (size // 4 + 1))[:size]


class Worker:
    """A process; its last state is sent over a pipe at the end."""

    def __init__(self, m, number, end):
        self.number = number
        self.top = m.table / f"w{number}"
        self.files = {}
        read_end, write_end = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                os.close(read_end)
                self.work(end)
                with os.fdopen(write_end, "w") as pipe:
                    pipe.write(repr(self.files))
                status = 0
            finally:
                os._exit(status)
        os.close(write_end)
        self.pipe = read_end

    def wait(self):
        with os.fdopen(self.pipe) as pipe:
            self.files = eval(pipe.read() or "{}")
        return os.waitpid(self.pid, 0)[1] == 0

    def work(self, end):
        rng = random.Random(self.number)
        self.top.mkdir()
        (self.top / "sub").mkdir()
        kinds = [self.put] * 5 + [self.replace, self.remove, self.move, self.look, self.list]
        number = 0
        while time.monotonic() < end:
            number += 1
            rng.choice(kinds)(rng, number)

    def name(self, rng):
        return rng.choice(["", "sub/"]) + f"f{rng.randrange(NAMES)}"

    def write(self, name, number):
        data = content(self.number, number)
        fd = os.open(self.top / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        try:
            for at in range(0, len(data), 50_000):
                os.write(fd, data[at : at + 50_000])
            if number % 17 == 0:
                os.fsync(fd)
        finally:
            os.close(fd)

    def put(self, rng, number):
        name = self.name(rng)
        self.write(name, number)
        self.files[name] = number

    def replace(self, rng, number):
        name = self.name(rng)
        self.write("tmp", number)
        os.rename(self.top / "tmp", self.top / name)
        self.files[name] = number

    def remove(self, rng, number):
        name = self.name(rng)
        if self.files.pop(name, None) is not None:
            os.unlink(self.top / name)

    def move(self, rng, number):
        old, new = self.name(rng), self.name(rng)
        if old in self.files and old != new:
            os.rename(self.top / old, self.top / new)
            self.files[new] = self.files.pop(old)

    def look(self, rng, number):
        name = self.name(rng)
        if name in self.files:
            assert (self.top / name).read_bytes() == content(self.number, self.files[name])

    def list(self, rng, number):
        found = {name for name in os.listdir(self.top / "sub")}
        assert found == {n[4:] for n in self.files if n.startswith("sub/")}

    def verify(self, top):
        mine = top / f"w{self.number}"
        names = set(os.listdir(mine)) - {"sub"}
        names |= {f"sub/{name}" for name in os.listdir(mine / "sub")}
        assert names == set(self.files)
        for name, number in self.files.items():
            assert (mine / name).read_bytes() == content(self.number, number), name


def is_whole(data, worker):
    """Some content of this worker: the first bytes say which."""
    if not data:
        return True
    number = int(data.split(b" ", 1)[0].split(b"/")[1])
    return data == content(worker, number)


def look_into(checkpoint):
    """Never a torn file."""
    top = checkpoint / "t"
    for worker in os.listdir(top):
        mine = top / worker
        names = [name for name in os.listdir(mine) if name != "sub"]
        for name in names[:3]:
            data = (mine / name).read_bytes()
            assert is_whole(data, int(worker[1:])), f"{mine / name}: {data[:20]}"


def memory(m):
    with open(f"/proc/{m.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.mark.timeout(4000)
def test_hours_of_mixed_load_leave_a_sound_store_and_no_more_memory(mount, check, request):
    seconds = request.config.getoption("--soak")
    with mount(env=QUIET) as m:
        m.table.mkdir()
        end = time.monotonic() + seconds
        workers = [Worker(m, number, end) for number in range(PROCESSES)]
        made, seen = [], []
        while time.monotonic() < end:
            made.append(f"c{len(seen)}")
            m.checkpoint(made[-1])
            look_into(m.checkpoints / made[-1])
            if len(made) > 4:
                m.drop(made.pop(random.randrange(3)))
            seen.append(memory(m))
            time.sleep(1)
        assert all([worker.wait() for worker in workers])
        for worker in workers:
            worker.verify(m.table)
        settled = max(seen[: len(seen) // 2])
        assert max(seen) < settled * 1.3 + 100_000, f"KiB over time: {seen}"
        for name in os.listdir(m.checkpoints):
            m.drop(name)
        assert eventually(
            lambda: "reclaim_backlog 0" in (m.path / ".mnefs/status").read_text(), 60
        )
    with mount(env=QUIET) as m:
        for worker in workers:
            worker.verify(m.table)
    check()
