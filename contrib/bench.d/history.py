# SPDX-License-Identifier: Apache-2.0
"""contrib/bench history: what checkpoints cost, beside btrfs snapshots and Mnesia.

  stall   a table with many checkpoints; one of them, that keeps a lot, is dropped while a
          program goes on writing: latencies of its writes before and during that, how long
          it takes until the space is back, and whether it is as much as FREES said
  compare activation, first overwrite after it, second overwrite, drop: mnefs, btrfs
          subvolume snapshots on a loop device on the same disk, Mnesia (erlang-mnesia,
          disc_copies, activate_checkpoint)

As root; btrfs needs btrfs-progs, Mnesia needs erlang-mnesia: what is not there is left out.
"""

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def say(text):
    print(text, flush=True)


def percentile(sorted_, share):
    return sorted_[min(int(len(sorted_) * share), len(sorted_) - 1)]


def micros(seconds):
    return f"{seconds * 1e6:,.0f} µs" if seconds < 0.01 else f"{seconds * 1e3:,.1f} ms"


# --- places to write to ----------------------------------------------------------------


class Mnefs:
    name = "mnefs"

    def __init__(self, work, program, options):
        self.store, self.top = os.path.join(work, "store"), os.path.join(work, "mnt")
        self.program = program
        os.mkdir(self.top)
        words = ",".join(filter(None, ["create", options]))
        subprocess.run([program, self.store, self.top, "-o", words], check=True)
        self.data = os.path.join(self.top, "t")
        os.makedirs(self.data, exist_ok=True)

    def snapshot(self, name):
        os.mkdir(os.path.join(self.top, ".checkpoints", name))

    def drop(self, name):
        os.rmdir(os.path.join(self.top, ".checkpoints", name))

    def status(self):
        with open(os.path.join(self.top, ".mnefs/status.json"), encoding="utf-8") as f:
            return json.load(f)

    def frees(self, name):
        path = os.path.join(self.top, ".mnefs/checkpoints.json")
        with open(path, encoding="utf-8") as f:
            for line in f:
                it = json.loads(line)
                if it["name"] == name:
                    return it["frees"]
        return 0

    def settle(self):
        with open(os.path.join(self.top, ".mnefs/ctl"), "w", encoding="utf-8") as f:
            f.write("sync\nreclaim\n")
        while self.status()["reclaim_backlog"]:
            time.sleep(0.05)

    def disk(self):
        """MiB of keys and of segments, as the disk has them."""
        sizes = []
        for part in ("kv", "blob"):
            at = os.path.join(self.store, part)
            total = 0
            for name in os.listdir(at):
                with contextlib.suppress(FileNotFoundError):
                    total += os.stat(os.path.join(at, name)).st_blocks * 512
            sizes.append(total >> 20)
        return sizes

    def stop(self):
        subprocess.run([self.program, "umount", self.top], check=False)


class Btrfs:
    name = "btrfs"

    def __init__(self, work, mib):
        if not shutil.which("mkfs.btrfs"):
            raise LookupError("btrfs-progs is not installed")
        image, self.top = os.path.join(work, "image"), os.path.join(work, "btrfs")
        os.mkdir(self.top)
        with open(image, "wb") as f:
            f.truncate(mib << 20)
        subprocess.run(["mkfs.btrfs", "-q", image], check=True,
                       stdout=subprocess.DEVNULL)
        subprocess.run(["mount", "-o", "loop,noatime", image, self.top], check=True)
        self.data = os.path.join(self.top, "t")
        self.run("create", self.data)

    @staticmethod
    def run(*words):
        subprocess.run(["btrfs", "-q", "subvolume", *words], check=True,
                       stdout=subprocess.DEVNULL)

    def snapshot(self, name):
        self.run("snapshot", "-r", self.data, os.path.join(self.top, name))

    def drop(self, name):
        self.run("delete", os.path.join(self.top, name))

    def settle(self):
        os.sync()
        self.run("sync", self.top)

    def stop(self):
        subprocess.run(["umount", self.top], check=False)


# --- what is done to them --------------------------------------------------------------


def overwrite(path, data):
    """As a program saves a small file in place; seconds it took."""
    begun = time.perf_counter()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.write(fd, data)
    os.close(fd)
    return time.perf_counter() - begun


def record(place, n):
    return os.path.join(place.data, f"{n:07}")


def size_of(n, args):
    """Every hundredth record is a big one: its bytes are in a segment."""
    return args.big if n % 100 == 0 else args.small


def fill(place, args, numbers):
    noise = os.urandom(args.big + 4096)
    for n in numbers:
        at = n % 4096
        overwrite(record(place, n), noise[at:at + size_of(n, args)])


class Writer(threading.Thread):
    """Writes records at random, at a steady rate, and notes how long each took."""

    def __init__(self, place, args):
        super().__init__(daemon=True)
        self.place, self.args = place, args
        self.times, self.is_over = [], False

    def run(self):
        rng, data = random.Random(1), os.urandom(self.args.small)
        pause, due = 1 / self.args.rate, time.perf_counter()
        while not self.is_over:
            n = rng.randrange(self.args.records)
            self.times.append(overwrite(record(self.place, n), data))
            due += pause
            left = due - time.perf_counter()
            if left > 0:
                time.sleep(left)
            else:
                due = time.perf_counter()

    def take(self):
        taken, self.times = self.times, []
        return sorted(taken)


def summary(times):
    return {"writes": len(times), "p50": percentile(times, 0.5),
            "p99": percentile(times, 0.99), "p999": percentile(times, 0.999),
            "max": times[-1]}


def show_times(what, it):
    say(f"  {what:<22}{it['writes']:>8,} writes   p50 {micros(it['p50']):>10}   p99"
        f" {micros(it['p99']):>10}   p99.9 {micros(it['p999']):>10}"
        f"   max {micros(it['max']):>10}")


def make_store(args, work):
    place = Mnefs(work, args.mnefs, args.options)
    try:
        prepare(place, args)
    finally:
        place.stop()
    return place.store


def stall(args, work):
    """On a store made for it, or on a copy of one that was made before."""
    if args.prepared and not os.path.exists(args.prepared):
        shutil.move(make_store(args, work), args.prepared)
        shutil.rmtree(os.path.join(work, "mnt"))
        say("  prepared")
        return None
    if args.prepared:
        shutil.copytree(args.prepared, os.path.join(work, "store"))
        os.sync()
    place = Mnefs(work, args.mnefs, args.options)
    try:
        if not args.prepared:
            prepare(place, args)
        return measure_stall(place, args)
    finally:
        place.stop()


def prepare(place, args):
    """The records and the checkpoints; the one in the middle keeps the most."""
    rng = random.Random(2)
    begun = time.perf_counter()
    fill(place, args, range(args.records))
    say(f"  {args.records:,} records in {time.perf_counter() - begun:.0f} s")
    middle, half = args.checkpoints // 2, range(0, args.records, 2)
    for k in range(args.checkpoints):
        place.snapshot(f"c{k:03}")
        fill(place, args, rng.sample(range(args.records), args.records // 1000))
        if k in (middle - 1, middle):
            fill(place, args, half)
    place.settle()


def watch_drop(place, writer, victim):
    before = place.disk()
    writer.take()
    begun = time.perf_counter()
    place.drop(victim)
    took = time.perf_counter() - begun
    while place.status()["reclaim_backlog"]:
        time.sleep(0.1)
    reclaimed = time.perf_counter() - begun
    last, since = place.disk()[1], time.perf_counter()
    while time.perf_counter() - since < 1.5:
        time.sleep(0.1)
        now = place.disk()[1]
        if now != last:
            last, since = now, time.perf_counter()
    swept = since - begun
    return took, reclaimed, max(swept, reclaimed), before, place.disk()


def measure_stall(place, args):
    victim = f"c{args.checkpoints // 2:03}"
    writer = Writer(place, args)
    writer.start()
    time.sleep(args.seconds)
    writer.take()
    time.sleep(args.seconds)
    base = summary(writer.take())
    frees = place.frees(victim)
    took, reclaimed, swept, before, after = watch_drop(place, writer, victim)
    during = summary(writer.take())
    writer.is_over = True
    writer.join()
    show_times("without", base)
    show_times("while it is reclaimed", during)
    say(f"  p99 is {during['p99'] / base['p99']:.2f} times that without;"
        f" rmdir took {micros(took)}")
    say(f"  FREES said {frees / 2**20:,.1f} MiB; reclaimed after {reclaimed:.1f} s, swept"
        f" after {swept:.1f} s; on disk: keys {before[0]:,} -> {after[0]:,} MiB, segments"
        f" {before[1]:,} -> {after[1]:,} MiB")
    return {"base": base, "during": during, "frees": frees, "rmdir": took,
            "reclaimed": reclaimed, "swept": swept,
            "mib_before": before, "mib_after": after}


# --- beside others ---------------------------------------------------------------------


def median(values):
    return percentile(sorted(values), 0.5)


def compare_files(place, args):
    """Medians: activation with so many records, first overwrite after it, second, drop."""
    fill(place, args, range(args.records))
    rng = random.Random(3)
    chosen = [n for n in rng.sample(range(args.records), args.overwrites + 100) if n % 100]
    data = os.urandom(args.small)
    activate, first, second, dropped = [], [], [], []
    for n in chosen:
        overwrite(record(place, n), data)
    plain = [overwrite(record(place, n), data) for n in chosen]
    for k in range(args.rounds):
        begun = time.perf_counter()
        place.snapshot(f"s{k}")
        activate.append(time.perf_counter() - begun)
        first += [overwrite(record(place, n), data) for n in chosen]
        second += [overwrite(record(place, n), data) for n in chosen]
    for k in range(args.rounds):
        begun = time.perf_counter()
        place.drop(f"s{k}")
        dropped.append(time.perf_counter() - begun)
    return {"activate": median(activate), "plain overwrite": median(plain),
            "first overwrite": median(first), "second overwrite": median(second),
            "drop": median(dropped)}


def compare_mnesia(args, work):
    if not shutil.which("erl"):
        raise LookupError("erlang is not installed")
    command = ["escript", os.path.join(HERE, "mnesia.escript"), work, str(args.records),
               str(args.small), str(args.overwrites), str(args.rounds)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LookupError(f"mnesia: {(done.stderr or done.stdout).strip()[-300:]}")
    return json.loads(done.stdout.splitlines()[-1])


def each_system(args, work):
    with contextlib.ExitStack() as stack:
        at = os.path.join(work, "mnefs")
        os.mkdir(at)
        place = Mnefs(at, args.mnefs, args.options)
        stack.callback(place.stop)
        yield "mnefs", lambda: compare_files(place, args)
    with contextlib.ExitStack() as stack:
        at = os.path.join(work, "b")
        os.mkdir(at)
        with contextlib.suppress(LookupError):
            place = Btrfs(at, args.image)
            stack.callback(place.stop)
            yield "btrfs", lambda: compare_files(place, args)
    at = os.path.join(work, "mnesia")
    os.mkdir(at)
    yield "mnesia", lambda: compare_mnesia(args, at)


def compare(args, work):
    results = {}
    for name, measure in each_system(args, work):
        try:
            results[name] = measure()
        except LookupError as e:
            say(f"  {name} is left out: {e}")
    rows = list(dict.fromkeys(row for it in results.values() for row in it))
    say("  " + f"{'median of one':<28}" + "".join(f"{n:>14}" for n in results))
    for row in rows:
        cells = (micros(it[row]) if row in it else "-" for it in results.values())
        say(f"  {row:<28}" + "".join(f"{cell:>14}" for cell in cells))
    return results


def parse(words, find_mnefs):
    p = argparse.ArgumentParser(prog="contrib/bench history", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", nargs="?", choices=("stall", "compare", "all"), default="all")
    p.add_argument("--mnefs", metavar="PATH", help="the program")
    p.add_argument("--options", metavar="OPTS", default="", help="mount options, as for -o")
    p.add_argument("--records", type=int, default=50_000, metavar="N",
                   help="of the table (default: %(default)s; 1000000 takes minutes)")
    p.add_argument("--checkpoints", type=int, default=100, metavar="N")
    p.add_argument("--small", type=int, default=1024, metavar="BYTES")
    p.add_argument("--big", type=int, default=65536, metavar="BYTES")
    p.add_argument("--rate", type=int, default=1000, metavar="N", help="writes a second")
    p.add_argument("--seconds", type=float, default=5, metavar="S", help="without a drop")
    p.add_argument("--overwrites", type=int, default=2000, metavar="N")
    p.add_argument("--rounds", type=int, default=5, metavar="N")
    p.add_argument("--image", type=int, default=4096, metavar="MIB", help="for btrfs")
    p.add_argument("--dir", metavar="DIR", default="/var/tmp")
    p.add_argument("--prepared", metavar="STORE", help="of stall: make a store here and"
                   " measure nothing; if it is there, measure a copy of it")
    p.add_argument("--json", metavar="FILE")
    args = p.parse_args(words)
    args.mnefs = find_mnefs(args.mnefs)
    if not args.mnefs:
        p.error("no mnefs found: build it, or say --mnefs PATH")
    return args


def main(words, find_mnefs):
    args = parse(words, find_mnefs)
    parts = {"stall": stall, "compare": compare}
    results = {}
    for name, run in parts.items():
        if args.what not in (name, "all"):
            continue
        work = tempfile.mkdtemp(prefix="mnefs-history-", dir=args.dir)
        say(f"{name}:")
        try:
            results[name] = run(args, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lambda path: path or shutil.which("mnefs")))
