#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""fragments.py [--mnefs PROGRAM] [--records N] [--fragments N,...] [--dir DIR]: what fragments cost, and give.

One table, with 1 fragment and with many: making records, looking them up by name, listing
all, listing one fragment; then a split, with and without a writer: how long a record
takes, and percentiles of the writes meanwhile beside those before, with a table that
stays as it is.  The table for docs is printed last.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time


COUNTS = ("fragments", "in one", "writes", "moved")
LOOK = 0.02  # seconds between looks at how far a split is


class Mount:
    def __init__(self, program, top):
        self.path = os.path.join(top, "mnt")
        os.makedirs(self.path, exist_ok=True)
        subprocess.run([program, os.path.join(top, "store"), self.path, "-o", "create"], check=True)
        self.table = os.path.join(self.path, "t")
        os.mkdir(self.table)
        self.write("listing", "records")

    def ctl(self, name):
        return os.path.join(self.path, ".mnefs", "tables", "t", name)

    def write(self, name, text):
        with open(self.ctl(name), "w") as file:
            file.write(text)

    def facts(self):
        with open(os.path.join(self.path, ".mnefs", "tables.json")) as file:
            return next(r for r in map(json.loads, file) if r["table"] == "t")

    def grow(self, n):
        """Seconds, and records moved, until there are n fragments."""
        before, began = self.moved(), time.monotonic()
        self.write("fragments", f"{n}\n")
        while True:
            facts = self.facts()
            if facts["fragments"] == n and not facts["step_to"]:
                return time.monotonic() - began, self.moved() - before
            time.sleep(LOOK)

    def moved(self):
        with open(os.path.join(self.path, ".mnefs", "status.json")) as file:
            return json.load(file)["moved_records"]

    def umount(self):
        subprocess.run(["fusermount3", "-u", self.path], check=True)


def create(mount, names):
    began = time.monotonic()
    for name in names:
        fd = os.open(os.path.join(mount.table, name), os.O_CREAT | os.O_WRONLY, 0o644)
        os.write(fd, b"x" * 100)
        os.close(fd)
    return (time.monotonic() - began) / len(names)


def lookup(mount, names, count):
    some = random.Random(1).choices(names, k=count)
    began = time.monotonic()
    for name in some:
        os.stat(os.path.join(mount.table, name))
    return (time.monotonic() - began) / count


def listing(path):
    began = time.monotonic()
    count = len(os.listdir(path))
    return (time.monotonic() - began) / max(count, 1), count


def write_on(mount, out):
    """Write records, one after the other, until told to stop; then say how long each took."""
    taken, is_over = [], []
    signal.signal(signal.SIGTERM, lambda *_: is_over.append(True))
    number = 0
    while not is_over:
        began = time.monotonic()
        with open(os.path.join(mount.table, f"w{number % 1000}"), "wb", buffering=0) as file:
            file.write(b"y" * 100)
        taken.append(time.monotonic() - began)
        number += 1
    with os.fdopen(out, "w") as pipe:
        json.dump(taken, pipe)


class Writer:
    """In a process of its own, so that who looks at the split does not keep it waiting."""

    def __init__(self, mount):
        reads, writes = os.pipe()
        self.pipe, self.pid = os.fdopen(reads), os.fork()
        if self.pid == 0:
            status = 1
            try:
                write_on(mount, writes)
                status = 0
            finally:
                os._exit(status)
        os.close(writes)

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        taken = json.load(self.pipe)
        os.waitpid(self.pid, 0)
        return sorted(taken)


def percentile(taken, share):
    return taken[int(len(taken) * share)] if taken else float("nan")


def summary(taken, what):
    return {f"p50 {what}": percentile(taken, 0.5), f"p99 {what}": percentile(taken, 0.99),
            f"p99.9 {what}": percentile(taken, 0.999), f"longest {what}": taken[-1]}


def while_nothing_moves(mount, seconds):
    writer, end = Writer(mount), time.monotonic() + seconds
    while time.monotonic() < end:
        mount.facts()
        time.sleep(LOOK)
    return writer.stop()


def during_split(mount, n):
    writer = Writer(mount)
    seconds, moved = mount.grow(n)
    return writer.stop(), seconds, moved


def measure(args, n):
    top = tempfile.mkdtemp(prefix="mnefs-frags-", dir=args.dir)
    names = [f"record-{i:07}" for i in range(args.records)]
    random.Random(0).shuffle(names)
    mount = Mount(args.mnefs, top)
    try:
        if n > 1:
            mount.grow(n)
        row = {"fragments": n, "create": create(mount, names)}
        row["lookup"] = lookup(mount, names, min(args.records, 20000))
        row["list all"], _ = listing(mount.table)
        row["list one"], row["in one"] = listing(os.path.join(mount.table, ".frag", "0001"))
        while_nothing_moves(mount, 1)
        row |= summary(while_nothing_moves(mount, args.seconds), "without")
        taken, seconds, moved = during_split(mount, n + max(n // 4, 1))
        row |= summary(taken, "split") | {"writes": len(taken), "moved": moved}
        row["split, writing"] = seconds / max(moved, 1)
        seconds, moved = mount.grow(n + 2 * max(n // 4, 1))
        row["split"] = seconds / max(moved, 1)
    finally:
        mount.umount()
        shutil.rmtree(top, ignore_errors=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnefs", default="mnefs")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--fragments", default="1,64")
    parser.add_argument("--seconds", type=float, default=5, help="of writes without a split")
    parser.add_argument("--dir", default=None)
    args = parser.parse_args()
    rows = [measure(args, int(n)) for n in args.fragments.split(",")]
    print(f"{args.records} records of 100 bytes; microseconds")
    print("| | " + " | ".join(f"{row['fragments']} fragments" for row in rows) + " |")
    print("|---|" + "---|" * len(rows))
    for what in [key for key in rows[0] if key not in COUNTS]:
        print(f"| {what} | " + " | ".join(f"{row[what] * 1e6:.1f}" for row in rows) + " |")
    print("| p99 split / without | "
          + " | ".join(f"{row['p99 split'] / row['p99 without']:.2f}" for row in rows) + " |")
    for row in rows:
        print(f"{row['fragments']} fragments: {row['in one']} records in the first,"
              f" {row['moved']} moved beside {row['writes']} writes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
