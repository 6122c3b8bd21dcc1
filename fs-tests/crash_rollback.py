# SPDX-License-Identifier: Apache-2.0
#
# crash_rollback.py - a rollback that is interrupted is wholly done or wholly undone
#
# A rollback in many batches is run for every n with a fault at the n-th write to the engine,
# until n is beyond the last.  After each: mount, and the tables are as they were left behind,
# or as they were at the checkpoint; never anything else.  What goes on with it at the next
# mount is interrupted in the same way.

import os
import shutil

import pytest

from harness import MountFailed, tree
from test_rollback import change, fill, roll, whole

BATCH = "rollback-batch=4000"
QUIET = {"G_MESSAGES_DEBUG": None}


@pytest.fixture
def base(mount, store, tmp_path):
    """A store where much has changed since checkpoint c; then, and now."""
    with mount() as m:
        for name in ("t", "u", "dropped"):
            (m.path / name).mkdir()
        fill(m.table)
        fill(m.path / "dropped")
        m.checkpoint("c")
        then = whole(m.path)
        change(m.table)
        shutil.rmtree(m.path / "dropped")
        os.rename(m.path / "u", m.path / "v")
        (m.path / "new").mkdir()
        fill(m.path / "new")
        m.checkpoint("newer")
        now = whole(m.path)
    base = tmp_path / "base"
    shutil.copytree(store, base)
    return base, then, now


def restore_store(base, store):
    shutil.rmtree(store)
    shutil.copytree(base, store)


def where_it_is(m, then, now):
    """Is it done?  Anything between is a failure."""
    found = whole(m.path)
    names = sorted(os.listdir(m.checkpoints))
    assert found in (then, now), {k for k in found if found[k] != then.get(k)}
    is_done = found == then
    assert len(names) == 2 + is_done, names
    assert tree(m.checkpoints / "c") == {k: v[0] for k, v in then.items()}
    assert tree(m.checkpoints / "newer") == {k: v[0] for k, v in now.items()}
    if is_done:
        left = m.checkpoints / names[-1]
        assert tree(left) == {k: v[0] for k, v in now.items()}
    return is_done


def faulty(mount, store, fault, act):
    """(was it killed, or was the fault met?, did act() end well?)"""
    try:
        m = mount(env={"MNE_DEBUG": f"{fault},{BATCH}", **QUIET})
    except MountFailed as failed:
        assert failed.returncode is not None, "hangs at mount"
        return True, False
    m.expect_log(".")
    well = True
    try:
        act(m)
    except OSError:
        well = False
    if "kill" in fault and not well:
        assert m.wait_killed() == -9
        return True, False
    m.unmount(check=False)
    code = m.process.returncode
    return (code == -9 if "kill" in fault else m.was_injected()), well


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["kv-kill", "kv-kill-after", "kv-fail"])
def test_a_rollback_is_done_or_undone_whatever_fails(kind, base, mount, store, check):
    image, then, now = base
    outcomes = set()
    for nth in range(1, 400):
        restore_store(image, store)
        fired, well = faulty(mount, store, f"{kind}={nth}", lambda m: roll(m, "run", "c"))
        with mount() as m:
            done = where_it_is(m, then, now)
        assert done or not well, "it said it was done"
        outcomes.add((well, done))
        check()
        if not fired:
            break
    assert {done for _, done in outcomes} == {True, False}
    assert nth > 15, "that was not in many batches"
    if kind != "kv-fail":
        assert (False, True) in outcomes, "none was finished at the next mount"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["kv-kill", "kv-kill-after"])
def test_finishing_it_at_mount_may_be_interrupted_too(kind, base, mount, store, check, tmp_path):
    image, then, now = base
    half = tmp_path / "half"
    for nth in range(1, 100):  # somewhere in the middle
        restore_store(image, store)
        faulty(mount, store, f"kv-kill={nth}", lambda m: roll(m, "run", "c"))
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(store, half)
        with mount() as m:
            if where_it_is(m, then, now):
                break
    for nth in range(1, 100):
        restore_store(half, store)
        fired, _ = faulty(mount, store, f"{kind}={nth}", lambda m: None)
        with mount("ro", create=False) as m:
            assert where_it_is(m, then, now), "to be read it need not be finished"
        with mount() as m:
            assert where_it_is(m, then, now)
        check()
        if not fired:
            break
    assert nth > 5


def test_what_cannot_be_finished_is_read_only_and_is_finished_at_the_next_mount(
    base, mount, store, check
):
    image, then, now = base
    kept = 0
    for nth in range(1, 60):
        restore_store(image, store)
        m = None
        try:
            m = mount(env={"MNE_DEBUG": f"kv-fail-from={nth},{BATCH}", **QUIET})
        except MountFailed:
            continue
        m.expect_log(".")
        try:
            roll(m, "run", "c")
        except OSError:
            pass
        if where_it_is(m, then, now):
            kept += 1
            with pytest.raises(OSError):
                (m.table / "x").write_text("x")
        m.unmount(check=False)
        with mount() as m:
            where_it_is(m, then, now)
        check()
        if kept > 3:
            break
    assert kept


def test_check_says_that_a_rollback_is_half_done(base, mount, store, cli):
    image, then, now = base
    for nth in range(8, 100):
        restore_store(image, store)
        faulty(mount, store, f"kv-kill={nth}", lambda m: roll(m, "run", "c"))
        said = cli("check", store)
        if said.returncode == 4:
            assert "mounting the store finishes it" in said.stdout
            break
        assert said.returncode == 0
    said = cli("check", "--repair", store)
    assert said.returncode == 0, said.stdout
    with mount() as m:
        assert where_it_is(m, then, now)
