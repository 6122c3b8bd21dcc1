# SPDX-License-Identifier: Apache-2.0
"""The phases, and the order in which they run.

Each phase runs on every system before the next phase begins, and the system that comes
first changes with every repetition: what else the machine does hits all of them alike,
and a ratio is taken between neighbours in time.
"""

import collections
import contextlib
import os
import shutil
import subprocess
import tempfile
import time

from systems import Failed, Interrupted, is_root, say, watchdog

# What to run; from which prefix of names; what the kernel forgets before (as for
# drop_caches: 2 names and attributes, 3 file contents too); a pass before to warm up.
Phase = collections.namedtuple("Phase", "name runs prefix drops warms block")
Phase.__new__.__defaults__ = ("f", 0, False, 131072)

SMALL = (
    Phase("create", "create"),
    Phase("stat-warm", "stat", warms=True),
    Phase("stat-cold", "stat", drops=2),
    Phase("read-cold", "read", drops=3),
    Phase("read-warm", "read", warms=True),
    Phase("list-cold", "list", drops=2),
    Phase("list-warm", "list", warms=True),
    Phase("overwrite", "overwrite"),
    Phase("replace", "replace"),
    Phase("rename", "rename"),
    Phase("unlink", "unlink", prefix="renamed"),
)
STREAM = (
    Phase("write-128k", "write-stream", prefix="wide"),
    Phase("read-128k-cold", "read-stream", prefix="wide", drops=3),
    Phase("read-128k-warm", "read-stream", prefix="wide", warms=True),
    Phase("write-4k", "write-stream", prefix="narrow", block=4096),
    Phase("read-4k-cold", "read-stream", prefix="narrow", drops=3, block=4096),
    Phase("read-4k-warm", "read-stream", prefix="narrow", warms=True, block=4096),
)
FSYNC = (Phase("fsync", "fsync", prefix="s"),)
RSYNC = ("rsync-copy", "rsync-again")
HISTORY = ("overwrite-ck0", "overwrite-ck1", "overwrite-ck1-again",
           "overwrite-ckmany", "overwrite-ckmany-again")
ACTIVATE = ("activate-few", "drop-few")
GROWTH = ("create-first", "create-last", "activate-lots", "drop-lots")
WALK = ("walk",)

GROUPS = {
    "small": [p.name for p in SMALL],
    "stream": [p.name for p in STREAM],
    "fsync": [p.name for p in FSYNC],
    "rsync": list(RSYNC),
    "history": list(HISTORY),
    "activate": list(ACTIVATE),
    "growth": list(GROWTH),
    "walk": list(WALK),
}
STREAM_PHASES = set(GROUPS["stream"])

# The phases that leave what later ones need; they run unrecorded if not asked for.
FOUNDATIONS = {"create", "rename", "write-128k", "write-4k"}

# How many of everything; --quick is for a smoke test and measures nothing.
Sizes = collections.namedtuple(
    "Sizes", "files mib synced few many walked checkpoints activations image_mib threads")
FULL = Sizes(20000, 512, 1000, 1000, 1000000, 200000, 50, 20, 12288, (1, 4))
QUICK = Sizes(500, 16, 50, 100, 5000, 1000, 5, 5, 1024, (1, 4))


def chosen_phases(words):
    """The phase names that groups and names stand for."""
    chosen = []
    for word in words:
        names = GROUPS.get(word, [word])
        if not any(names[0] in group for group in GROUPS.values()):
            raise ValueError(word)
        chosen += names
    return set(chosen)


class Suite:
    def __init__(self, systems, phases, sizes, tools, patience):
        self.systems = systems
        self.phases = phases
        self.sizes = sizes
        self.runner = os.path.join(tools, "phases")
        self.patience = patience
        self.records = []
        self.failures = []
        self.order = systems
        self.rep = 0

    # One measurement

    def record(self, system, phase, threads, ops, seconds, cpu=0.0):
        self.records.append({
            "rep": self.rep, "system": system.name, "phase": phase, "threads": threads,
            "ops": ops, "seconds": seconds, "daemon_cpu_seconds": cpu})

    def fail(self, system, what):
        words = system.last_words()
        if words and words not in what:
            what += f" (daemon: {words})"
        say(f"bench: {system.name}: {what}")
        self.failures.append(f"{system.name}: {what}")

    def call(self, system, command, directory=None):
        """Run a child to its end; a hanging daemon is killed, so that there is one."""
        with watchdog(system, self.patience):
            child = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=directory,
                                     stderr=subprocess.PIPE, text=True)
            try:
                out, err = child.communicate()
            except Interrupted:
                child.kill()
                raise
        if child.returncode:
            raise Failed(err.strip() or f"{os.path.basename(command[0])} failed")
        return out

    def run_phase(self, system, phase, files, threads):
        """Returns operations and seconds."""
        out = self.call(system, [
            self.runner, "-d", system.table, "-x", phase.prefix, "-n", str(files),
            "-t", str(threads), "-b", str(phase.block), "-m", str(self.sizes.mib),
            "-r", str(len(self.records) + 1), phase.runs])
        ops, seconds = out.split()
        return int(ops), float(seconds)

    def settle(self, drops=0):
        """All begin with nothing left to write, and those that want it with no caches."""
        os.sync()
        if drops:
            with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as f:
                f.write(str(drops))
            time.sleep(0.2)

    def rest(self, system):
        """Until the daemon has nothing left to do, either: its engine goes on merging
        tables after it was filled, and a sync meanwhile waits for the disk."""
        for _ in range(60):
            self.settle()
            before = system.cpu_seconds()
            time.sleep(1)
            if system.cpu_seconds() - before < 0.01:
                return

    def measure(self, system, phase, files, threads, recorded=True):
        if phase.warms:
            self.run_phase(system, phase, files, threads)
        self.settle(phase.drops)
        cpu = system.cpu_seconds()
        ops, seconds = self.run_phase(system, phase, files, threads)
        if recorded:
            self.record(system, phase.name, threads, ops, seconds,
                        system.cpu_seconds() - cpu)

    # Groups of phases

    @contextlib.contextmanager
    def running(self, systems):
        """Fresh systems, those that start; gone at the end, whatever happens."""
        started = []
        try:
            for system in systems:
                try:
                    started.append(system)
                    system.start()
                except (Failed, OSError) as e:
                    self.fail(system, str(e))
                    started.remove(system)
                    system.stop()
            yield list(started)
        finally:
            for system in started:
                system.stop()

    def together(self, phases, files, threads):
        """Run phases one by one, each on every system."""
        wanted = [p for p in phases if p.name in self.phases]
        if not wanted:
            return
        needed = phases[:phases.index(wanted[-1]) + 1]
        with self.running(self.order) as alive:
            for phase in needed:
                if phase.drops and not is_root():
                    continue
                recorded = phase in wanted
                if not recorded and phase.name not in FOUNDATIONS:
                    continue
                self.progress(f"{phase.name} t{threads}"
                              + ("" if recorded else " (unrecorded)"))
                for system in list(alive):
                    try:
                        self.measure(system, phase, files, threads, recorded)
                    except Failed as e:
                        self.fail(system, f"{phase.name}: {e}")
                        alive.remove(system)
            self.note_memory(alive, phases[0].name, threads)

    def note_memory(self, systems, group, threads):
        for system in systems:
            if system.peak_rss_kib():
                self.records.append({
                    "rep": self.rep, "system": system.name, "phase": f"rss-{group}",
                    "threads": threads, "kib": system.peak_rss_kib()})

    def progress(self, text):
        say(f"  rep {self.rep + 1}: {text}")

    def rsync(self):
        """Copy the files away, then again with nothing to do; from a checkpoint if any."""
        if not self.phases & set(RSYNC):
            return
        if not shutil.which("rsync"):
            say("bench: rsync is not installed: those phases are left out")
            return
        with self.running(self.order) as systems:
            for system in systems:
                self.progress(f"rsync from {system.name}")
                try:
                    self.rsync_one(system)
                except (Failed, OSError) as e:
                    self.fail(system, f"rsync: {e}")

    def rsync_one(self, system):
        self.run_phase(system, SMALL[0], self.sizes.files, 1)
        with watchdog(system, self.patience):
            source = system.checkpoint("copied")
        copy = tempfile.mkdtemp(prefix="copy-", dir=system.ground.path)
        try:
            for name in RSYNC:
                self.settle(3 if is_root() else 0)
                cpu = system.cpu_seconds()
                begin = time.perf_counter()
                self.call(system, ["rsync", "-a", source + "/", copy + "/"])
                seconds = time.perf_counter() - begin
                if len(os.listdir(copy)) != self.sizes.files:
                    raise Failed("the copy has not all the files")
                self.record(system, name, 1, self.sizes.files, seconds,
                            system.cpu_seconds() - cpu)
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def history(self):
        """Overwriting when nothing, something and everything has to be retained."""
        if not self.phases & set(HISTORY):
            return
        with self.running([s for s in self.order if s.name == "mnefs"]) as systems:
            for system in systems:
                try:
                    self.history_of(system)
                except (Failed, OSError) as e:
                    self.fail(system, f"checkpoints: {e}")

    def history_of(self, system):
        files, overwrite = self.sizes.files, SMALL[GROUPS["small"].index("overwrite")]

        def timed(name):
            self.progress(name)
            self.measure(system, overwrite._replace(name=name), files, 1)

        self.run_phase(system, SMALL[0], files, 1)
        timed("overwrite-ck0")
        self.make_checkpoint(system, "c1")
        timed("overwrite-ck1")
        timed("overwrite-ck1-again")
        for i in range(2, self.sizes.checkpoints + 1):
            # Some records change in between, or all the checkpoints would be one.
            self.run_phase(system, overwrite, max(1, files // 100), 1)
            self.make_checkpoint(system, f"c{i}")
        timed("overwrite-ckmany")
        timed("overwrite-ckmany-again")

    def make_checkpoint(self, system, name):
        with watchdog(system, self.patience):
            system.checkpoint(name)

    def only_mnefs(self):
        return self.running([s for s in self.order if s.name == "mnefs"])

    def activate(self):
        """How long mkdir of a checkpoint takes, in a small table."""
        if not self.phases & set(ACTIVATE) or self.rep > 0:
            return
        with self.only_mnefs() as systems:
            for system in systems:
                try:
                    self.run_phase(system, SMALL[0], self.sizes.few, 1)
                    self.activate_on(system, "few")
                except (Failed, OSError) as e:
                    self.fail(system, f"activate: {e}")

    def growth(self):
        """A million files, a tenth of them at a time; then checkpoints of them."""
        if not self.phases & set(GROWTH) or self.rep > 0:
            return
        with self.only_mnefs() as systems:
            for system in systems:
                try:
                    self.grow(system)
                    self.activate_on(system, "lots")
                except (Failed, OSError) as e:
                    self.fail(system, f"growth: {e}")
            self.note_memory(systems, "growth", 1)

    def grow(self, system):
        for tenth in range(10):
            self.progress(f"create of {self.sizes.many:,}: tenth {tenth + 1}")
            name = {0: "create-first", 9: "create-last"}.get(tenth)
            phase = SMALL[0]._replace(prefix=f"g{tenth}-")
            # The next tenth finds what the last one left to do, as in one go.
            cpu = system.cpu_seconds()
            ops, seconds = self.run_phase(system, phase, self.sizes.many // 10, 1)
            if name:
                self.record(system, name, 1, ops, seconds, system.cpu_seconds() - cpu)

    def activate_on(self, system, label):
        self.progress(f"activate, {label} records")
        self.rest(system)
        with watchdog(system, self.patience):
            for i in range(self.sizes.activations):
                with open(os.path.join(system.table, "changing"), "w",
                          encoding="ascii") as f:
                    f.write(f"{label} {i}\n")
                self.time_call(system, f"activate-{label}", system.checkpoint, label)
                self.time_call(system, f"drop-{label}", system.drop, label)

    def walk(self):
        """find -printf, then cat of everything, with cold caches, after a remount."""
        if not self.phases & set(WALK) or self.rep > 0 or not is_root():
            return
        with self.running([s for s in self.order
                           if s.name in ("ext4", "mnefs")]) as systems:
            for system in systems:
                self.progress(f"walk of {system.name}")
                try:
                    self.run_phase(system, SMALL[0], self.sizes.walked, 1)
                except Failed as e:
                    self.fail(system, f"walk: {e}")
            for system in systems:
                try:
                    self.walk_one(system)
                except (Failed, OSError) as e:
                    self.fail(system, f"walk: {e}")

    def walk_one(self, system):
        system.remount()
        self.settle(3)
        cpu = system.cpu_seconds()
        begin = time.perf_counter()
        self.call(system, ["find", system.table, "-printf", "%s %T@ %i\n"])
        self.call(system, ["sh", "-c", "find . -type f -print0 | xargs -0 cat | wc -c"],
                  system.table)
        self.record(system, "walk", 1, self.sizes.walked, time.perf_counter() - begin,
                    system.cpu_seconds() - cpu)

    def time_call(self, system, phase, function, argument):
        begin = time.perf_counter()
        function(argument)
        self.record(system, phase, 1, 1, time.perf_counter() - begin)

    def run(self, reps):
        for self.rep in range(reps):
            turn = self.rep % len(self.systems)
            self.order = self.systems[turn:] + self.systems[:turn]
            for threads in self.sizes.threads:
                self.together(SMALL, self.sizes.files, threads)
                self.together(FSYNC, self.sizes.synced, threads)
            self.together(STREAM, 0, 1)
            self.rsync()
            self.history()
            self.activate()
            self.walk()
            self.growth()
