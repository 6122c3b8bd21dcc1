#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""fragments.py [--mnefs PROGRAM] [--records N] [--fragments N] [--dir DIR]: what fragments cost, and give.

One table, with 1 fragment and with many: making records, looking them up by name, listing
all, listing one fragment; then a split, with and without a writer: how long a record
takes, and the 99th percentile of writes meanwhile.  The table for docs is printed last.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time


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
            time.sleep(0.002)

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


def latencies(mount, until):
    """Seconds of each write of a record, one after the other, until until() is true."""
    taken, number = [], 0
    while not until():
        began = time.monotonic()
        with open(os.path.join(mount.table, f"w{number % 1000}"), "wb", buffering=0) as file:
            file.write(b"y" * 100)
        taken.append(time.monotonic() - began)
        number += 1
    return sorted(taken)


def p99(taken):
    return taken[int(len(taken) * 0.99)] if taken else float("nan")


def during_split(mount, n):
    done = threading.Event()
    result = []

    def split():
        result.append(mount.grow(n))
        done.set()

    thread = threading.Thread(target=split)
    thread.start()
    taken = latencies(mount, done.is_set)
    thread.join()
    return taken, result[0]


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
        end = time.monotonic() + 3
        row["p99"] = p99(latencies(mount, lambda: time.monotonic() >= end))
        taken, (seconds, moved) = during_split(mount, n + max(n // 4, 1))
        row["p99 split"], row["writes"] = p99(taken), len(taken)
        row["split, writing"] = seconds / max(moved, 1)
        seconds, moved = mount.grow(n + 2 * max(n // 4, 1))
        row["split"], row["moved"] = seconds / max(moved, 1), moved
    finally:
        mount.umount()
        shutil.rmtree(top, ignore_errors=True)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mnefs", default="mnefs")
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--fragments", type=int, default=64)
    parser.add_argument("--dir", default=None)
    args = parser.parse_args()
    rows = [measure(args, n) for n in (1, args.fragments)]
    print(f"{args.records} records of 100 bytes; microseconds")
    print("| | " + " | ".join(f"{row['fragments']} fragments" for row in rows) + " |")
    print("|---|" + "---|" * len(rows))
    for what in ["create", "lookup", "list all", "list one", "p99", "p99 split",
                 "split, writing", "split"]:
        print(f"| {what} | " + " | ".join(f"{row[what] * 1e6:.1f}" for row in rows) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
