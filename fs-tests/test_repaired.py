# SPDX-License-Identifier: Apache-2.0
#
# test_repaired.py - after `check --repair`: what changed since a moment before it is not
# known, and nobody is told otherwise (C7)

import errno
import os

import pytest

from harness import fails, sh, tree

DIFFERENT = 4


def damage(store, piece):
    """Flip a bit in the middle of what was written, wherever it stands."""
    flipped = 0
    for path in store.rglob("*"):
        if path.is_file() and piece in (data := path.read_bytes()):
            at = data.index(piece) + len(piece) // 2
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            flipped += 1
    assert flipped


def changed(m, name):
    return (m.path / ".mnefs/changed" / name).read_bytes()


def differences(m, name, copy):
    return sh(f"rsync -aHXnic --delete .checkpoints/{name}/ {copy}/", m.path).stdout


@pytest.fixture
def repaired(mount, store, cli, tmp_path):
    """A store that was damaged and repaired after checkpoint a, of which there is a copy."""
    marker = os.urandom(600)
    with mount() as m:
        m.table.mkdir()
        for n in range(300):
            (m.table / f"{n}").write_text(f"{n}" * 50)
        (m.table / "marker").write_bytes(marker)
    with mount() as m:  # what was in the log is in a table of the engine now
        m.checkpoint("a")
        (m.path / ".mnefs/bookmarks").write_text("make a mark\n")
        done = cli("-C", m.path, "rsync", "a", f"{tmp_path}/copy/")
        assert done.returncode == 0, done.stderr
        (m.table / "0").write_text("changed")
        m.checkpoint("before")
    damage(store, marker)
    done = cli("check", "--repair", store)
    assert done.returncode == DIFFERENT, done.stdout + done.stderr
    m = mount()
    m.expect_log(".")
    return m


@pytest.mark.parametrize("name", ["a", "mark", "a..before", "before..a", "mark..before", "a.json"])
def test_lists_from_before_a_repair_are_refused(repaired, name):
    with fails(errno.ENODATA):
        changed(repaired, name)
    last = (repaired.path / ".mnefs/log").read_text().splitlines()[-1]
    assert "the store was repaired after" in last and "copy all of it" in last


def test_the_commands_say_so(repaired, cli):
    for words in (["changed", "a"], ["diff", "a"], ["diff", "a", "--stat"]):
        done = cli("-C", repaired.path, *words)
        assert done.returncode != 0 and done.stdout == ""
        assert "the store was repaired after a" in done.stderr
    with fails(errno.ENODATA):
        os.listdir(repaired.path / ".mnefs/changed/a..before.d")


@pytest.mark.parametrize("since", ["a", "mark"])
@pytest.mark.parametrize("jobs", ["1", "3"])
def test_mnefs_rsync_compares_everything_then(repaired, cli, tmp_path, since, jobs):
    (repaired.table / "new").write_text("new")
    repaired.checkpoint("b")
    words = ["-C", repaired.path, "rsync", "-j", jobs]
    done = cli(*words, "b", f"{tmp_path}/copy/", "--since", since)
    assert done.returncode == 0, done.stderr
    assert f"the store was repaired after {since}" in done.stderr
    assert differences(repaired, "b", tmp_path / "copy") == ""
    (repaired.table / "new").write_text("newer")
    repaired.checkpoint("c")
    assert b"t/new\0" in changed(repaired, "b..c"), "from here on it is known again"
    done = cli(*words, "c", f"{tmp_path}/copy/", "--since", "b")
    assert done.returncode == 0 and done.stderr == ""
    assert differences(repaired, "c", tmp_path / "copy") == ""


def test_it_is_remembered_and_rollbacks_lead_to_what_the_checkpoint_shows(repaired, mount, check):
    repaired.unmount()
    check()
    with mount() as m:
        with fails(errno.ENODATA):
            changed(m, "a")
        (m.table / "1").write_text("changed")
        then = tree(m.checkpoints / "before/t")
        (m.path / ".mnefs/rollback").write_text("run\tbefore\n")
        assert tree(m.table) == then
    check()


def test_a_check_that_mends_nothing_changes_nothing(mount, store, cli):
    with mount() as m:
        m.table.mkdir()
        (m.table / "x").write_text("x")
        m.checkpoint("a")
        (m.table / "x").write_text("y")
    assert cli("check", "--repair", store).returncode == 0
    with mount() as m:
        assert changed(m, "a") == b"t/x\0"
    with mount() as m:
        m.crash()
    with mount() as m:
        assert changed(m, "a") == b"t/x\0"
