# SPDX-License-Identifier: Apache-2.0
#
# crash_bookmarks.py - making, moving and dropping bookmarks: killed, or failing, at the
# n-th write to the engine (C7)
#
# After each: a bookmark that was told to be there is, one that was told to be gone is
# gone, and the list from any there is names every change and no more than it did without
# a fault.

import json
import os
import shutil

import pytest

from harness import MountFailed, eventually, tree

QUIET = {"G_MESSAGES_DEBUG": None}
MOST = 400


def settle(m):
    (m.path / ".mnefs/ctl").write_text("sync\nreclaim\n")
    path = m.path / ".mnefs/status.json"
    eventually(lambda: json.loads(path.read_text())["reclaim_backlog"] == 0)


def tell(m, line):
    (m.path / ".mnefs/bookmarks").write_text(line + "\n")


def bookmarks(m):
    lines = (m.path / ".mnefs/bookmarks").read_text().splitlines()
    return {line.split("\t")[0] for line in lines}


def since(m, name):
    paths = (m.path / ".mnefs/changed" / name).read_bytes().split(b"\0")
    return {path.decode() for path in paths if path}


@pytest.fixture
def image(mount, store, tmp_path):
    """Checkpoints a, b and c, bookmarks of the first two, and changes between."""
    with mount(env=QUIET) as m:
        m.table.mkdir()
        for n in range(120):
            (m.table / f"{n}").write_text(f"{n}")
        m.checkpoint("a")
        for n in range(0, 120, 2):
            (m.table / f"{n}").write_text("changed after a")
        tell(m, "make a old")
        m.checkpoint("b")
        for n in range(0, 120, 3):
            (m.table / f"{n}").unlink()
        tell(m, "make b mid")
        m.checkpoint("c")
        for n in range(60):
            (m.table / f"new {n}").write_text("after c")
        (m.table / "1").rename(m.table / "moved")
        settle(m)
        lists = {name: since(m, name) for name in ("a", "b", "c")}
    copy = tmp_path / "image"
    shutil.copytree(store, copy)
    return copy, lists


STEPS = [
    ("make c new", {"new": "c"}),
    ("drop old", {"old": None}),
    ("replace c mid", {"mid": "c"}),
    ("rename new name", {"new": None, "name": "c"}),
    ("make a old", {"old": "a"}),
    ("drop name", {"name": None}),
]
AT_FIRST = {"old": "a", "mid": "b"}


def run(m, told):
    """told: what the bookmarks are of, as far as it was told."""
    for line, change in STEPS:
        told["under way"] = change
        tell(m, line)
        told["done"].update(change)
        told["under way"] = {}
        settle(m)


def interrupted(mount, fault):
    told = {"done": dict(AT_FIRST), "under way": {}}
    try:
        m = mount(env={"MNE_DEBUG": fault, **QUIET})
    except MountFailed as failed:
        assert failed.returncode is not None, f"{fault}: hangs at mount"
        return True, told
    m.expect_log(".")
    try:
        run(m, told)
    except (OSError, AssertionError):
        pass
    if not m.is_alive():
        assert m.wait_killed() == -9
        return True, told
    m.unmount(check=False)
    return m.was_injected() or m.process.returncode == -9, told


def compare(m, lists, told, where):
    """Every bookmark is as it was told, or as what was under way would have it."""
    there = bookmarks(m)
    for name in ("old", "mid", "new", "name"):
        may = {told["done"].get(name)}
        if name in told["under way"]:
            may.add(told["under way"][name])
        if name not in there:
            assert None in may, f"{where}: bookmark {name} is gone"
            continue
        may.discard(None)
        assert may, f"{where}: bookmark {name} is there"
        found = since(m, name)
        assert found in [lists[ckpt] for ckpt in may], f"{where}: the list from {name}"


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", ["kv-kill", "kv-kill-after", "kv-fail"])
def test_a_bookmark_is_made_or_not_and_never_leaves_a_change_out(
    fault, image, mount, store, check, full_sweeps
):
    copy, lists = image
    nth = 1
    while nth < MOST:
        shutil.rmtree(store)
        shutil.copytree(copy, store)
        where = f"{fault}={nth}"
        fired, told = interrupted(mount, where)
        check()
        with mount(env=QUIET) as m:
            compare(m, lists, told, where)
            for name in lists:
                assert since(m, name) == lists[name], where
            before = {name: since(m, name) for name in bookmarks(m)}
            for name in os.listdir(m.checkpoints):
                m.drop(name)
            settle(m)
            live = tree(m.table)
            for name, found in before.items():
                assert since(m, name) == found, f"{where}: without its checkpoint"
                tell(m, f"drop {name}")
            settle(m)
            assert tree(m.table) == live
        check()
        if not fired:
            assert nth > 6, "that was not many"
            return
        nth += 1 if full_sweeps else 2
    pytest.fail("the faults never end")
