# SPDX-License-Identifier: Apache-2.0
#
# crash_fragments.py - a table grows from 1 to 4 fragments and shrinks to 1 again: killed,
# or failing, at the n-th write to the engine (C2, C8, D1)
#
# For every n (every few, unless --full-sweeps) until n is beyond the last.  After each:
# every record is there, by name and in the listing, and only once; the checkpoint shows
# what it showed; no list of changes mentions it; and the change can be gone on with.

import json
import os
import shutil

import pytest

from harness import MountFailed, eventually, tree

QUIET = {"G_MESSAGES_DEBUG": None}
MOST = 400


def control(m, name):
    return m.path / ".mnefs/tables/t" / name


def facts(m):
    return json.loads(control(m, "fragments.json").read_text().splitlines()[0])


def settled(m, n):
    info = facts(m)
    return info["fragments"] == info["goal"] == n and info["step_to"] == 0


def go(m, n):
    control(m, "fragments").write_text(f"{n}\n")
    eventually(lambda: settled(m, n) or not m.is_alive())
    if not m.is_alive():
        raise OSError("it is gone")


def there_and_back(m):
    go(m, 4)
    (m.table / "meanwhile").write_text("written between")
    go(m, 1)


def records(m):
    """Every record by its listing, which must agree with looking it up by name."""
    listed = tree(m.table)
    for name in os.listdir(m.table):
        assert os.path.lexists(m.table / name)
    return listed


def shown_in_fragments(m):
    """Names in all fragment directories: each record in one of them."""
    names = []
    for fragment in os.listdir(m.table / ".frag"):
        names += os.listdir(m.table / ".frag" / fragment)
    assert len(names) == len(set(names)), "a record is in two fragments"
    return sorted(names)


@pytest.fixture
def image(mount, store, tmp_path):
    with mount(env=QUIET) as m:
        m.table.mkdir()
        for n in range(260):
            (m.table / f"name {n}").write_text(f"{n}")
        (m.table / "big").write_bytes(b"big" * 100_000)
        (m.table / "tree/deep").mkdir(parents=True)
        (m.table / "tree/deep/leaf").write_text("leaf")
        os.link(m.table / "name 1", m.table / "link")
        os.symlink("name 2", m.table / "symlink")
        m.checkpoint("c")
        for n in range(0, 260, 3):
            (m.table / f"name {n}").write_text("changed")
        for n in range(1, 260, 9):
            (m.table / f"name {n}").unlink()
        (m.table / "name 2").rename(m.table / "renamed")
        control(m, "listing").write_text("records\n")
        m.checkpoint("d")
        past = {name: tree(m.checkpoints / name) for name in ("c", "d")}
        live = records(m)
        changed = (m.path / ".mnefs/changed/c..d").read_bytes().split(b"\0")
    copy = tmp_path / "image"
    shutil.copytree(store, copy)
    return copy, past, live, set(changed)


def interrupted(mount, fault):
    """Was the fault met?"""
    try:
        m = mount(env={"MNE_DEBUG": f"{fault}", **QUIET})
    except MountFailed as failed:
        assert failed.returncode is not None, f"{fault}: hangs at mount"
        return True
    m.expect_log(".")
    try:
        there_and_back(m)
    except (OSError, AssertionError, ValueError):
        pass
    if not m.is_alive():
        assert m.wait_killed() == -9
        return True
    m.unmount(check=False)
    return m.was_injected() or m.process.returncode == -9


def compare(m, image, where):
    _, past, live, changed = image
    now = records(m)
    meanwhile = now.pop("meanwhile", None)
    assert now == live, where
    top = {name.split("/")[0] for name in now} | ({"meanwhile"} if meanwhile else set())
    assert shown_in_fragments(m) == sorted(top), where
    assert {name: tree(m.checkpoints / name) for name in past} == past, where
    got = set((m.path / ".mnefs/changed/c..d").read_bytes().split(b"\0"))
    assert got == changed, where
    since = set((m.path / ".mnefs/changed/d").read_bytes().split(b"\0")) - {b""}
    assert since <= {b"t", b"t/meanwhile"}, where


@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", ["kv-kill", "kv-kill-after", "kv-fail"])
def test_a_split_or_merge_that_is_cut_short_loses_and_doubles_nothing(
    fault, image, mount, store, check, full_sweeps
):
    nth = 1 if full_sweeps else 1 + ["kv-kill", "kv-kill-after", "kv-fail"].index(fault)
    while nth < MOST:
        shutil.rmtree(store)
        shutil.copytree(image[0], store)
        where = f"{fault}={nth}"
        fired = interrupted(mount, where)
        check()
        with mount(env=QUIET) as m:
            compare(m, image, where)
            go(m, 3)
            compare(m, image, where)
        check()
        if not fired:
            assert nth > 20, "that was not in many batches"
            return
        nth += 1 if full_sweeps else 5
    pytest.fail("the faults never end")
