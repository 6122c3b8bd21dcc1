# SPDX-License-Identifier: Apache-2.0
#
# test_recipes.py - the recipes of docs/checkpoints.md, as they stand there, with the
# tools as everybody has them

import os
import random
import subprocess

import pytest

from histories import History, differences


@pytest.fixture
def shell(fs, mnefs, tmp_path):
    """shell(text) runs it in the mount, with mnefs on the path; returns what it said."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "mnefs").symlink_to(mnefs)

    def run(text, code=0):
        done = subprocess.run(
            ["bash", "-euc", text],
            cwd=fs.path,
            env={**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "B": str(tmp_path)},
            capture_output=True,
            text=True,
            errors="surrogateescape",
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    return run


def fill(fs, seed, steps=60):
    if not hasattr(fs, "story"):
        fs.table.rmdir()
        fs.story = History(fs.path, random.Random(seed))
    fs.story.steps(steps)


def test_a_backup_copies_only_what_changed(fs, shell, tmp_path):
    fill(fs, 1)
    shell("mkdir .checkpoints/old; rsync -aX .checkpoints/old/ $B/copy/")
    fill(fs, 1)
    shell(
        "mkdir .checkpoints/new;"
        "rsync -aXI --force --from0 --files-from=.mnefs/changed/old..new"
        " --delete-missing-args .checkpoints/new/ $B/copy/"
    )
    assert differences(fs.checkpoints / "new", tmp_path / "copy") == ""


def test_a_backup_that_keeps_no_checkpoint_overnight(fs, shell, tmp_path):
    fill(fs, 2)
    shell(
        "mkdir .checkpoints/new && rsync -aX .checkpoints/new/ $B/copy/ &&"
        "mnefs ck bookmark new last -f && rmdir .checkpoints/new"
    )
    for _ in range(3):
        fill(fs, 2)
        copied = (
            "mkdir .checkpoints/new && rsync -aXI --force --from0"
            " --files-from=.mnefs/changed/last..new --delete-missing-args"
            " .checkpoints/new/ $B/copy/"
        )
        shell(copied)
        assert differences(fs.checkpoints / "new", tmp_path / "copy") == ""
        shell("mnefs ck bookmark new last -f && rmdir .checkpoints/new")
    assert os.listdir(fs.checkpoints) == []


def test_archives_of_what_changed(fs, shell, tmp_path):
    fill(fs, 3)
    shell("mkdir .checkpoints/old")
    fill(fs, 3)
    shell("mkdir .checkpoints/new")
    shell(
        "mnefs changed old new -0 --existing | tar -C .checkpoints/new --null"
        " --no-recursion -T - -cf $B/a.tar;"
        "tar -C .mnefs/changed/old..new.d -cf $B/b.tar . ;"
        "mkdir $B/a $B/b; tar -C $B/a -xf $B/a.tar; tar -C $B/b -xf $B/b.tar"
    )
    listed = {p for p in shell("mnefs changed old new -0 --existing").split("\0") if p}
    assert "t" in listed
    for name in listed:
        for place in ("a", "b"):
            assert os.path.lexists(tmp_path / place / name), (place, name)
    said = shell("xargs -0 -n1 echo changed: < .mnefs/changed/old..new")
    assert said.count("changed:") >= len(listed)


def test_a_script_can_ask_whether_anything_changed(fs, shell):
    (fs.table / "a").write_text("a")
    shell("mkdir .checkpoints/nightly")
    ask = "mnefs diff nightly t --exit-code >/dev/null || echo t changed since nightly"
    assert shell(ask) == ""
    (fs.table / "a").write_text("b")
    assert shell(ask) == "t changed since nightly\n"


def test_looking_back_and_getting_back_with_coreutils(fs, shell):
    a = fs.table / "a"
    a.write_text("monday\n")
    shell("mkdir .checkpoints/monday .checkpoints/tuesday")
    a.write_text("friday\n")
    shell("mkdir .checkpoints/wednesday")
    lines = shell("stat -c '%i %n' .checkpoints/*/t/a").splitlines()
    numbers = [line.split()[0] for line in lines]
    assert numbers[0] == numbers[1] != numbers[2]
    assert "< friday" in shell("diff t/a .checkpoints/monday/t/a", code=1)
    assert len(shell("mnefs history t/a").splitlines()) == 3
    shell("cp -a .checkpoints/monday/t/a t/a")
    assert a.read_text() == "monday\n"
    shell("mnefs restore t/a --from wednesday")
    assert a.read_text() == "friday\n"
    shell("mnefs restore t/a")
    assert a.read_text() == "monday\n"
