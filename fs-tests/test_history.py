# SPDX-License-Identifier: Apache-2.0
#
# test_history.py - mnefs diff, history and restore

import json
import os
import stat
import subprocess

import pytest

from histories import differences


@pytest.fixture
def run(mnefs, fs):
    """run(words…) -> (exit code, stdout, stderr), in the mount."""

    def run(*words, cwd=fs.path):
        done = subprocess.run(
            [mnefs, *map(str, words)], cwd=cwd, capture_output=True, text=True
        )
        return done.returncode, done.stdout, done.stderr

    return run


def said(run, *words, **more):
    code, out, err = run(*words, **more)
    assert code == 0, err
    return out


# --- changed and diff ------------------------------------------------------------------


@pytest.fixture
def two(fs):
    t = fs.table
    (t / "tree").mkdir()
    for name in ("kept", "changed", "gone", "moved", "tree/x"):
        (t / name).write_text(name)
    fs.checkpoint("A")
    (t / "changed").write_text("c")
    (t / "gone").unlink()
    (t / "moved").rename(t / "here")
    (t / "tree/new").write_text("n")
    fs.checkpoint("B")
    return fs


def test_changed_lists_paths_by_what_became_of_them(two, run):
    everything = {"t", "t/changed", "t/gone", "t/moved", "t/here"}
    everything |= {"t/tree", "t/tree/new"}
    assert set(said(run, "changed", "A", "B").splitlines()) == everything
    assert set(said(run, "changed", "A").splitlines()) == everything
    deleted = said(run, "changed", "A", "B", "--deleted").splitlines()
    assert sorted(deleted) == ["t/gone", "t/moved"]
    existing = said(run, "changed", "A", "B", "-0", "--existing").split("\0")
    assert set(existing[:-1]) == everything - {"t/gone", "t/moved"}


def test_tar_archives_what_changed(two, run, tmp_path, mnefs):
    archive = tmp_path / "increment.tar"
    subprocess.run(
        f"{mnefs} changed A B -0 --existing |"
        f" tar -C .checkpoints/B --null --no-recursion -T - -cf {archive}",
        shell=True,
        cwd=two.path,
        check=True,
    )
    names = subprocess.run(
        ["tar", "-tf", archive], capture_output=True, text=True, check=True
    ).stdout.split()
    assert sorted(names) == ["t/", "t/changed", "t/here", "t/tree/", "t/tree/new"]


def test_diff_shows_records_and_not_the_times_of_directories(two, run):
    assert said(run, "diff", "A").splitlines() == [
        "~ t/changed",
        "- t/gone",
        "> t/here (was t/moved)",
        "+ t/tree/new",
    ]
    assert said(run, "diff", "A", "B", "t/tree") == "+ t/tree/new\n"
    assert said(run, "diff", "A", "tree", cwd=two.table) == "+ t/tree/new\n"
    lines = said(run, "diff", "A", "B", "--json").splitlines()
    assert [json.loads(line)["op"] for line in lines] == [
        "modified",
        "deleted",
        "renamed",
        "created",
    ]


def test_diff_counts_by_table(two, run):
    out = said(run, "diff", "A", "--stat")
    assert out.splitlines()[0].split() == ["t", "+", "1", "~", "2", "-", "1"]
    assert out.splitlines()[1].startswith("4 records changed since A (seq ")


def test_diff_can_tell_by_its_exit_code(two, run):
    assert run("diff", "A", "B", "--exit-code")[0] == 4
    assert run("diff", "A", "B", "t/kept", "--exit-code")[0] == 0
    assert run("diff", "B", "--exit-code")[0] == 0
    code, _, err = run("diff", "nothing")
    assert code == 5 and "no checkpoint or bookmark nothing" in err


def test_names_with_control_characters_do_not_reach_the_terminal(fs, run):
    fs.checkpoint("A")
    (fs.table / "two\nlines \033[31m").write_text("x")
    assert said(run, "diff", "A") == "+ t/two\\nlines \\033[31m\n"


# --- history ---------------------------------------------------------------------------


def test_history_lists_the_versions_of_a_record(fs, run):
    a = fs.table / "a"
    fs.checkpoint("before")
    a.write_text("1")
    fs.checkpoint("one")
    fs.checkpoint("two")
    a.write_text("22")
    fs.checkpoint("three")
    lines = said(run, "history", "t/a").splitlines()
    assert lines[0].split() == ["SEQ", "WHEN", "SIZE", "IN", "CHECKPOINTS"]
    assert lines[1].startswith("live ") and lines[1].endswith("three")
    assert lines[2].endswith("one, two")
    assert len(lines) == 3
    versions = [
        json.loads(line) for line in said(run, "history", a, "--json").splitlines()
    ]
    assert [v["checkpoints"] for v in versions] == [["three"], ["one", "two"]]
    assert [v["size"] for v in versions] == [2, 1]
    assert versions[0]["live"] and versions[0]["seq"] > versions[1]["seq"]


def test_history_of_what_is_gone_and_of_what_never_was(fs, run):
    (fs.table / "a").write_text("1")
    fs.checkpoint("one")
    (fs.table / "a").unlink()
    lines = said(run, "history", "t/a").splitlines()
    assert len(lines) == 2 and lines[1].endswith("one")
    assert run("history", "t/nothing")[0] == 5
    assert run("history", "/etc/passwd")[0] == 2


# --- restore ---------------------------------------------------------------------------


def facts(path):
    st = os.lstat(path)
    xattrs = {n: os.getxattr(path, n) for n in os.listxattr(path)}
    return stat.S_IFMT(st.st_mode), st.st_mode, st.st_uid, st.st_mtime_ns, xattrs


def test_restore_finds_the_newest_other_version(fs, run):
    a = fs.table / "a"
    a.write_text("first")
    fs.checkpoint("one")
    a.write_text("second")
    a.chmod(0o640)
    os.setxattr(a, "user.x", b"1" * 3000)
    os.setxattr(a, "user.y", b"y")
    os.utime(a, ns=(1, 1_000_000_007))
    fs.checkpoint("two")
    want = facts(a)
    a.write_text("third")
    os.removexattr(a, "user.x")
    fs.checkpoint("three")
    code, out, _ = run("restore", "t/a", "-n")
    assert code == 0 and out.startswith("would restore t/a from two (")
    assert a.read_text() == "third"
    said(run, "restore", "t/a")
    assert a.read_text() == "second" and facts(a) == want
    said(run, "restore", "a", "--from", "one", cwd=fs.table)
    assert a.read_text() == "first"
    said(run, "restore", a)  # the newest other one
    assert a.read_text() == "third"


def test_restore_of_a_deleted_tree_brings_all_of_it(fs, run, tmp_path):
    top = fs.table / "rec"
    (top / "sub" / "deep").mkdir(parents=True)
    (top / "sub" / "f").write_text("f")
    os.link(top / "sub" / "f", top / "hard")
    (top / "link").symlink_to("nowhere")
    os.mkfifo(top / "fifo")
    with open(top / "sparse", "wb") as file:
        file.truncate(1_000_000)
        file.seek(500_000)
        file.write(b"x" * 5000)
    (top / "sub").chmod(0o700)
    os.utime(top / "sub", (5, 5))
    c = fs.checkpoint("C")
    subprocess.run(["rm", "-r", top], check=True)
    said(run, "restore", "t/rec")
    assert differences(c / "t" / "rec", top) == ""
    assert os.path.samefile(top / "hard", top / "sub" / "f")
    assert os.stat(top / "sparse").st_blocks * 512 < 100_000
    assert os.listdir(fs.table) == ["rec"]


def test_restore_puts_a_directory_back_as_it_was_at_once(fs, run):
    top = fs.table / "rec"
    top.mkdir()
    (top / "kept").write_text("1")
    (top / "lost").write_text("2")
    c = fs.checkpoint("C")
    (top / "lost").unlink()
    (top / "new").write_text("3")
    said(run, "restore", "t/rec")
    assert differences(c / "t" / "rec", top) == ""
    code, _, err = run("restore", "t/rec", "-v")
    assert code == 0 and "as it was" in err


def test_restore_of_a_part_makes_the_directories_above_it(fs, run):
    deep = fs.table / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "f").write_text("f")
    (deep / "g").write_text("g")
    deep.chmod(0o711)
    fs.checkpoint("C")
    subprocess.run(["rm", "-r", fs.table / "a"], check=True)
    said(run, "restore", "t/a/b/f")
    assert os.listdir(deep) == ["f"]
    assert stat.S_IMODE(deep.stat().st_mode) == 0o711


def test_restore_over_another_kind_of_thing(fs, run):
    (fs.table / "x").mkdir()
    (fs.table / "x" / "in").write_text("in")
    (fs.table / "y").write_text("y")
    fs.checkpoint("C")
    subprocess.run(["rm", "-r", fs.table / "x"], check=True)
    (fs.table / "x").write_text("a file")
    (fs.table / "y").unlink()
    (fs.table / "y").mkdir()
    (fs.table / "y" / "in").write_text("in")
    said(run, "restore", "t/x", "t/y")
    assert (fs.table / "x" / "in").read_text() == "in"
    assert (fs.table / "y").read_text() == "y"
    assert sorted(os.listdir(fs.table)) == ["x", "y"]


def test_restore_of_two_names_of_one_file_links_them(fs, run):
    (fs.table / "a").write_text("a")
    os.link(fs.table / "a", fs.table / "b")
    fs.checkpoint("C")
    (fs.table / "a").unlink()
    (fs.table / "b").unlink()
    said(run, "restore", "t/a", "t/b")
    assert os.path.samefile(fs.table / "a", fs.table / "b")


def test_restore_to_elsewhere(fs, run, tmp_path):
    (fs.table / "d").mkdir()
    (fs.table / "d" / "f").write_text("old")
    c = fs.checkpoint("C")
    (fs.table / "d" / "f").write_text("new")
    said(run, "restore", "t/d", "--to", tmp_path)
    assert differences(c / "t" / "d", tmp_path / "d") == ""
    assert (fs.table / "d" / "f").read_text() == "new"
    assert run("restore", "t/d", "--to", tmp_path)[0] == 6


def test_restore_of_a_dropped_table(fs, run):
    (fs.table / "a").write_text("a")
    (fs.table / "d").mkdir()
    fs.table.chmod(0o750)
    c = fs.checkpoint("C")
    code, _, err = run("restore", "t")
    assert code == 2 and "a whole table" in err
    (fs.table / "a").unlink()
    (fs.table / "d").rmdir()
    fs.table.rmdir()
    said(run, "restore", "t")
    assert differences(c / "t", fs.table) == ""


def test_what_cannot_be_restored_is_said(fs, run):
    (fs.table / "a").write_text("a")
    fs.checkpoint("C")
    assert run("restore", "t/nothing")[0] == 5
    assert run("restore", "t/a", "--from", "D")[0] == 5
    assert run("restore", ".checkpoints/C/t/a")[0] == 2
    code, _, err = run("restore", ".")
    assert code == 2 and "all tables" in err
    code, out, err = run("restore", "t/a")
    assert code == 0 and out == "" and "as it was" in err


def test_what_was_restored_is_a_change_that_rsync_sees(fs, run, tmp_path):
    """I4 does not move the time that a restore sets."""
    a = fs.table / "a"
    a.write_text("AAAA")
    fs.checkpoint("one")
    want = a.stat().st_mtime_ns
    a.write_text("BBBB")
    fs.checkpoint("two")
    said(run, "restore", "t/a", "--from", "one")
    assert a.stat().st_mtime_ns == want
