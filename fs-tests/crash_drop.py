# SPDX-License-Identifier: Apache-2.0
#
# crash_drop.py - dropping and pruning checkpoints: killed, or failing, at the n-th call to
# the engine (C2, C5, C6)
#
# A store with six checkpoints is made once.  Then, for every n, checkpoints are dropped and
# reclaimed in a copy of it with a fault at the n-th call, until n is beyond the last.  After
# each: what is left is whole, what was told to be dropped is gone, the counts are right, and
# in the end the space is what it is without any fault.

import json
import os
import shutil

import pytest

from harness import MountFailed, eventually, tree

QUIET = {"G_MESSAGES_DEBUG": None}
NAMES = [f"c{n}" for n in range(6)]
MOST = 400


def write(path, data):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def status(m):
    return json.loads((m.path / ".mnefs/status.json").read_text())


def settle(m):
    (m.path / ".mnefs/ctl").write_text("sync\nreclaim\n")
    eventually(lambda: status(m)["reclaim_backlog"] == 0)


def state_of(m):
    return {name: tree(m.checkpoints / name) for name in os.listdir(m.checkpoints)}


@pytest.fixture
def image(mount, store, tmp_path):
    """Some hundred values and extents in six checkpoints; what each of them shows."""
    with mount(env=QUIET) as m:
        m.table.mkdir()
        (m.path / "u").mkdir()
        for k, name in enumerate(NAMES):
            for n in range(0, 150, k + 1):
                write(m.table / f"{n}", b"%d of %d" % (n, k))
            write(m.table / "big", bytes([k]) * (300_000 + k))
            write(m.path / "u" / f"{k % 3}", bytes([k]) * 9000)
            (m.table / f"dir{k}").mkdir()
            m.checkpoint(name, "u" if k == 4 else None)
        for n in range(0, 150, 7):
            os.unlink(m.table / f"{n}")
        settle(m)
        states, live = state_of(m), tree(m.path)
    copy = tmp_path / "image"
    shutil.copytree(store, copy)
    return copy, states, live


def bytes_left(m):
    now = status(m)
    return now["live_bytes"], now["history_bytes"] + now["history_pending_bytes"]


def without_faults(mount, store, image, change):
    """What is left in the end, and which checkpoints."""
    shutil.rmtree(store)
    shutil.copytree(image, store)
    with mount(env=QUIET) as m:
        change(m)
        settle(m)
        return bytes_left(m), set(os.listdir(m.checkpoints))


def sweep(fault, image, mount, store, check, change, step=1):
    """change(m): drop some; returns the names of which it was told that they are gone."""
    image, states, live = image
    expected, kept = without_faults(mount, store, image, change)
    nth = 1
    while nth < MOST:
        shutil.rmtree(store)
        shutil.copytree(image, store)
        told, fired = set(), True
        try:
            m = mount(env={"MNE_DEBUG": f"{fault}={nth}", **QUIET})
        except MountFailed as failed:
            assert failed.returncode is not None, f"{fault}={nth}: hangs at mount"
        else:
            m.expect_log(".")
            try:
                told = change(m)
                settle(m)
            except (OSError, AssertionError):
                pass
            if "kill" in fault and not m.is_alive():
                assert m.wait_killed() == -9
            else:
                m.unmount(check=False)
                fired = m.was_injected() or m.process.returncode == -9
        with mount(env=QUIET) as m:
            there = state_of(m)
            assert not told & set(there), f"{fault}={nth}: {told & set(there)} came back"
            assert kept <= set(there), f"{fault}={nth}: {kept - set(there)} are gone"
            for name, shown in there.items():
                assert shown == states[name], f"{fault}={nth}: {name} changed"
            assert tree(m.path) == live, f"{fault}={nth}"
            change(m)
            settle(m)
            assert bytes_left(m) == expected, f"{fault}={nth}"
        check()
        if not fired:
            assert nth > 3, "no fault ever fired"
            return
        nth += step
    pytest.fail("the faults never end")


def drop_two(m):
    told = set()
    for name in ("c3", "c1"):
        if (m.checkpoints / name).exists():
            m.drop(name)
        told.add(name)
    return told


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", ["kv-kill", "kv-kill-after", "kv-fail", "blob-kill"])
def test_a_drop_that_is_cut_short_goes_on_and_hurts_nothing(
    fault, image, mount, store, check
):
    sweep(fault, image, mount, store, check, drop_two)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", ["kv-kill", "kv-fail"])
def test_a_prune_that_is_cut_short_never_drops_what_a_rule_keeps(
    fault, image, mount, store, check, cli, full_sweeps
):
    def prune(m):
        done = cli("-C", m.path, "ck", "prune", "--keep-last", "2")
        return {line.split()[1] for line in done.stdout.splitlines()}

    sweep(fault, image, mount, store, check, prune, 1 if full_sweeps else 3)
