# SPDX-License-Identifier: Apache-2.0
#
# powerloss.py - what a disk may hold after the power went
#
# A daemon runs with powerloss/shim.c preloaded, which writes down what is done to the
# files of a store, and what is synced.  A Disk replays that journal up to some record,
# where the power goes, and makes a directory of what was durable then, and of some of
# what was not:
#
#	data	nothing of it, all, what came before some moment, or sector by sector (or
#		page by page) what stood there at some moment;
#	sizes	of some moment, zeros where nothing is known;
#	names	none of the changes of a directory, all, those before some moment, or any.
#
# A file's fsync makes its bytes durable, not its name: that takes its directory's.

import os
import random
import struct
from pathlib import Path

import harness

RECORD = struct.Struct("<IHHQQQ")
OPEN, WRITE, TRUNCATE, SYNC, SYNCED, RENAME, LINK, UNLINK, MKDIR, EXTEND, MARK = range(
    1, 12
)


def find_shim():
    """The preloaded library: beside the binary under test, or named."""
    named = os.environ.get("MNEFS_POWERLOSS")
    if named:
        return Path(named)
    binary = os.environ.get("MNEFS")
    built = Path(binary).resolve().parent / "fs-tests/powerloss" if binary else None
    return built / "shim.so" if built else None


def environment(shim, store, journal):
    return {
        "LD_PRELOAD": str(shim),
        "POWERLOSS_STORE": str(store),
        "POWERLOSS_JOURNAL": str(journal),
        **harness.PRELOAD,
    }


class Marker:
    """Words of the test itself, in order among the records."""

    def __init__(self, journal):
        self.fd = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def __call__(self, text):
        data = text.encode()
        record = RECORD.pack(RECORD.size + len(data), MARK, len(data), 0, 0, 0) + data
        assert os.write(self.fd, record) == len(record)

    def close(self):
        os.close(self.fd)


def records_of(journal):
    """(op, id, a, b, first path, the rest), in order."""
    data = Path(journal).read_bytes()
    at = 0
    found = []
    while at < len(data):
        length, op, name, id_, a, b = RECORD.unpack_from(data, at)
        middle = at + RECORD.size + name
        found.append(
            (op, id_, a, b, data[at + RECORD.size : middle], data[middle : at + length])
        )
        at += length
    return found


class Changes:
    """Changes in order, of which the first ones are durable and no longer here."""

    def __init__(self):
        self.pending = []
        self.gone = 0

    def now(self):
        return self.gone + len(self.pending)

    def settle(self, upto):
        count = max(0, upto - self.gone)
        durable, self.pending = self.pending[:count], self.pending[count:]
        self.gone += count
        return durable


class File(Changes):
    def __init__(self):
        super().__init__()
        self.bytes = bytearray()

    def sync(self, upto):
        for change in self.settle(upto):
            apply(self.bytes, change)

    def after_loss(self, rng, mode):
        """What may be left of it."""
        mode = rng.choice(["none", "all", "prefix", "sectors"]) if not mode else mode
        count = len(self.pending)
        upto = {"none": 0, "all": count}.get(mode, rng.randint(0, count))
        found = bytearray(self.bytes)
        for change in self.pending[:upto]:
            apply(found, change)
        if mode == "sectors":
            return bytes(self.torn(rng, len(found)))
        return bytes(found)

    def torn(self, rng, size):
        sector = rng.choice([512, 4096])
        moments = {}
        found = bytearray(self.bytes)
        for moment, (kind, at, data) in enumerate(self.pending):
            end = at + len(data) if kind == "write" else max(len(found), at)
            found.extend(bytes(max(0, end - len(found))))
            if kind == "extend":
                continue
            for number in range(at // sector, -(-end // sector)):
                if number not in moments:
                    moments[number] = rng.randint(0, len(self.pending))
                if moment >= moments[number]:
                    continue
                low = max(at, number * sector)
                high = min(end, (number + 1) * sector)
                piece = data[low - at : high - at] if kind == "write" else bytes(high - low)
                found[low:high] = piece
        found.extend(bytes(max(0, size - len(found))))
        del found[size:]
        return found


def apply(content, change):
    kind, at, data = change
    if kind == "write":
        content.extend(bytes(max(0, at - len(content))))
        content[at : at + len(data)] = data
    elif kind == "extend":
        content.extend(bytes(max(0, at - len(content))))
    else:
        del content[at:]
        content.extend(bytes(at - len(content)))


class Directory(Changes):
    def __init__(self):
        super().__init__()
        self.live = {}
        self.durable = {}

    def change(self, *change):
        rename(self.live, change)
        self.pending.append(change)

    def sync(self, upto):
        for change in self.settle(upto):
            rename(self.durable, change)

    def after_loss(self, rng, mode):
        modes = ["none", "all", "prefix", "any"]
        mode = rng.choice(modes) if not mode else mode
        entries = dict(self.durable)
        upto = {"none": 0, "prefix": rng.randint(0, len(self.pending))}.get(
            mode, len(self.pending)
        )
        for change in self.pending[:upto]:
            if mode != "any" or rng.random() < 0.5:
                rename(entries, change)
        return entries


def rename(entries, change):
    """(what, the name that goes or None, the name that comes or None)"""
    what, old, new = change
    if old is not None and entries.get(old) is what:
        del entries[old]
    if new is not None:
        entries[new] = what


class Disk:
    def __init__(self):
        self.directories = {b"": Directory()}
        self.opened = {}
        self.syncs = {}
        self.marks = []

    def place(self, path):
        parent, _, name = path.rpartition(b"/")
        return self.directories[parent], name

    def find(self, path):
        if path in self.directories:
            return self.directories[path]
        directory, name = self.place(path)
        return directory.live.get(name)

    def play(self, record):
        op, id_, a, b, path, rest = record
        if op == MARK:
            self.marks.append(path.decode())
        elif op == OPEN:
            self.open(id_, path, truncate=a)
        elif op == WRITE:
            self.opened[id_].pending.append(("write", a, rest))
        elif op == TRUNCATE:
            self.opened[id_].pending.append(("truncate", a, b""))
        elif op == EXTEND:
            self.opened[id_].pending.append(("extend", a, b""))
        elif op == SYNC:
            self.syncs[a] = self.opened[id_], self.opened[id_].now()
        elif op == SYNCED:
            what, upto = self.syncs.pop(a)
            what.sync(upto)
        else:
            self.name(op, path, rest)

    def open(self, id_, path, truncate):
        what = self.find(path)
        if what is None:
            what = File()
            directory, name = self.place(path)
            directory.change(what, None, name)
        elif truncate:
            what.pending.append(("truncate", 0, b""))
        self.opened[id_] = what

    def name(self, op, path, to):
        if op == MKDIR and path == b"":
            return
        directory, name = self.place(path)
        if op == MKDIR:
            made = self.directories[path] = Directory()
            directory.change(made, None, name)
        elif op == UNLINK:
            directory.change(directory.live[name], name, None)
        else:
            other, new = self.place(to)
            assert other is directory, (path, to)
            directory.change(
                directory.live[name], name if op == RENAME else None, new
            )

    def lose_power(self, rng, to):
        """Make the directory `to` of what may be left."""
        data = rng.choice(["none", "all", None, None, None, "sectors"])
        names = rng.choice(["none", "all", None, None, None, "prefix"])
        self.make(self.directories[b""], Path(to), rng, data, names)
        return f"data {data or 'mixed'}, names {names or 'mixed'}"

    def make(self, directory, to, rng, data, names):
        to.mkdir()
        entries = directory.after_loss(rng, names)
        for name in sorted(entries):
            what = entries[name]
            path = to / os.fsdecode(name)
            if isinstance(what, Directory):
                self.make(what, path, rng, data, names)
            else:
                path.write_bytes(what.after_loss(rng, data))


def cuts_of(records, count, seed):
    """Disks at `count` moments, in order: (number of records, generator, Disk)."""
    rng = random.Random(seed)
    moments = sorted(rng.randint(1, len(records)) for _ in range(count))
    disk = Disk()
    done = 0
    for n, moment in enumerate(moments):
        for record in records[done:moment]:
            disk.play(record)
        done = moment
        yield moment, random.Random(f"{seed}/{n}"), disk
