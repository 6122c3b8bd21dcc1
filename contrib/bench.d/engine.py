# SPDX-License-Identifier: Apache-2.0
"""contrib/bench engine: what LevelDB's settings cost and gain.

Every variant sets some words of $MNE_DEBUG (kv-buffer, kv-cache, kv-block, kv-table,
kv-bloom, kv-open, kv-snappy, kv-paranoid, kv-verify, see docs/testing.md) and lives
through the same: files are created, overwritten in random order, and after remounts with
cold caches looked at, read, and walked.  In each round another variant comes first; what
is printed are medians, and of the ratios to the first variant, round by round.

  contrib/bench engine base bloom0=kv-bloom=0 small=kv-buffer=16777216,kv-bloom=0
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time

import systems
from systems import say

MIB = 1 << 20


class Variant(systems.Mnefs):
    """mnefs with some words of MNE_DEBUG."""

    def __init__(self, work, ground, program, text):
        name, _, words = text.partition("=")
        super().__init__(work, ground, program, "", name)
        self.words = words

    def command(self):
        return ["env", f"MNE_DEBUG={self.words}", *super().command()]

    def written(self):
        """Bytes that the daemon gave to the disk."""
        with open(f"/proc/{self.process.pid}/io", encoding="ascii") as f:
            return sum(int(line.split()[1]) for line in f
                       if line.startswith("write_bytes:"))

    def memory(self):
        """KiB in memory now: its own, and pages of files."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            fields = dict(line.split(":", 1) for line in f)
        return tuple(int(fields[k].split()[0]) for k in ("RssAnon", "RssFile"))

    def on_disk(self):
        at = os.path.join(self.source, "store", "kv")
        total = 0
        for name in os.listdir(at):
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(os.path.join(at, name)).st_blocks * 512
        return total


class Peak(threading.Thread):
    """The most memory at once, looked at often."""

    def __init__(self, variant):
        super().__init__(daemon=True)
        self.variant, self.most, self.is_over = variant, (0, 0), False

    def run(self):
        while not self.is_over:
            with contextlib.suppress(OSError, KeyError, ValueError):
                self.most = max(self.most, self.variant.memory(), key=sum)
            time.sleep(0.05)

    def end(self):
        self.is_over = True
        self.join()
        return self.most


def rest(variant):
    """Until it has no more tables to merge."""
    for _ in range(120):
        before = variant.cpu_seconds()
        time.sleep(0.5)
        if variant.cpu_seconds() - before < 0.01:
            break
    os.sync()


def forget():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
        f.write("3")


class Life:
    """One variant in one round: {what: figure}."""

    def __init__(self, variant, runner, args):
        self.variant, self.runner, self.files = variant, runner, args.files
        self.compressible = args.compressible
        self.figures, self.latencies = {}, []

    def timed(self, what, ops, call):
        cpu, begun = self.variant.cpu_seconds(), time.perf_counter()
        call()
        took = time.perf_counter() - begun
        self.figures[what + " µs"] = took / ops * 1e6
        self.figures[what + " cpu"] = (self.variant.cpu_seconds() - cpu) / ops * 1e6

    def phase(self, name, files, rounds=1):
        def call():
            done = subprocess.run(
                [self.runner, "-l", *(["-z"] if self.compressible else []),
                 "-d", self.variant.table, "-n", str(files), "-x", "f",
                 "-r", str(rounds), name], check=True, stdout=subprocess.PIPE, text=True)
            self.latencies = [float(word) for word in done.stdout.split()[2:]]
        return call

    def filled(self, what, name, rounds):
        peak = Peak(self.variant)
        peak.start()
        before = self.variant.written()
        self.timed(what, self.files, self.phase(name, self.files, rounds))
        rest(self.variant)
        own, mapped = peak.end()
        for share, took in zip(("p50", "p99", "p99.9", "max"), self.latencies):
            self.figures[f"{what} {share}"] = took
        self.figures[what + " written"] = (
            (self.variant.written() - before) / self.files / 1024)
        self.figures[what + " MiB own"] = own / 1024
        self.figures[what + " MiB mapped"] = mapped / 1024

    def cold(self, what, name, part):
        self.variant.remount()
        forget()
        self.timed(what, self.files // part, self.phase(name, self.files // part))

    def walk(self):
        subprocess.run(["find", self.variant.table, "-printf", "%s %T@ %i\n"],
                       check=True, stdout=subprocess.DEVNULL)
        subprocess.run("find . -type f -print0 | xargs -0 cat | wc -c", shell=True,
                       cwd=self.variant.table, check=True, stdout=subprocess.DEVNULL)

    def run(self):
        try:
            self.variant.start()
            self.filled("create", "create", 1)
            self.filled("overwrite", "overwrite", 2)
            self.cold("stat cold", "stat", 4)
            self.cold("read cold", "read", 4)
            self.variant.remount()
            forget()
            self.timed("walk cold", self.files, self.walk)
            self.figures["disk"] = self.variant.on_disk() / self.files / 1024
        finally:
            self.variant.stop()
        return self.figures


def show(names, results):
    rows = list(results[names[0]][0])
    say("\n" + f"{'median':<22}" + "".join(f"{n:>18}" for n in names))
    for row in rows:
        cells = []
        for name in names:
            mine = [figures[row] for figures in results[name]]
            base = [figures[row] for figures in results[names[0]]]
            ratios = [a / b for a, b in zip(mine, base) if b]
            ratio = f" ({statistics.median(ratios):.2f})" if ratios else ""
            cells.append(f"{statistics.median(mine):.1f}{ratio}")
        say(f"{row:<22}" + "".join(f"{cell:>18}" for cell in cells))


def parse(words, find_mnefs):
    p = argparse.ArgumentParser(prog="contrib/bench engine", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("variants", nargs="+", metavar="NAME[=WORD,...]")
    p.add_argument("--mnefs", metavar="PATH", help="the program")
    p.add_argument("--files", type=int, default=200_000, metavar="N")
    p.add_argument("--compressible", action="store_true",
                   help="bytes that compress to half, in place of random ones")
    p.add_argument("--rounds", type=int, default=3, metavar="N")
    p.add_argument("--transport", choices=("uring", "dev"), default="dev")
    p.add_argument("--image", type=int, default=6144, metavar="MIB")
    p.add_argument("--dir", metavar="DIR", default="/var/tmp")
    p.add_argument("--json", metavar="FILE")
    args = p.parse_args(words)
    args.mnefs = find_mnefs(args.mnefs)
    if not args.mnefs:
        p.error("no mnefs found: build it, or say --mnefs PATH")
    return args


def measure(args, work):
    systems.compile_tools(work)
    systems.FuseSystem.transport = systems.Transport(args.transport)
    ground = systems.Ground(work, args.image)
    with contextlib.ExitStack() as stack:
        stack.callback(ground.stop)
        ground.start()
        variants = [Variant(work, ground, args.mnefs, text) for text in args.variants]
        results = {v.name: [] for v in variants}
        for turn in range(args.rounds):
            for variant in variants[turn % len(variants):] + variants[:turn % len(variants)]:
                say(f"  round {turn + 1}: {variant.name}")
                life = Life(variant, os.path.join(work, "phases"), args)
                results[variant.name].append(life.run())
                say("    " + "  ".join(f"{k} {v:.1f}" for k, v in life.figures.items()))
        return results


def main(words, find_mnefs):
    args = parse(words, find_mnefs)
    if not systems.is_root():
        say("bench: only root can drop caches")
        return 1
    work = tempfile.mkdtemp(prefix="mnefs-engine-", dir=args.dir)
    try:
        results = measure(args, work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    show(list(results), results)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump(results, f, indent=1)
    return 0
