# SPDX-License-Identifier: Apache-2.0
#
# test_recipes.py - the recipes of docs/ and of the manual, as they stand there, with the
# tools as everybody has them; a directory stands in for another host

import os
import random
import re
import subprocess
import time

import pytest

from harness import eventually
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


# --- backups -------------------------------------------------------------------------------


NIGHTLY = """set +e
mkdir .checkpoints/nightly.new &&
  mnefs hold nightly.new -- rsync -aX --delete .checkpoints/nightly.new/ $B/db/ &&
  { rmdir .checkpoints/nightly 2>/dev/null; mv .checkpoints/nightly.new .checkpoints/nightly; }
"""


def test_a_nightly_backup_safe_at_every_step(fs, shell, tmp_path):
    for _ in range(3):
        fill(fs, 11)
        shell(NIGHTLY)
        assert os.listdir(fs.checkpoints) == ["nightly"]
        assert differences(fs.checkpoints / "nightly", tmp_path / "db") == ""


def test_a_nightly_backup_that_fails_leaves_the_last_one(fs, shell, tmp_path):
    fill(fs, 12)
    shell(NIGHTLY)
    fill(fs, 12)
    shell(NIGHTLY.replace("rsync ", "rsync --no-such-option "), code=1)
    assert sorted(os.listdir(fs.checkpoints)) == ["nightly", "nightly.new"]
    assert differences(fs.checkpoints / "nightly", tmp_path / "db") == ""


def test_the_next_night_only_what_changed(fs, shell, tmp_path):
    fill(fs, 13)
    shell(NIGHTLY)
    for _ in range(4):
        fill(fs, 13, steps=30)
        shell(
            "mkdir .checkpoints/new &&"
            " rsync -aXI --force --from0 --files-from=.mnefs/changed/nightly..new"
            " --delete-missing-args .checkpoints/new/ $B/db/ &&"
            " rmdir .checkpoints/nightly && mv .checkpoints/new .checkpoints/nightly"
        )
        assert differences(fs.checkpoints / "nightly", tmp_path / "db") == ""


def test_generations_shared_with_hard_links_old_ones_pruned(fs, shell, tmp_path):
    copy = "rsync -aHX --delete .checkpoints/ $B/generations/"
    for night in range(5):
        fill(fs, 14, steps=25)
        (fs.table / "never changes").write_bytes(b"x" * 10_000) if night == 0 else None
        shell(f"mkdir .checkpoints/n{night}; {copy}")
    shell(f"rmdir .checkpoints/n0 .checkpoints/n2; {copy}")
    there = tmp_path / "generations"
    assert sorted(os.listdir(there)) == ["n1", "n3", "n4"]
    for name in os.listdir(there):
        assert differences(fs.checkpoints / name, there / name) == ""
    info = [(there / name / "t/never changes").stat() for name in os.listdir(there)]
    assert len({i.st_ino for i in info}) == 1 and info[0].st_nlink == 3


@pytest.mark.parametrize("listing", ["records", "fragments"])
def test_in_parallel_one_rsync_for_each_fragment(fs, shell, tmp_path, listing):
    for n in range(300):
        (fs.table / f"{n}").write_text(f"{n}")
    shell(f"echo 16 > .mnefs/tables/t/fragments; echo {listing} > .mnefs/tables/t/listing")
    eventually(lambda: len(os.listdir(fs.table / ".frag")) == 16)
    shell("mkdir .checkpoints/new; mkdir -p $B/db/t")
    shell(
        "ls .checkpoints/new/t/.frag | xargs -P8 -I{} rsync -aX"
        " .checkpoints/new/t/.frag/{}/ $B/db/t/"
    )
    copied = {name: (tmp_path / "db/t" / name).read_text() for name in os.listdir(tmp_path / "db/t")}
    assert copied == {f"{n}": f"{n}" for n in range(300)}
    if listing == "records":
        shell("rsync -aX .checkpoints/new/ $B/db/")  # the times of directories
        assert differences(fs.checkpoints / "new", tmp_path / "db") == ""


def test_prove_the_copy_with_coreutils_only(fs, shell, tmp_path):
    fill(fs, 15)
    shell("mkdir .checkpoints/new; rsync -aX .checkpoints/new/ $B/db/")
    proof = "cp .mnefs/checkpoints/new/sha256sums $B/ && cd $B/db && sha256sum -c --quiet ../sha256sums"
    assert shell(proof) == ""
    victim = next(p for p in (tmp_path / "db/t").rglob("*") if p.is_file() and p.stat().st_size)
    victim.write_bytes(b"!" + victim.read_bytes()[1:])
    assert "FAILED" in shell(proof, code=1)


# --- looking back, and all or nothing --------------------------------------------------------


def test_yesterdays_report_with_todays_script_and_a_diff_with_a_time(fs, shell, tmp_path):
    (fs.table / "alice").write_text("tuesday\n")
    shell("mkdir .checkpoints/c")
    made = int(re.search(r'"time":(\d+)', shell("cat .mnefs/checkpoints/c/info.json")).group(1))
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(made))
    (fs.table / "alice").write_text("friday\n")
    assert "> tuesday" in shell(f"diff t/alice .checkpoints/@{when}/t/alice", code=1)
    report = tmp_path / "report.sh"
    report.write_text(f"#!/bin/sh\ncat {fs.path}/t/alice\n")
    report.chmod(0o755)
    assert shell(f"mnefs at @{when} -- $B/report.sh") == "tuesday\n"
    assert shell("$B/report.sh") == "friday\n"


def test_all_or_nothing_with_a_tool_that_knows_nothing_of_it(fs, shell, tmp_path):
    (fs.path / "config").mkdir()
    new = tmp_path / "new-config"
    (new / "deep").mkdir(parents=True)
    for n in range(20):
        (new / f"deep/{n}").write_text(f"{n}")
    shell(f"mnefs tx -- rsync -a $B/new-config/ {fs.path}/config/")
    assert len(os.listdir(fs.path / "config/deep")) == 20
    (new / "deep/0").write_text("other")
    shell(f"mnefs tx -- sh -c 'rsync -a $B/new-config/ {fs.path}/config/; exit 7'", code=7)
    assert (fs.path / "config/deep/0").read_text() == "0"


def test_the_first_five_minutes(mount, mnefs, tmp_path):
    """The session of the README."""
    m = mount()
    env = {**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "B": str(tmp_path)}
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/mnefs").symlink_to(mnefs)

    def sh(text, code=0):
        done = subprocess.run(
            ["bash", "-uc", text], cwd=m.path, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    sh("mkdir users; echo '{\"name\":\"Alice\"}' > users/alice; echo bob > users/bob")
    sh("setfattr -n user.city -v Oslo users/alice; mkdir .checkpoints/monday")
    sh("echo '{\"name\":\"Alicia\"}' > users/alice; rm -f users/bob")
    assert sh("cat .checkpoints/monday/users/alice") == '{"name":"Alice"}\n'
    assert sh("ls -A") == "users\n"
    assert {"~ users/alice", "- users/bob"} <= {
        re.sub(" +", " ", line) for line in sh("mnefs diff monday").splitlines()
    }
    sh("cp .checkpoints/monday/users/alice users/alice")
    sh("rsync -a .checkpoints/monday/ $B/copy/; mkdir .checkpoints/tuesday")
    sh(
        "rsync -a --force --from0 --files-from=.mnefs/changed/monday..tuesday"
        " --delete-missing-args .checkpoints/tuesday/ $B/copy/"
    )
    assert os.listdir(tmp_path / "copy/users") == ["alice"]
    sh("mnefs tx -- sh -c 'echo 1 > users/a; echo 2 > users/b; exit 1'", code=1)
    assert sh("ls users") == "alice\n"
    assert "would" in sh("mnefs rollback monday --dry-run")
    sh("rmdir .checkpoints/monday")
    assert os.listdir(m.checkpoints) == ["tuesday"]
