# SPDX-License-Identifier: Apache-2.0
#
# test_sharing.py - I1 and I2 as stock tools see them: what is the same in several checkpoints

import os
import tarfile

import pytest

from harness import sh, tree


@pytest.fixture
def three(fs):
    """Checkpoints a, b, c; 20 files, of which one changes and one comes and goes."""
    for n in range(20):
        (fs.table / f"{n:02}").write_bytes(os.urandom(20_000))
    (fs.table / "once").write_bytes(os.urandom(20_000))
    fs.checkpoint("a")
    (fs.table / "00").write_bytes(os.urandom(20_000))
    (fs.table / "once").unlink()
    fs.checkpoint("b")
    (fs.table / "00").write_bytes(os.urandom(20_000))
    fs.checkpoint("c")
    return fs


def test_i1_the_acceptance_lines_of_the_shell(fs):
    (fs.table / "x").write_text("x")
    (fs.table / "alice").write_text("alice")
    sh(
        "set -e; mkdir .checkpoints/a; cp .checkpoints/a/t/alice t/alice;"
        "mkdir .checkpoints/b; i() { stat -c %i $1; };"
        "[ $(i .checkpoints/a/t/x) = $(i .checkpoints/b/t/x) ];"
        "[ $(i t/x) != $(i .checkpoints/a/t/x) ]",
        fs.path,
    )


def test_i1_find_samefile_lists_the_checkpoints_that_hold_a_version(three):
    done = sh("find a b c -samefile a/t/05 | sort", three.checkpoints)
    assert done.stdout.split() == ["a/t/05", "b/t/05", "c/t/05"]
    done = sh("find a b c -samefile b/t/00", three.checkpoints)
    assert done.stdout.split() == ["b/t/00"]


def test_i2_tar_of_all_checkpoints_stores_what_is_shared_as_links(three, tmp_path):
    sh(f"tar -cf {tmp_path}/all.tar a b c", three.checkpoints)
    with tarfile.open(tmp_path / "all.tar") as archive:
        kinds = [member.type for member in archive if not member.isdir()]
    assert kinds.count(tarfile.REGTYPE) == 20 + 1 + 2
    assert kinds.count(tarfile.LNKTYPE) == 2 * 19
    sh("mkdir out && tar -xf all.tar -C out", tmp_path)
    for name in "abc":
        assert tree(tmp_path / "out" / name) == tree(three.checkpoints / name)


def test_i2_du_of_each_counts_what_the_ones_before_do_not_have(three):
    sizes = [int(x.split()[0]) for x in sh("du -sk a b c", three.checkpoints).stdout.splitlines()]
    assert sizes[0] >= 21 * 19
    assert all(size < 3 * 20 for size in sizes[1:])


def test_i2_a_farm_of_hard_links_follows_what_is_dropped_and_made(three, tmp_path):
    farm = tmp_path / "farm"
    command = f"rsync -aHX --delete .checkpoints/ {farm}/"
    sh(command, three.path)
    assert sorted(os.listdir(farm)) == ["a", "b", "c"]
    assert os.path.samefile(farm / "a/t/05", farm / "c/t/05")
    assert not os.path.samefile(farm / "a/t/00", farm / "b/t/00")
    three.drop("a")
    (three.table / "05").write_bytes(b"new")
    three.checkpoint("d")
    sh(command, three.path)
    assert sorted(os.listdir(farm)) == ["b", "c", "d"]
    for name in "bcd":
        assert tree(farm / name) == tree(three.checkpoints / name)
    assert os.path.samefile(farm / "b/t/06", farm / "d/t/06")


@pytest.mark.parametrize("command", ["cp -a", "cp --reflink=auto -p", "rsync -aX"])
def test_i1_stock_tools_restore_from_a_checkpoint(three, command):
    then = (three.checkpoints / "a/t/00").read_bytes()
    (three.table / "00").unlink()
    sh(f"{command} .checkpoints/a/t/00 t/00", three.path)
    assert (three.table / "00").read_bytes() == then
    assert (three.checkpoints / "a/t/00").read_bytes() == then
