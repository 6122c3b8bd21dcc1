# SPDX-License-Identifier: Apache-2.0
#
# fail_sweep.py - the n-th call to the engine or to the blob store fails, or kills
#
# A fixed sequence of changes, each one commit, is run once without faults to learn the
# state after each step.  Then it is run for every n with a fault at the n-th call, until
# n is beyond the last.  After each: remount, compare, check.  The state must be that
# after some step: not before the last one that was made durable, and not after the first
# one that failed.

import os
import shutil
import time

import pytest

from harness import MountFailed, fsync_path, tree

MOST = 400


def durable(m):
    fsync_path(m.path / "t")


def write(path, content, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    """As a careful program does: an error at close counts."""
    fd = os.open(path, flags, 0o644)
    try:
        view = memoryview(content)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def in_place(path, at, content):
    fd = os.open(path, os.O_RDWR)
    try:
        os.pwrite(fd, content, at)
    finally:
        os.close(fd)


BIG = bytes(range(250)) * 1200

# (is it durable on return?, which file does it write by more than one call?, what to do)
STEPS = [
    (False, "small", lambda m: write(m.table / "small", b"small")),
    (False, "big", lambda m: write(m.table / "big", BIG)),
    (False, None, lambda m: (m.table / "dir").mkdir()),
    (True, None, durable),
    (False, None, lambda m: os.rename(m.table / "small", m.table / "dir/small")),
    (False, None, lambda m: os.link(m.table / "dir/small", m.table / "link")),
    (False, None, lambda m: os.setxattr(m.table / "link", "user.a", b"x" * 3000)),
    (True, None, lambda m: m.checkpoint("c")),
    (False, "old", lambda m: write(m.table / "old", b"overwritten")),
    (False, "big", lambda m: in_place(m.table / "big", 100_000, b"X" * 150_000)),
    (False, None, lambda m: os.truncate(m.table / "big", 120_000)),
    (False, None, lambda m: os.unlink(m.table / "old big")),
    (True, None, durable),
    (True, None, lambda m: m.checkpoint("d", "t")),
    (False, None, lambda m: os.unlink(m.table / "link")),
    (False, None, lambda m: m.drop("c")),
    (False, None, lambda m: (m.path / "u").mkdir()),
    (False, None, lambda m: os.rename(m.path / "u", m.path / "v")),
    (True, None, durable),
    (False, None, lambda m: os.symlink("x" * 2000, m.table / "s")),
    (False, "log", lambda m: write(m.table / "log", b"more", os.O_WRONLY | os.O_APPEND)),
]


def prepare(m):
    m.table.mkdir()
    write(m.table / "old", b"old")
    write(m.table / "old big", BIG)
    write(m.table / "log", b"log ")
    m.checkpoint("first")


def wait_for_closes(m):
    """The kernel tells of a close after close(2) has returned, and then it is committed:
    after that the order of commits is that of the steps.  One that fails stays open."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        status = (m.path / ".mnefs/status").read_text().splitlines()
        if "open_files 0" in status:
            return
        time.sleep(0.001)


class Sweep:
    """A store with something in it, steps, and what there is after each of them."""

    def __init__(self, mount, store, tmp_path, steps, prepare_):
        self.mount = mount
        self.store = store
        self.steps = steps
        self.image = tmp_path / "base"
        with mount() as m:
            prepare_(m)
        shutil.copytree(store, self.image)
        with mount() as m:
            self.states = [self.state_of(m)]
            for _, _, step in steps:
                step(m)
                self.states.append(self.state_of(m))

    def state_of(self, m):
        def attributes(path):
            try:
                return os.getxattr(path, "user.a")
            except OSError:
                return None

        return (
            tree(m.path),
            attributes(m.table / "link"),
            {name: tree(m.checkpoints / name) for name in sorted(os.listdir(m.checkpoints))},
        )

    def restore(self):
        shutil.rmtree(self.store, ignore_errors=True)
        shutil.copytree(self.image, self.store)

    def run(self, m):
        """How many steps went well, and how many of them last."""
        done = lasting = 0
        for is_durable, _, step in self.steps:
            try:
                step(m)
                wait_for_closes(m)
            except OSError:
                break
            done += 1
            if is_durable:
                lasting = done
        return done, lasting

    def found(self):
        with self.mount(create=False) as m:
            return self.state_of(m)

    def compare(self, done, lasting, kills):
        found = self.found()
        last = min(done + 1, len(self.states) - 1)
        allowed = self.states[lasting : last + 1]
        # A write that failed and was told of may have come half way, as everywhere.
        half = self.steps[done][1] if done < len(self.steps) else None
        if half and not kills:
            allowed = [without(state, f"t/{half}") for state in allowed]
            found = without(found, f"t/{half}")
        assert found in allowed, (
            f"in none of the states after steps {lasting} to {last};"
            f" it is that after {[n for n, s in enumerate(self.states) if s == found]}:"
            f" {summary(found)}"
        )

    def go_through(self, fault, kills):
        """(steps done, of these durable, was there still such a call?)"""
        try:
            m = self.mount(env={"MNE_DEBUG": fault, "G_MESSAGES_DEBUG": None})
        except MountFailed as failed:
            assert failed.returncode is not None, f"{fault}: hangs at mount"
            if kills:
                assert failed.returncode == -9, f"{fault}: {failed}"
            else:
                assert 0 < failed.returncode < 10, f"{fault}: {failed}"
            return 0, 0, True
        m.expect_log(".")
        done, lasting = self.run(m)
        if kills and done < len(self.steps):
            assert m.wait_killed() == -9, fault
            return done, lasting, True
        # in the background it may be killed just after the last step
        assert kills or m.is_alive(), f"{fault}: the daemon died"
        m.unmount(check=False)
        code = m.process.returncode
        assert code in ((0, -9) if kills else (0, 1)), f"{fault}: {code}"
        return done, lasting, code == -9 if kills else m.was_injected()

    def try_fault(self, kind, nth):
        """False: there was no such call any more."""
        fault = f"{kind}={nth}"
        self.restore()
        done, lasting, fired = self.go_through(fault, "kill" in kind)
        try:
            self.compare(done, lasting, "kill" in kind)
        except (AssertionError, MountFailed) as error:
            raise AssertionError(f"{fault}, {done} steps done: {error}") from error
        assert fired or done == len(self.steps)
        return fired


@pytest.fixture
def base(mount, store, tmp_path):
    return Sweep(mount, store, tmp_path, STEPS, prepare)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "fault", ["kv-fail", "blob-fail", "kv-kill", "kv-kill-after", "blob-kill"]
)
def test_after_any_fault_the_store_is_as_after_some_step(fault, base, check):
    for nth in range(1, MOST):
        fired = base.try_fault(fault, nth)
        check()
        if not fired:
            break
    else:
        pytest.fail("the faults never end")
    assert nth > 1, "no fault ever fired"


def without(state, path):
    return ({k: v for k, v in state[0].items() if k != path}, *state[1:])


def summary(state):
    def short(there):
        return {k: (*v[:-1], v[-1][:10], len(v[-1])) if len(v) > 1 else v
                for k, v in there.items()}

    return short(state[0]), state[1] and len(state[1]), {
        n: short(s) for n, s in state[2].items()
    }


@pytest.mark.timeout(300)
def test_a_failed_write_is_reported_once_at_the_latest_at_fsync(mount):
    """Whatever call fails: write, close or fsync says so, or nothing was lost."""
    for nth in range(1, MOST):
        try:
            m = mount(env={"MNE_DEBUG": f"blob-fail={nth}"}, at=f"mnt-{nth}")
        except MountFailed:
            continue
        m.expect_log(".")
        told = False
        data = os.urandom(3_000_000)
        try:
            m.table.mkdir(exist_ok=True)
            fd = os.open(m.table / f"f{nth}", os.O_CREAT | os.O_WRONLY)
            try:
                for at in range(0, len(data), 65536):
                    os.write(fd, data[at : at + 65536])
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError:
            told = True
        m.unmount(check=False)
        fired = m.was_injected()
        with mount() as again:
            if not told:
                assert (again.table / f"f{nth}").read_bytes() == data
        if not fired:
            return
