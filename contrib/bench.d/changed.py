#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long an incremental backup takes: a list of what changed beside rsync's walk.

Many records, of which a few change between two checkpoints; medians of milliseconds.

    contrib/bench.d/changed.py --mnefs ./mnefs [--records 200000] [--changes 100]
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time


def timed(function, reps):
    took = []
    for _ in range(reps):
        start = time.perf_counter()
        function()
        took.append((time.perf_counter() - start) * 1000)
    return statistics.median(took)


def rsync(*words):
    subprocess.run(["rsync", *words], check=True, stdout=subprocess.DEVNULL)


def fill(table, records):
    os.mkdir(table)
    for n in range(records):
        fd = os.open(f"{table}/{n:07d}", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, b"%d" % n)
        os.close(fd)


def change(table, records, changes):
    for n in range(changes):
        with open(f"{table}/{n * records // changes:07d}", "wb") as file:
            file.write(b"changed")


def measure(mnt, copy, options):
    fill(f"{mnt}/t", options.records)
    os.mkdir(f"{mnt}/.checkpoints/A")
    if not options.list_only:
        rsync("-a", f"{mnt}/.checkpoints/A/", f"{copy}/")
    change(f"{mnt}/t", options.records, options.changes)
    os.mkdir(f"{mnt}/.checkpoints/B")
    listed = f"{mnt}/.mnefs/changed/A..B"
    b = f"{mnt}/.checkpoints/B/"

    def read(name):
        with open(name, "rb") as file:
            return file.read()

    assert read(listed).count(b"\0") == options.changes
    yield "read the list", timed(lambda: read(listed), 5)
    yield "read the JSON", timed(lambda: read(listed + ".json"), 5)
    if options.list_only:
        return
    yield "rsync with the list", timed(
        lambda: rsync("-aI", "--force", "--from0", f"--files-from={listed}",
                      "--delete-missing-args", b, f"{copy}/"), 3)
    yield "rsync -a --delete", timed(lambda: rsync("-a", "--delete", b, f"{copy}/"), 3)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--mnefs", default=os.environ.get("MNEFS", "./mnefs"))
    p.add_argument("--records", type=int, default=200_000)
    p.add_argument("--changes", type=int, default=100)
    p.add_argument("--list-only", action="store_true", help="do not run rsync")
    p.add_argument("--dir", default="/var/tmp")
    options = p.parse_args()
    here = tempfile.mkdtemp(prefix="mnefs-bench-", dir=options.dir)
    mnt, copy = f"{here}/mnt", f"{here}/copy"
    os.mkdir(mnt)
    mnefs = os.path.abspath(options.mnefs)
    subprocess.run([mnefs, f"{here}/store", mnt, "-o", "create"], check=True)
    try:
        print(f"{options.changes} changes among {options.records} records, ms:")
        for name, took in measure(mnt, copy, options):
            print(f"  {name:24}{took:10.1f}", flush=True)
    finally:
        subprocess.run([mnefs, "umount", mnt], check=False)
        shutil.rmtree(here, ignore_errors=True)


if __name__ == "__main__":
    main()
