# SPDX-License-Identifier: Apache-2.0
"""contrib/bench tx: transactions, beside those of Mnesia.

  write    transactions a second, of 1 and of 10 writes of 100 bytes, by 1 and by 8 clients
           that do not meet; not durable, and durable
  contend  8 clients, each transaction reads and changes two of a few records: how often
           it has to begin again
  idle     what a transaction that somebody has left open, with changes in it, costs who
           writes plainly: a ratio of slices that take turns

Systems: mount (.tx, by system calls), library (the same store without a mount), mnesia
(erlang-mnesia, disc_copies: transaction, sync_transaction, transaction and sync_log).
What is not there is left out.  Every row is a median of rounds in which all take turns.
"""

import argparse
import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import report
import systems
from history import HERE, Mnefs, micros, say

IDLE_CHANGES = 20


# --- who runs them ---------------------------------------------------------------------


def run_load(program, place, what, kind, clients, writes, keys, seconds):
    done = subprocess.run(
        [program, place, what, kind, *map(str, (clients, writes, keys, seconds))],
        capture_output=True, text=True, check=False)
    if done.returncode:
        raise LookupError(f"{what} {kind}: {(done.stderr or done.stdout).strip()[-300:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compile_mount_load(into):
    program = os.path.join(into, "txload")
    sources = [os.path.join(HERE, name) for name in ("txload.c", "txmount.c")]
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-pthread", "-o",
                    program, *sources], check=True)
    return program


def library_load(mnefs):
    """Made by the build beside the program; None without one."""
    build = os.path.dirname(os.path.realpath(mnefs))
    name = "contrib/bench.d/txlibrary"
    if os.path.exists(os.path.join(build, "Makefile")):
        subprocess.run(["make", "-s", "-C", build, name], check=False,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    program = os.path.join(build, name)
    return program if os.access(program, os.X_OK) else None


class Runners:
    def __init__(self, args, work):
        self.args, self.work, self.count = args, work, 0
        self.transport = (systems.Transport(args.transport) if args.transport
                          else systems.Transport.best())
        with self.transport:
            self.mount = Mnefs(self.fresh(), args.mnefs, args.options)
        self.txload = compile_mount_load(work)
        self.library = library_load(args.mnefs)
        if not self.library:
            say("  library is left out: no build beside the program")
        self.erlang = shutil.which("escript")
        if not self.erlang:
            say("  mnesia is left out: erlang-mnesia is not installed")

    def fresh(self):
        """A directory of its own."""
        self.count += 1
        path = os.path.join(self.work, str(self.count))
        os.mkdir(path)
        return path

    def run_mount(self, *load):
        return run_load(self.txload, self.mount.top, *load)

    def run_library(self, *load):
        store = os.path.join(self.fresh(), "store")
        try:
            return run_load(self.library, store, *load)
        finally:
            shutil.rmtree(store, ignore_errors=True)

    def mnesia(self):
        """All its loads: rows."""
        if not self.erlang:
            return
        args, at = self.args, self.fresh()
        done = subprocess.run(
            [self.erlang, os.path.join(HERE, "txmnesia.escript"), at,
             str(float(args.seconds)), str(args.keys), str(args.few)],
            capture_output=True, text=True, check=False)
        shutil.rmtree(at, ignore_errors=True)
        if done.returncode:
            say(f"  mnesia is left out: {(done.stderr or done.stdout).strip()[-300:]}")
            self.erlang = None
            return
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                yield dict(json.loads(line), system="mnesia")

    def ours(self):
        yield "mount", self.run_mount
        if self.library:
            yield "library", self.run_library


# --- what is measured ------------------------------------------------------------------


def write_round(runners, args):
    for kind in ("commit", "durable"):
        for clients in (1, 8):
            for writes in (1, 10):
                for name, run in runners.ours():
                    it = run("write", kind, clients, writes, args.keys, args.seconds)
                    yield dict(it, system=name, what="write", kind=kind,
                               clients=clients, writes=writes)


def contend_round(runners, args):
    for name, run in runners.ours():
        it = run("add", "commit", 8, 2, args.few, args.seconds)
        yield dict(it, system=name, what="add", kind="commit", clients=8, writes=2)


@contextlib.contextmanager
def idle_transaction(top):
    """Open, changed, and left alone."""
    at = os.path.join(top, ".tx/idle")
    os.mkdir(at)
    try:
        for n in range(IDLE_CHANGES):
            with open(os.path.join(at, f"t/idle{n}"), "w", encoding="ascii") as f:
                f.write("x" * 100)
        yield
    finally:
        os.rmdir(at)


def idle(runners, args):
    """Plain writes a second with one / without, of neighbours in time."""
    def plain():
        it = runners.run_mount("plain", "commit", 1, 1, args.keys, args.seconds / 2)
        return it["done"] / it["seconds"]

    plain()
    ratios, rates = [], []
    for n in range(args.rounds * 4):
        pair = {}
        for is_open in (n % 2 == 0, n % 2 == 1):
            with idle_transaction(runners.mount.top) if is_open else \
                    contextlib.nullcontext():
                pair[is_open] = plain()
        ratios.append(pair[False] / pair[True])
        rates.append(pair[False])
    return {"what": "idle", "system": "mount", "per_second": statistics.median(rates),
            "cost": statistics.median(ratios), "ratios": ratios}


def summarise(records):
    """One row for each load of each system, with medians."""
    groups = {}
    for it in records:
        key = tuple(it[k] for k in ("what", "kind", "clients", "writes", "system"))
        groups.setdefault(key, []).append(it)
    rows = []
    for (what, kind, clients, writes, system), its in groups.items():
        rates = [it["done"] / it["seconds"] for it in its]
        rows.append({
            "what": what, "kind": kind, "clients": clients, "writes": writes,
            "system": system, "per_second": statistics.median(rates), "rates": rates,
            "spread": report.spread(rates),
            "p50_us": statistics.median(it["p50_us"] for it in its),
            "p99_us": statistics.median(it["p99_us"] for it in its),
            "restarts": statistics.median(
                it["conflicts"] / max(it["done"], 1) for it in its)})
    return rows


def measure(args, runners):
    records = []
    for n in range(args.rounds):
        say(f"  round {n + 1}")
        if args.what in ("write", "all"):
            records += write_round(runners, args)
        if args.what in ("contend", "all"):
            records += contend_round(runners, args)
        if args.what != "idle":
            records += runners.mnesia()
    rows = summarise(records)
    if args.what in ("idle", "all"):
        rows.append(idle(runners, args))
    return rows


# --- to be seen ------------------------------------------------------------------------


def show(rows):
    wide = "{:<8}{:<9}{:>8}{:>7}  {:<8}{:>10}{:>7}{:>11}{:>11}{:>10}"
    say("  " + wide.format("load", "kind", "clients", "writes", "system", "per s", "±",
                           "p50", "p99", "restarts"))
    order = {"commit": 0, "sync": 1, "durable": 2}
    for row in sorted((r for r in rows if r["what"] != "idle"),
                      key=lambda r: (r["what"] == "add", order[r["kind"]], r["clients"],
                                     r["writes"])):
        say("  " + wide.format(
            row["what"], row["kind"], row["clients"], row["writes"], row["system"],
            f"{row['per_second']:,.0f}", f"{row['spread'] * 100:.0f}%",
            micros(row["p50_us"] / 1e6), micros(row["p99_us"] / 1e6),
            f"{row['restarts']:.2f}"))
    for row in rows:
        if row["what"] == "idle":
            say(f"  plain writes: {row['per_second']:,.0f} a second; with a transaction"
                f" left open they take {row['cost']:.3f} times as long (<= 1.1)")


def parse(words, find_mnefs):
    p = argparse.ArgumentParser(prog="contrib/bench tx", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", nargs="?", choices=("write", "contend", "idle", "all"),
                   default="all")
    p.add_argument("--mnefs", metavar="PATH", help="the program")
    p.add_argument("--options", metavar="OPTS", default="", help="mount options, as for -o")
    p.add_argument("--transport", choices=("uring", "dev"),
                   help="how requests come (default: uring, where root can switch it on)")
    p.add_argument("--rounds", type=int, default=3, metavar="N")
    p.add_argument("--seconds", type=float, default=0.6, metavar="S", help="of one load")
    p.add_argument("--keys", type=int, default=1000, metavar="N", help="of each client")
    p.add_argument("--few", type=int, default=16, metavar="N", help="that all share")
    p.add_argument("--dir", metavar="DIR", default="/var/tmp")
    p.add_argument("--json", metavar="FILE")
    args = p.parse_args(words)
    args.mnefs = find_mnefs(args.mnefs)
    if not args.mnefs:
        p.error("no mnefs found: build it, or say --mnefs PATH")
    return args


def main(words, find_mnefs):
    args = parse(words, find_mnefs)
    work = tempfile.mkdtemp(prefix="mnefs-tx-", dir=args.dir)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, work, ignore_errors=True)
        runners = Runners(args, work)
        stack.callback(runners.mount.stop)
        rows = measure(args, runners)
        about = dict(report.machine(), transport=runners.transport.kind)
    show(rows)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            json.dump({"machine": about, "rows": rows}, f, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], lambda path: path or shutil.which("mnefs")))
