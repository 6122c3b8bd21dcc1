# SPDX-License-Identifier: Apache-2.0
#
# harness.py - a mnefs under test: mounting it, ending it, and what it said meanwhile
#
# A Mount is one daemon in the foreground, its stderr in a log file of its own.  Ending
# one is part of the test: the daemon must exit with 0, and its log must hold no warning
# and no word from a sanitizer, unless the test declared it with expect_log().
#
# Nothing survives a test run: every daemon is also known to the reaper, a process of
# its own that ends what is left when pytest is gone, however it went, and that breaks
# up a test which hangs in a system call (a request the daemon does not answer cannot be
# interrupted from inside).

import contextlib
import ctypes
import errno
import os
import pickle
import re
import select
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

REFERENCE = os.environ.get("MNEFS_REFERENCE", "")
HIDDEN = (".checkpoints", ".tx", ".mnefs", ".by", ".frag")
START_TIMEOUT = 30
STOP_TIMEOUT = 40

BAD_LINE = re.compile(
    r"^mnefs: (warning|critical|error)\b"
    r"|(-|\b)(WARNING|CRITICAL|ERROR)( \*\*)?:"
    r"|Sanitizer|runtime error:|^==\d+==",
)
INJECTED = re.compile(r"INJECTED|fault was injected")


# --- the program -----------------------------------------------------------------------


def find_mnefs():
    """The binary under test, or None."""
    named = os.environ.get("MNEFS")
    if named:
        return str(Path(named).resolve()) if os.access(named, os.X_OK) else None
    return shutil.which("mnefs")


def fuse_works():
    return os.access("/dev/fuse", os.R_OK | os.W_OK) and bool(
        shutil.which("fusermount3")
    )


def base_environment(extra=None):
    env = dict(os.environ)
    for name in ("MNE_DEBUG", "G_MESSAGES_DEBUG", "NO_COLOR", "JOURNAL_STREAM"):
        env.pop(name, None)
    env["LC_ALL"] = "C.UTF-8"
    env["G_DEBUG"] = "fatal-criticals"
    env["G_MESSAGES_DEBUG"] = "all"
    for name, value in (extra or {}).items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value
    return env


# A library that is preloaded comes before AddressSanitizer's, which minds unless told.
PRELOAD = {
    "ASAN_OPTIONS": f"{os.environ.get('ASAN_OPTIONS', '')}:verify_asan_link_order=0"
}


def is_sanitized():
    """The binary keeps memory of its own: what it takes says nothing about ours."""
    return b"__asan_init" in Path(find_mnefs()).read_bytes()


class MountFailed(Exception):
    """The daemon ended before the mount was usable."""

    def __init__(self, returncode, said):
        super().__init__(f"mnefs exited with {returncode}:\n{said}")
        self.returncode = returncode
        self.said = said


# --- one mounted store -----------------------------------------------------------------


def is_mounted(path):
    text = os.fsencode(str(path)).replace(b" ", b"\\040")
    with open("/proc/self/mounts", "rb") as mounts:
        return any(line.split(b" ")[1] == text for line in mounts)


def unmount_lazily(path):
    for command in (["fusermount3", "-u", "-z"], ["umount", "-l"]):
        if not is_mounted(path):
            return
        subprocess.run([*command, str(path)], stderr=subprocess.DEVNULL, check=False)


def stacks_of(pid):
    """What every thread of a stuck daemon is doing; gdb does not always answer."""
    if not shutil.which("gdb"):
        return "(no gdb)"
    command = ["gdb", "-p", str(pid), "-batch", "-nx", "-ex", "thread apply all bt"]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=20,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "(gdb did not answer)"
    return done.stdout.decode(errors="replace")


class Mount:
    """One daemon, one mount point.  `with mount() as m:` unmounts at the end."""

    def __init__(self, binary, store, path, log, *, options, env, wrapper, reaper):
        self.store = Path(store)
        self.path = Path(path)
        self.log = Path(log)
        self.table = self.path / "t"
        self.reaper = reaper
        self.expected = []
        self.ended = False
        self.command = [*wrapper, binary, str(self.store), str(self.path), "-f"]
        if options:
            self.command += ["-o", ",".join(options)]
        self.path.mkdir(parents=True, exist_ok=True)
        self._note_repro(env or {})
        before = os.stat(self.path).st_dev
        with open(self.log, "wb") as log_file:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=log_file,
                env=base_environment(env),
                start_new_session=True,
            )
        self.pid = self.process.pid
        reaper.tell("start", self.pid, self.path, self.log)
        self._wait_until_usable(before)

    def _note_repro(self, env):
        words = [f"{k}={shlex.quote(v)}" for k, v in env.items() if v is not None]
        words += ["G_MESSAGES_DEBUG=all", shlex.join(self.command)]
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" ", 1)[0]
        repro = f"{' '.join(words)}\nMNEFS={shlex.quote(find_mnefs() or 'mnefs')} "
        repro += f"/usr/bin/python3 -m pytest {shlex.quote(test)}\n"
        self.log.with_suffix(".repro").write_text(repro)

    def _wait_until_usable(self, before):
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            code = self.process.poll()
            if code is not None:
                self.ended = True
                self.reaper.tell("end", self.pid)
                unmount_lazily(self.path)
                raise MountFailed(code, self.log_text())
            with contextlib.suppress(OSError):
                if os.stat(self.path).st_dev != before:
                    return
            if time.monotonic() > deadline:
                self._put_down("did not mount")
                raise MountFailed(None, self.log_text())
            time.sleep(0.002)

    # what it said

    def log_text(self):
        return self.log.read_text(errors="replace")

    def expect_log(self, pattern):
        """Lines that match this regular expression are no reason to fail."""
        self.expected.append(re.compile(pattern))

    def bad_lines(self):
        bad = []
        for line in self.log_text().splitlines():
            if BAD_LINE.search(line) and not any(e.search(line) for e in self.expected):
                bad.append(line)
        return bad

    def was_injected(self):
        return bool(INJECTED.search(self.log_text()))

    # comfort

    @property
    def checkpoints(self):
        return self.path / ".checkpoints"

    def checkpoint(self, name, table=None):
        """Activate a checkpoint; returns its directory."""
        base = self.path / table if table else self.path
        (base / ".checkpoints" / name).mkdir()
        return base / ".checkpoints" / name

    def drop(self, name):
        (self.checkpoints / name).rmdir()

    def is_alive(self):
        return self.process.poll() is None

    # the end

    def unmount(self, check=True):
        """An orderly end; with check, it must have been one."""
        if self.ended:
            return
        self.ended = True
        why = "interrupted at unmount"
        try:
            why = self._fusermount()
            assert not why, f"cannot unmount: {why}"
            why = "did not end after unmount"
            code = self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the daemon {why}") from None
        finally:
            if self.process.returncode is None:
                self._put_down(why)
            self.reaper.tell("end", self.pid)
        if check:
            assert code == 0, f"the daemon exited with {code}"
            self.check_log()

    def check_log(self):
        bad = self.bad_lines()
        assert not bad, "the daemon's log has:\n" + "\n".join(bad[:20])

    def _fusermount(self):
        command = ["umount"] if os.getuid() == 0 else ["fusermount3", "-u"]
        deadline = time.monotonic() + 5
        while True:
            try:
                done = subprocess.run(
                    [*command, str(self.path)],
                    capture_output=True,
                    text=True,
                    timeout=STOP_TIMEOUT,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return "umount hangs"
            if done.returncode == 0 or not is_mounted(self.path):
                return None
            if "busy" not in done.stderr or time.monotonic() > deadline:
                return done.stderr.strip()
            time.sleep(0.02)

    def _put_down(self, why):
        """A stuck daemon: its stacks into the log, then away with it."""
        self.ended = True
        if self.process.poll() is None:
            with open(self.log, "a", encoding="utf-8") as log:
                log.write(f"\nharness: {why}\n{stacks_of(self.pid)}\n")
            self.process.kill()
        self.process.wait()
        unmount_lazily(self.path)
        self.reaper.tell("end", self.pid)

    def crash(self):
        """What kill -9 leaves: no goodbye, and the mount point free again."""
        self.ended = True
        self.process.kill()
        self.process.wait()
        unmount_lazily(self.path)
        self.reaper.tell("end", self.pid)

    def wait_killed(self):
        """The daemon is expected to have killed itself (MNE_DEBUG=…-kill=N)."""
        self.ended = True
        code = self.process.wait(STOP_TIMEOUT)
        unmount_lazily(self.path)
        self.reaper.tell("end", self.pid)
        return code

    def dispose(self):
        """After a failed test: quickly and quietly; what is open may stay open."""
        if not self.ended:
            self.crash()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.unmount()
        else:
            self.dispose()


class Reference:
    """A plain directory where a mount would be: what the kernel's filesystems do."""

    def __init__(self, path):
        self.path = Path(path)
        self.table = self.path / "t"
        self.table.mkdir(parents=True)

    def expect_log(self, pattern):
        pass


# --- the reaper ------------------------------------------------------------------------


class Reaper:
    """The process that outlives us, told about every daemon and every deadline."""

    def __init__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--reap"],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def tell(self, *words):
        line = "\t".join(str(word) for word in words) + "\n"
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(os.fsencode(line))
            self.process.stdin.flush()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Reaping:
    def __init__(self):
        self.daemons = {}
        self.deadline = None

    def start(self, pid, path, log):
        self.daemons[int(pid)] = (path, log)

    def end(self, pid):
        self.daemons.pop(int(pid), None)

    def test(self, seconds):
        self.deadline = time.monotonic() + float(seconds) if float(seconds) else None

    def put_down_all(self, with_stacks):
        for pid, (path, log) in self.daemons.items():
            if with_stacks and os.path.exists(log):
                with open(log, "a", encoding="utf-8") as out:
                    out.write(f"\nharness: the test timed out\n{stacks_of(pid)}\n")
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            unmount_lazily(path)
        self.daemons.clear()

    def run(self):
        buffer = b""
        while True:
            wait = None
            if self.deadline is not None:
                wait = max(0, self.deadline - time.monotonic())
            if not select.select([0], [], [], wait)[0]:
                self.deadline = None
                self.put_down_all(with_stacks=True)
                continue
            got = os.read(0, 65536)
            if not got:
                self.put_down_all(with_stacks=False)
                return
            *lines, buffer = (buffer + got).split(b"\n")
            for line in lines:
                verb, *rest = os.fsdecode(line).split("\t")
                getattr(self, verb)(*rest)


# --- system calls that Python does not have --------------------------------------------

libc = ctypes.CDLL(None, use_errno=True)
libc.telldir.restype = ctypes.c_long
libc.opendir.restype = ctypes.c_void_p

AT_FDCWD = -100
AT_SYMLINK_FOLLOW = 0x400
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2
FALLOC_KEEP_SIZE, FALLOC_PUNCH_HOLE = 1, 2
FALLOC_COLLAPSE_RANGE, FALLOC_ZERO_RANGE = 8, 16


def _checked(result, *names):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), *names)
    return result


def renameat2(old, new, flags):
    return _checked(
        libc.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags),
        str(old),
    )


def fallocate(fd, mode, offset, length):
    offset, length = ctypes.c_int64(offset), ctypes.c_int64(length)
    return _checked(libc.fallocate64(fd, mode, offset, length))


def link_fd(fd, new):
    """Give a name to an O_TMPFILE."""
    old = f"/proc/self/fd/{fd}".encode()
    new = os.fsencode(new)
    return _checked(libc.linkat(AT_FDCWD, old, AT_FDCWD, new, AT_SYMLINK_FOLLOW))


class Dirent(ctypes.Structure):
    _fields_ = [
        ("d_ino", ctypes.c_uint64),
        ("d_off", ctypes.c_int64),
        ("d_reclen", ctypes.c_ushort),
        ("d_type", ctypes.c_ubyte),
        ("d_name", ctypes.c_char * 256),
    ]


libc.readdir64.restype = ctypes.POINTER(Dirent)


class DirStream:
    """opendir(3) and its family, with telldir and seekdir."""

    def __init__(self, path):
        self.handle = libc.opendir(os.fsencode(path))
        if not self.handle:
            _checked(-1, str(path))

    def read(self):
        """The next name but "." and "..", None at the end."""
        while True:
            ctypes.set_errno(0)
            entry = libc.readdir64(ctypes.c_void_p(self.handle))
            if not entry:
                if ctypes.get_errno():
                    _checked(-1)
                return None
            if entry.contents.d_name not in (b".", b".."):
                return entry.contents.d_name

    def tell(self):
        return libc.telldir(ctypes.c_void_p(self.handle))

    def seek(self, position):
        libc.seekdir(ctypes.c_void_p(self.handle), ctypes.c_long(position))

    def rewind(self):
        libc.rewinddir(ctypes.c_void_p(self.handle))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        libc.closedir(ctypes.c_void_p(self.handle))


# --- children --------------------------------------------------------------------------


def in_child(function, *, cwd=None, uid=None, gid=None, groups=()):
    """Run function() in a forked child, as somebody else if asked; its result or error.

    The child enters cwd before it changes who it is: what is above the directory under
    test need not be open to everybody.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.alarm(0)
            os.close(read_end)
            if cwd is not None:
                os.chdir(cwd)
            if uid is not None:
                os.setgroups(list(groups))
                os.setgid(gid if gid is not None else uid)
                os.setuid(uid)
            try:
                answer = (True, function())
            except OSError as error:
                answer = (False, OSError(error.errno, error.strerror))
            except BaseException:
                answer = (False, AssertionError(traceback.format_exc()))
            with os.fdopen(write_end, "wb") as pipe:
                pickle.dump(answer, pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        data = pipe.read()
    os.waitpid(pid, 0)
    assert data, "the child died"
    fine, answer = pickle.loads(data)
    if not fine:
        raise answer
    return answer


NOBODY = 65534


def as_nobody(directory, function):
    return in_child(function, cwd=directory, uid=NOBODY)


# --- looking ---------------------------------------------------------------------------


def tree(top, *, times=False, modes=False):
    """What a tree holds, as a dict: path below top -> a tuple that compares."""
    top = os.fsencode(str(top))
    found = {}

    def visit(path, name):
        info = os.lstat(path)
        kind = stat.S_IFMT(info.st_mode)
        what = [stat.filemode(info.st_mode)[0]]
        if modes:
            # what a checkpoint shows may lack the write bits
            what.append(info.st_mode & 0o7555)
            what += [info.st_uid, info.st_gid]
        if times and kind != stat.S_IFDIR:
            what.append(info.st_mtime_ns)
        if kind == stat.S_IFREG:
            with open(path, "rb") as file:
                what.append(file.read())
            assert len(what[-1]) == info.st_size, (path, info.st_size, len(what[-1]))
        elif kind == stat.S_IFLNK:
            what.append(os.readlink(path))
        if name:
            found[os.fsdecode(name)] = tuple(what)
        if kind == stat.S_IFDIR:
            for entry in sorted(os.listdir(path)):
                visit(path + b"/" + entry, name + b"/" + entry if name else entry)

    visit(top, b"")
    return found


@contextlib.contextmanager
def fails(*errnos):
    """The block raises an OSError with one of these numbers."""
    try:
        yield
    except OSError as error:
        names = [errno.errorcode.get(e, e) for e in errnos]
        got = errno.errorcode.get(error.errno, error.errno)
        assert error.errno in errnos, f"expected {names}, got {got}: {error}"
    else:
        names = [errno.errorcode.get(e, e) for e in errnos]
        raise AssertionError(f"expected {names}, but it worked")


def eventually(condition, seconds=30):
    """What happens in the background has happened at last."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > deadline:
            return value
        time.sleep(0.05)


def sh(script, cwd, check=True):
    done = subprocess.run(
        ["sh", "-c", script], cwd=cwd, capture_output=True, text=True, check=False
    )
    if check:
        assert done.returncode == 0, f"exit {done.returncode}: {done.stderr}"
    return done


def fsync_path(path):
    """fsync(2) of a file or directory: everything committed so far is durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def loop_disk(size_mib, at):
    """A small ext4 of its own."""
    at = Path(at)
    at.mkdir()
    image = Path(tempfile.mkstemp(suffix=".img", dir=at.parent)[1])
    os.truncate(image, size_mib << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)], check=True)
    subprocess.run(["mount", "-o", "loop", str(image), str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)
        image.unlink()


class Crowd:
    """A file that takes all room of its disk, to the last block."""

    def __init__(self, path):
        self.path = path

    def fill(self):
        with open(self.path, "ab") as file:
            chunk = 16 << 20
            while chunk >= 1024:
                try:
                    os.posix_fallocate(file.fileno(), file.tell(), chunk)
                    file.seek(0, os.SEEK_END)
                except OSError as error:
                    assert error.errno == errno.ENOSPC
                    chunk //= 2

    def leave(self):
        self.path.unlink(missing_ok=True)


if __name__ == "__main__" and sys.argv[1:] == ["--reap"]:
    Reaping().run()


class Requests:
    """How many requests came since it was made."""

    def __init__(self, fs):
        self.fs = fs
        self.before = self.read()

    def read(self):
        found = {}
        for line in (self.fs.path / ".mnefs/metrics").read_text().splitlines():
            if line.startswith("mnefs_request_seconds_count{"):
                name, count = line.rsplit(" ", 1)
                found[name.split('"')[1]] = int(count)
        return found

    def since(self, *names):
        now = self.read()
        return sum(now.get(n, 0) - self.before.get(n, 0) for n in names)

    def listings(self):
        return self.since("readdir", "readdirplus")
