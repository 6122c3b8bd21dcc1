# SPDX-License-Identifier: Apache-2.0
"""What is measured: file systems that can be started, stopped and always got rid of.

All of them but the null file system keep their files on one "ground": ext4 on a loop
device that is made for the run, or a plain directory where that needs a root we are not.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
GROUND_NAME = "ext4"


class Unavailable(Exception):
    """A system cannot be measured here; the sentence says why."""


class Failed(Exception):
    """A system was started and did not do what it should."""


def is_root():
    return os.geteuid() == 0


def say(text):
    print(text, flush=True)


def run_quietly(*command):
    """Run a command; its own words are the message when it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as e:
        raise Unavailable(f"{command[0]} is not installed") from e
    if done.returncode:
        words = (done.stderr or done.stdout).strip()
        raise Unavailable(f"{' '.join(command)}: {words}")
    return done.stdout.strip()


def mounted_below(path):
    """Mount points at or below path, deepest first."""
    path = os.path.realpath(path)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        points = [line.split(" ")[4].replace("\\040", " ") for line in f]
    below = [p for p in points if p == path or p.startswith(path + "/")]
    return sorted(below, key=len, reverse=True)


def unmount(path, lazily=False):
    """True if it is gone."""
    if is_root():
        command = ["umount"] + (["-l"] if lazily else []) + [path]
    else:
        command = ["fusermount3", "-uz" if lazily else "-u", path]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def compile_tools(into):
    """Build the phase runner and the null file system; returns the latter, or None."""
    cc = os.environ.get("CC", "cc")
    flags = ["-std=gnu11", "-O2", "-Wall", "-pthread"]
    phases = os.path.join(HERE, "phases.c")
    run_quietly(cc, *flags, "-o", os.path.join(into, "phases"), phases)
    try:
        nullfs = os.path.join(into, "nullfs")
        compile_nullfs(cc, flags, nullfs, into)
    except Unavailable as e:
        say(f"bench: no null file system: {e}")
        return None
    return nullfs


def has_library(name):
    try:
        run_quietly("pkg-config", "--exists", name)
    except Unavailable:
        return False
    return True


def compile_nullfs(cc, flags, program, work):
    """It takes its requests through the same code as mnefs."""
    source = os.path.join(os.path.dirname(os.path.dirname(HERE)), "src")
    with_uring = has_library("liburing")
    packages = ["fuse3", "glib-2.0"] + (["liburing"] if with_uring else [])
    libraries = run_quietly("pkg-config", "--cflags", "--libs", *packages).split()
    shared = ["fuse/uring.c" if with_uring else "fuse/uring_none.c", "util/lock.c"]
    sources = [os.path.join(HERE, name) for name in ("nullfs.c", "node.c", "ring.c")]
    sources += [os.path.join(source, name) for name in shared]
    with open(os.path.join(work, "config.h"), "w", encoding="ascii") as f:
        f.write("#define _GNU_SOURCE 1\n"
                "#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)\n")
    run_quietly(cc, *flags, "-I", work, "-I", source, "-o", program, *sources, *libraries)


class Ground:
    """The disk below: an ext4 of our own on a loop device, or a directory."""

    def __init__(self, work, size_mib):
        self.path = os.path.join(work, "ground")
        self.image = os.path.join(work, "ext4.img")
        self.size_mib = size_mib
        self.device = None
        self.kind = "directory"

    def start(self):
        os.mkdir(self.path)
        if not is_root():
            say("bench: not root: no loop device, so 'ext4' is a plain directory,"
                " and no cold phases")
            return
        try:
            self.make_disk()
            self.kind = "ext4 on a loop device"
        except Unavailable as e:
            say(f"bench: no loop device, so 'ext4' is a plain directory: {e}")
            self.stop()

    def make_disk(self):
        run_quietly("fallocate", "-l", f"{self.size_mib}M", self.image)
        run_quietly("mkfs.ext4", "-q", "-F", "-m", "0",
                    "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
        self.device = run_quietly("losetup", "--find", "--show", self.image)
        run_quietly("mount", self.device, self.path)

    def stop(self):
        if mounted_below(self.path) and not unmount(self.path):
            unmount(self.path, lazily=True)
        if self.device:
            subprocess.run(["losetup", "-d", self.device], check=False)
            self.device = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.image)


HALT_POLL = "/sys/module/haltpoll/parameters/guest_halt_poll_ns"


class Setting:
    """What root decides for the whole machine, in a file, while it is entered.

    It is put back at once.  Without a value it is left as it is."""

    def __init__(self, path, value=None):
        self.path = path
        self.value = value
        self.before = None

    def read(self):
        """None where this machine has no such setting."""
        try:
            with open(self.path, encoding="ascii") as f:
                return f.read().strip()
        except OSError:
            return None

    def set(self, value):
        with open(self.path, "w", encoding="ascii") as f:
            f.write(value)

    def __enter__(self):
        before = self.read()
        if self.value is None or before in (None, self.value):
            return
        self.set(self.value)
        self.before = before

    def __exit__(self, *why):
        if self.before is not None:
            self.set(self.before)
        self.before = None


class Transport(Setting):
    """How the kernel hands requests to those that are mounted while it is entered."""

    switch = "/sys/module/fuse/parameters/enable_uring"

    def __init__(self, kind):
        super().__init__(self.switch, "Y" if kind == "uring" else "N")
        self.kind = kind

    @classmethod
    def best(cls):
        """io_uring where it can be switched on."""
        return cls("uring" if os.access(cls.switch, os.W_OK) and is_root() else "dev")


class System:
    """A file system to measure; this one is the ground itself."""

    name = GROUND_NAME

    def __init__(self, work, ground):
        self.work = work
        self.ground = ground
        self.base = None

    @property
    def table(self):
        """Where the files of a phase go."""
        return os.path.join(self.base, "t")

    def start(self):
        self.base = tempfile.mkdtemp(prefix=self.name + "-", dir=self.ground.path)
        os.mkdir(self.table)

    def stop(self):
        if self.base:
            shutil.rmtree(self.base, ignore_errors=True)
        self.base = None

    def remount(self):
        """Those that have a daemon begin anew."""

    def checkpoint(self, name):
        """Where a tree stands that does not change any more; plain disks have none."""
        del name
        return self.table

    def drop(self, name):
        """Give it up."""

    def cpu_seconds(self):
        """What the daemon has used so far."""
        return 0.0

    def peak_rss_kib(self):
        return 0

    def last_words(self):
        """Of the daemon."""
        return ""

    def kill(self):
        """For a daemon that hangs: nothing that waits for it can be interrupted."""


class FuseSystem(System):
    """A system with a daemon: a foreground process that is ours to end."""

    patience = 60
    transport = Transport("dev")

    def __init__(self, work, ground):
        super().__init__(work, ground)
        self.process = None
        self.source = None
        self.log = os.path.join(work, self.name + ".log")

    def command(self):
        """The words that mount self.source at self.base."""
        raise NotImplementedError

    def start(self):
        self.source = tempfile.mkdtemp(prefix=self.name + "-", dir=self.ground.path)
        self.base = tempfile.mkdtemp(prefix=self.name + "-", dir=self.work)
        with self.transport:
            self.mount()
        os.mkdir(self.table)

    def mount(self):
        device = os.stat(self.base).st_dev
        with open(self.log, "wb") as log:
            # A session of its own: ^C is for us, who unmount before it ends.
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)
        deadline = time.monotonic() + self.patience
        while os.stat(self.base).st_dev == device:
            if self.process.poll() is not None:
                raise Failed(f"{self.name} did not mount: {self.last_words()}")
            if time.monotonic() > deadline:
                raise Failed(f"{self.name} did not mount in {self.patience} s")
            time.sleep(0.02)

    def last_words(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return " / ".join(f.read().strip().splitlines()[-3:])

    def stop(self):
        if self.base and mounted_below(self.base):
            self.leave()
        if self.process:
            self.end_process()
        if self.base and mounted_below(self.base):
            unmount(self.base, lazily=True)
        if self.base and not mounted_below(self.base):
            shutil.rmtree(self.base, ignore_errors=True)
        if self.source:
            shutil.rmtree(self.source, ignore_errors=True)
        self.base = self.source = self.process = None

    def remount(self):
        """With nothing left in memory."""
        self.leave()
        self.end_process()
        with self.transport:
            self.mount()

    def leave(self):
        for _ in range(20):
            if unmount(self.base):
                return
            time.sleep(0.1)

    def end_process(self):
        for end in (None, self.process.terminate, self.process.kill):
            if end:
                say(f"bench: {self.name} (pid {self.process.pid}) does not end by itself")
                end()
            try:
                self.process.wait(self.patience)
                break
            except subprocess.TimeoutExpired:
                continue

    def kill(self):
        if self.process:
            self.process.kill()

    def cpu_seconds(self):
        try:
            with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as f:
                fields = f.read().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_rss_kib(self):
        try:
            with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
                peak = [line.split()[1] for line in f if line.startswith("VmHWM:")]
        except OSError:
            return 0
        return int(peak[0]) if peak else 0


class Bindfs(FuseSystem):
    name = "bindfs"

    def __init__(self, work, ground):
        super().__init__(work, ground)
        if not shutil.which("bindfs"):
            raise Unavailable("bindfs is not installed")

    def command(self):
        return ["bindfs", "-f", self.source, self.base]


class Null(FuseSystem):
    """What FUSE costs when the rest is free."""

    name = "null"
    options = ("-o", "noflush")

    def __init__(self, work, ground, program):
        super().__init__(work, ground)
        if not program:
            raise Unavailable("it could not be compiled")
        self.program = program

    def command(self):
        return [self.program, self.base, *self.options]


class NullBest(Null):
    """The same without OPEN."""

    name = "null-best"
    options = ("-o", "noopen,noflush")


class Mnefs(FuseSystem):
    def __init__(self, work, ground, program, options, name="mnefs"):
        self.name = name
        super().__init__(work, ground)
        if not program:
            raise Unavailable("no mnefs found: build it, or say --mnefs PATH"
                              " (or leave it out: --systems ext4,bindfs,null)")
        self.program = program
        self.options = options

    def command(self):
        store = os.path.join(self.source, "store")
        options = ",".join(filter(None, ["create", self.options]))
        return [self.program, store, self.base, "-f", "-o", options]

    def checkpoint(self, name):
        path = os.path.join(self.base, ".checkpoints", name)
        os.mkdir(path)
        return os.path.join(path, "t")

    def drop(self, name):
        os.rmdir(os.path.join(self.base, ".checkpoints", name))


@contextlib.contextmanager
def watchdog(system, seconds):
    """Kill a daemon that lets us wait: a request that it holds cannot be given up."""
    timer = threading.Timer(seconds, system.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class Interrupted(BaseException):
    """A signal asked us to stop; everything is unmounted first."""


def stop_on_signals():
    def stop(number, frame):
        del frame
        raise Interrupted(signal.Signals(number).name)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def ignore_signals():
    """Nothing may keep the cleaning from its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
