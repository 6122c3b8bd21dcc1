# SPDX-License-Identifier: Apache-2.0
#
# fail_calls.py - the n-th system call of the daemon that changes its store fails, or is
# the last one before kill -9
#
# The steps and what must hold after them are those of fail_sweep.py; here the kernel is
# played by faults/shim.c, and memtables and segments are of the least size there is.

import contextlib
import errno
import os
import shutil
import time
from pathlib import Path

import pytest
from fail_sweep import base, write  # noqa: F401

import harness
from harness import MountFailed, fails

@pytest.fixture
def shim():
    named = os.environ.get("MNEFS_FAULTS")
    built = Path(harness.find_mnefs() or "").resolve().parent / "fs-tests/faults/shim.so"
    path = Path(named) if named else built
    if not path.exists():
        pytest.skip("no shim.so: make check builds it")
    return path


class Faults:
    """Runs over a copy of a store, each with a fault at another call."""

    def __init__(self, shim, sweep, tmp_path):
        self.shim = shim
        self.sweep = sweep
        self.counter = tmp_path / "calls"

    def environment(self, what, nth):
        return {
            "LD_PRELOAD": str(self.shim),
            "FAULT_STORE": str(self.sweep.store),
            "FAULT_WHAT": what,
            "FAULT_NTH": str(nth),
            "FAULT_COUNT": str(self.counter),
            "MNE_DEBUG": "unit=65536",
            "G_MESSAGES_DEBUG": None,
            **harness.PRELOAD,
        }

    def up(self, what, nth):
        """A mount of the image, where the nth call is to fail."""
        self.sweep.restore()
        self.counter.unlink(missing_ok=True)
        m = self.sweep.mount(env=self.environment(what, nth))
        m.expect_log(".")
        return m

    def calls(self):
        return int(self.counter.read_text())

    def total(self, what):
        with self.up(what, 0) as m:
            assert self.sweep.run(m)[0] == len(self.sweep.steps)
        return self.calls()

    def go_through(self, what, nth):
        """(steps done, of these durable) up to the fault."""
        kills = what in ("kill", "torn")
        try:
            m = self.up(what, nth)
        except MountFailed as failed:
            assert failed.returncode is not None, "hangs at mount"
            expected = (-9,) if kills else range(1, 10)
            assert failed.returncode in expected, failed
            return 0, 0
        try:
            done, lasting = self.sweep.run(m)
        except BaseException:
            m.dispose()
            raise
        if kills and done < len(self.sweep.steps):
            assert m.wait_killed() == -9
            return done, lasting
        assert kills or m.is_alive(), "the daemon died"
        m.unmount(check=False)
        assert m.process.returncode in ((0, -9) if kills else (0, 1)), m.process.returncode
        return done, lasting

    def try_call(self, what, nth, check):
        try:
            done, lasting = self.go_through(what, nth)
            self.sweep.compare(done, lasting, what in ("kill", "torn"))
            check()
        except (AssertionError, MountFailed, OSError) as error:
            raise AssertionError(f"{what} at call {nth}: {error}") from error


@pytest.fixture
def faults(shim, base, tmp_path):  # noqa: F811
    return Faults(shim, base, tmp_path)


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("what", ["space", "full", "kill", "torn"])
def test_after_any_call_that_failed_the_store_is_as_after_some_step(what, faults, check):
    total = faults.total(what)
    assert total > 30, "the shim sees nothing"
    for nth in range(1, total + 1):
        faults.try_call(what, nth, check)


def test_deleting_works_when_there_is_no_room_for_a_moment(faults):
    """D4: merging takes room that it gives back."""
    nth = calls = 0
    while calls >= nth:
        nth += 1
        try:
            m = faults.up("space", nth)
        except MountFailed:
            calls = nth
            continue
        try:
            for name in ("a", "b", "c"):
                with contextlib.suppress(OSError):
                    write(m.table / name, b"x", os.O_CREAT | os.O_WRONLY)
            for name in os.listdir(m.table):
                os.unlink(m.table / name)
        except BaseException:
            m.dispose()
            raise
        m.unmount(check=False)
        calls = faults.calls()
    assert nth > 3, "the shim sees nothing"


# --- fsync -----------------------------------------------------------------------------


def says_so(m):
    status = (m.path / ".mnefs/status").read_text()
    return "a sync failed" in (m.path / ".mnefs/log").read_text() and status


@pytest.mark.timeout(3000)
def test_after_a_failed_sync_the_store_is_read_only_and_says_so(
    faults, base, check  # noqa: F811
):
    """D2: what was acknowledged is there after another mount; nothing is pretended."""
    total = faults.total("sync")
    for nth in range(1, total + 1):
        try:
            m = faults.up("sync", nth)
        except MountFailed as failed:
            assert failed.returncode in range(1, 10), failed
            continue
        try:
            done, lasting = base.run(m)
            if done < len(base.steps):
                assert harness.eventually(lambda: says_so(m), 5)
                for _ in range(2):
                    with fails(errno.EROFS):
                        (m.path / "another").mkdir()
                    with fails(errno.EROFS, errno.EIO):
                        harness.fsync_path(m.table)
                assert sorted(os.listdir(m.table))
        except BaseException:
            m.dispose()
            raise
        m.unmount(check=False)
        try:
            base.compare(done, lasting, False)
            check()
        except (AssertionError, MountFailed) as error:
            raise AssertionError(f"sync {nth} of {total}: {error}") from error


def test_a_failed_background_sync_is_known_without_asking(faults):
    """sync=1: nobody calls fsync, and still it is in the log, and changes are refused."""
    with faults.up("sync", 0) as m:
        pass
    nth = faults.calls()
    faults.sweep.restore()
    m = faults.sweep.mount("sync=1", env=faults.environment("sync", nth))
    m.expect_log(".")
    deadline = time.monotonic() + 60
    for n in range(10**6):
        try:
            write(m.table / f"b{n % 50}", b"x" * 9000)
        except OSError as error:
            assert error.errno in (errno.EROFS, errno.EIO)
            break
        assert time.monotonic() < deadline, "nobody noticed"
        time.sleep(0.01)
    assert says_so(m)
    m.unmount(check=False)


# --- making a store --------------------------------------------------------------------


def test_a_store_whose_making_was_killed_is_made_or_says_that_it_is_not(
    shim, store, mount, cli, tmp_path
):
    counter = tmp_path / "calls"
    env = {
        "LD_PRELOAD": str(shim),
        "FAULT_STORE": str(store),
        "FAULT_WHAT": "kill",
        "FAULT_COUNT": str(counter),
        **harness.PRELOAD,
    }
    nth = killed = 0
    while True:
        nth += 1
        shutil.rmtree(store, ignore_errors=True)
        done = cli("init", store, env={**env, "FAULT_NTH": str(nth)})
        if done.returncode == 0:
            break
        assert done.returncode == -9, done
        killed += 1
        try:
            with mount(create=False) as m:
                m.table.mkdir()
        except MountFailed as failed:
            absent = not store.exists() or not os.listdir(store)
            wanted = "there is no store" if absent else "never finished"
            assert wanted in failed.said, f"{nth}: {failed.said}"
    assert killed > 10
    with mount(create=False) as m:
        m.table.mkdir()
