# SPDX-License-Identifier: Apache-2.0
#
# test_changed.py - lists of what changed between two checkpoints (C7)

import json
import os
import random
import subprocess

import pytest

from histories import History, differences, rsync

# -I: what is listed has changed, whatever its size and its time.
LIST = ("-aXI", "--force", "--from0", "--delete-missing-args")


def changed(fs, name):
    text = (fs.path / ".mnefs" / "changed" / name).read_bytes()
    assert text == b"" or text.endswith(b"\0")
    return sorted(os.fsdecode(path) for path in text.split(b"\0")[:-1])


def told(fs, name):
    text = (fs.path / ".mnefs" / "changed" / f"{name}.json").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    return {line["path"]: line for line in lines}


def ops(fs, name):
    """Without directories of which only the time is another."""
    return {
        path: line["op"]
        for path, line in told(fs, name).items()
        if line.get("what") != ["time"]
    }


def follow(fs, before, now, copy, links=False):
    """Bring the copy of a checkpoint to another."""
    how = ("-H", *LIST) if links else LIST
    name = f"{before}..{now}"
    listed = fs.path / ".mnefs" / "changed" / name
    source = fs.checkpoints / now
    rsync(*how, f"--files-from={listed}", f"{source}/", f"{copy}/")
    assert differences(source, copy, links) == ""


def test_each_kind_of_change_has_its_op(fs):
    t = fs.table
    for name in ("kept", "changed", "mode", "gone", "moved"):
        (t / name).write_text(name)
    fs.checkpoint("A")
    (t / "changed").write_text("another")
    (t / "mode").chmod(0o600)
    (t / "gone").unlink()
    (t / "moved").rename(t / "here")
    (t / "made").write_text("m")
    fs.checkpoint("B")
    assert ops(fs, "A..B") == {
        "t/changed": "modified",
        "t/mode": "modified",
        "t/gone": "deleted",
        "t/here": "renamed",
        "t/made": "created",
    }
    lines = told(fs, "A..B")
    assert lines["t/here"]["from"] == "t/moved"
    assert lines["t/changed"]["what"] == ["data", "time"]
    assert lines["t/changed"]["was_size"] == 7 and lines["t/changed"]["size"] == 7
    assert lines["t/mode"]["what"] == ["mode"]
    assert lines["t/mode"]["was_seq"] < lines["t/mode"]["seq"]
    assert changed(fs, "A..B") == sorted(
        [*(f"t/{n}" for n in "changed gone here made mode moved".split()), "t"]
    )


def test_nothing_changed_is_an_empty_list(fs):
    (fs.table / "a").write_text("a")
    fs.checkpoint("A")
    fs.checkpoint("B")
    assert changed(fs, "A..B") == []
    assert changed(fs, "A") == []
    assert changed(fs, "A..") == []


def test_of_a_deleted_tree_only_the_topmost_path_is_listed(fs):
    (fs.table / "tree" / "sub").mkdir(parents=True)
    (fs.table / "tree" / "sub" / "f").write_text("f")
    fs.checkpoint("A")
    (fs.table / "tree" / "sub" / "f").unlink()
    (fs.table / "tree" / "sub").rmdir()
    (fs.table / "tree").rmdir()
    assert changed(fs, "A") == ["t", "t/tree"]
    assert ops(fs, "A") == {"t/tree": "deleted"}


def test_a_list_can_lead_back(fs, tmp_path):
    (fs.table / "a").write_text("1")
    fs.checkpoint("A")
    (fs.table / "a").write_text("2")
    (fs.table / "b").write_text("b")
    fs.checkpoint("B")
    rsync("-aX", f"{fs.checkpoints}/B/", f"{tmp_path}/copy/")
    follow(fs, "B", "A", tmp_path / "copy")


def test_names_that_are_no_two_checkpoints_are_not_there(fs):
    fs.checkpoint("A")
    for name in ("B", "A..B", "B..A", "..", "..A", "A...", ".json", "A.txt"):
        if name != "..":
            assert not (fs.path / ".mnefs/changed" / name).exists(), name


def test_dots_in_names_of_checkpoints_are_no_trouble(fs):
    for name in ("a..b", "a", "b.json", "b"):
        fs.checkpoint(name)
        (fs.table / name).write_text(name)
    assert changed(fs, "a..b") == ["t", "t/a", "t/a..b", "t/b", "t/b.json"]
    assert changed(fs, "a..b..b") == ["t", "t/a", "t/a..b", "t/b.json"]
    assert changed(fs, "a..b.json") == ["t", "t/a"]


def test_a_list_of_a_dropped_checkpoint_is_gone(fs):
    fs.checkpoint("A")
    (fs.table / "a").write_text("a")
    listed = fs.path / ".mnefs" / "changed" / "A"
    with open(listed, "rb") as before:
        fs.drop("A")
        assert before.read() == b"t\0t/a\0"
    with pytest.raises(FileNotFoundError):
        listed.read_bytes()


def test_changes_between_are_known_when_the_checkpoints_between_are_dropped(fs):
    (fs.table / "a").write_text("1")
    fs.checkpoint("A")
    for number in range(5):
        (fs.table / f"new{number}").write_text("n")
        (fs.table / "a").write_text(f"{number}")
        fs.checkpoint(f"between{number}")
    fs.checkpoint("B")
    (fs.table / "later").write_text("l")
    want = ["t", "t/a", *(f"t/new{n}" for n in range(5))]
    for number in (2, 0, 4, 1, 3):
        fs.drop(f"between{number}")
        assert changed(fs, "A..B") == want
        (fs.path / ".mnefs" / "ctl").write_text("reclaim\n")
        assert changed(fs, "A..B") == want


def test_lists_survive_a_remount_and_kill(mount):
    m = mount()
    m.table.mkdir()
    (m.table / "a").write_text("a")
    m.checkpoint("A")
    (m.table / "b").write_text("b")
    m.unmount()
    m = mount()
    assert changed(m, "A") == ["t", "t/b"]
    with open(m.table / "c", "w") as file:
        file.write("c")
        file.flush()
        os.fsync(file.fileno())
    m.crash()
    m = mount()
    assert changed(m, "A") == ["t", "t/b", "t/c"]
    m.unmount()


def test_the_names_in_lists_are_not_for_everybody(fs):
    fs.checkpoint("A")
    assert os.stat(fs.path / ".mnefs/changed/A").st_mode & 0o777 == 0o440


def test_xargs_and_tar_read_the_list(fs, tmp_path, cli):
    (fs.table / "gone").write_text("g")
    (fs.table / "two\nlines").write_text("1")
    fs.checkpoint("A")
    (fs.table / "gone").unlink()
    (fs.table / "two\nlines").write_text("2")
    fs.checkpoint("B")
    listed = fs.path / ".mnefs" / "changed" / "A..B"
    with open(listed, "rb") as paths:
        out = subprocess.run(
            ["xargs", "-0", "-n1", "printf", "%s;"], stdin=paths, capture_output=True
        )
    assert sorted(out.stdout.split(b";")[:-1]) == [b"t", b"t/gone", b"t/two\nlines"]


# --- the records that changed, as a tree -------------------------------------------------


def test_the_tree_of_changes_shows_what_changed_and_no_more(fs, tmp_path):
    t = fs.table
    (t / "a" / "b").mkdir(parents=True)
    (t / "a" / "kept").write_text("k")
    (t / "a" / "b" / "f").write_text("old")
    (t / "other").mkdir()
    (t / "other" / "x").write_text("x")
    (t / "gone").write_text("g")
    fs.checkpoint("A")
    (t / "a" / "b" / "f").write_text("new")
    os.setxattr(t / "a" / "b" / "f", "user.x", b"1")
    (t / "gone").unlink()
    (t / "tree").mkdir()
    (t / "tree" / "in").write_text("i")
    b = fs.checkpoint("B")
    (t / "a" / "b" / "f").write_text("newer")
    tree = fs.path / ".mnefs" / "changed" / "A..B.d"
    found = sorted(str(p.relative_to(tree)) for p in tree.rglob("*"))
    assert found == ["t", "t/a", "t/a/b", "t/a/b/f", "t/tree", "t/tree/in"]
    assert (tree / "t/a/b/f").read_text() == "new"
    assert os.getxattr(tree / "t/a/b/f", "user.x") == b"1"
    assert os.path.samefile(tree / "t/a/b/f", b / "t/a/b/f")
    assert not (tree / "t/a/kept").exists() and not (tree / "t/other").exists()
    rsync("-aX", f"{tree}/", f"{tmp_path}/increment/")
    assert (tmp_path / "increment/t/tree/in").read_text() == "i"
    for do in (
        lambda: (tree / "t/a/b/f").write_text("x"),
        lambda: (tree / "t/new").mkdir(),
        lambda: (tree / "t/a/b/f").unlink(),
    ):
        with pytest.raises(OSError, match="Read-only"):
            do()
    with open(tree / "t/a/b/f") as held:
        fs.drop("B")
        with pytest.raises(OSError, match="Stale"):
            held.read()
    assert not tree.exists()


def test_there_is_no_tree_of_changes_at_what_is_live(fs):
    fs.checkpoint("A")
    assert not (fs.path / ".mnefs/changed/A.d").exists()
    assert not (fs.path / ".mnefs/changed/A..B.d").exists()


# --- bookmarks -------------------------------------------------------------------------


def bookmark(fs, line):
    (fs.path / ".mnefs" / "bookmarks").write_text(line + "\n")


def bookmarks(fs):
    text = (fs.path / ".mnefs" / "bookmarks").read_text()
    return [line.split("\t")[0] for line in text.splitlines()]


def test_a_bookmark_stands_in_for_its_checkpoint(mount, check):
    m = mount()
    m.table.mkdir()
    for name in ("gone", "changed", "moved"):
        (m.table / name).write_bytes(b"x" * 100_000)
    (m.table / "tree").mkdir()
    (m.table / "tree" / "x").write_text("x")
    m.checkpoint("A")
    (m.table / "early").write_text("between checkpoint and bookmark")
    bookmark(m, "make A")
    m.drop("A")
    (m.path / ".mnefs" / "ctl").write_text("reclaim\n")
    (m.table / "gone").unlink()
    (m.table / "changed").write_bytes(b"y")
    (m.table / "moved").rename(m.table / "here")
    (m.table / "tree" / "x").unlink()
    (m.table / "tree").rmdir()
    m.unmount()
    check()
    m = mount()
    want = {
        "t/changed": "modified",
        "t/early": "created",
        "t/gone": "deleted",
        "t/here": "renamed",
        "t/tree": "deleted",
    }
    assert ops(m, "A") == want
    m.checkpoint("B")
    (m.table / "later").write_text("later")
    assert ops(m, "A..B") == want
    assert bookmarks(m) == ["A"]
    m.unmount()
    check()


def test_bookmarks_are_made_moved_renamed_and_dropped(fs):
    fs.checkpoint("A")
    (fs.table / "1").write_text("1")
    fs.checkpoint("B")
    (fs.table / "2").write_text("2")
    bookmark(fs, "make A mark")
    assert changed(fs, "mark") == ["t", "t/1", "t/2"]
    with pytest.raises(FileExistsError):
        bookmark(fs, "make B mark")
    bookmark(fs, "replace B mark")
    assert changed(fs, "mark") == ["t", "t/2"]
    bookmark(fs, "rename mark other")
    assert bookmarks(fs) == ["other"]
    assert changed(fs, "A..other") == ["t", "t/1"]
    bookmark(fs, "drop other")
    assert bookmarks(fs) == []
    for line in ("drop other", "make C", "rename x y"):
        with pytest.raises(FileNotFoundError):
            bookmark(fs, line)
    for line in ("nonsense", "make", "make A a:b", "drop"):
        with pytest.raises(OSError, match="Invalid"):
            bookmark(fs, line)


def test_a_name_of_two_moments_is_refused(fs):
    fs.checkpoint("A")
    bookmark(fs, "make A")
    assert changed(fs, "A") == []
    fs.drop("A")
    (fs.table / "1").write_text("1")
    fs.checkpoint("A")
    with pytest.raises(OSError, match="not unique"):
        changed(fs, "A")
    os.rename(fs.checkpoints / "A", fs.checkpoints / "A2")
    assert changed(fs, "A..A2") == ["t", "t/1"]


def test_the_command_knows_bookmarks(fs, mnefs):
    def run(*words):
        done = subprocess.run([mnefs, *words], cwd=fs.path, capture_output=True, text=True)
        return done.returncode, done.stdout

    fs.checkpoint("A")
    assert run("ck", "bookmark", "A", "last") == (0, "")
    assert run("ck", "bookmark", "A", "last")[0] == 6
    assert run("ck", "bookmark", "A", "last", "-f")[0] == 0
    assert run("ck", "bookmark", "B")[0] == 5
    fs.drop("A")
    (fs.table / "1").write_text("1")
    assert run("diff", "last") == (0, "+ t/1\n")
    assert run("changed", "last", "--existing") == (0, "t\nt/1\n")
    code, out = run("ck", "bookmarks")
    assert code == 0 and out.splitlines()[1].startswith("last ")
    assert json.loads(run("ck", "bookmarks", "--json")[1])["name"] == "last"
    assert run("ck", "unbookmark", "last")[0] == 0
    assert run("ck", "unbookmark", "last")[0] == 5


@pytest.mark.timeout(600)
@pytest.mark.parametrize("links", [False, True], ids=["plain", "links"])
def test_after_any_history_a_list_makes_the_copy_equal(fs, tmp_path, request, links):
    """Hundreds of them with --histories=N."""
    rounds = request.config.getoption("--histories")
    seed = request.config.getoption("--seed")
    if seed is None:
        seed = random.randrange(10**9)
    print("seed", seed)
    random_ = random.Random(seed)
    fs.table.rmdir()
    history = History(fs.path, random_)
    copies = {}
    for number in range(rounds):
        history.steps(random_.randrange(1, 25))
        now = f"c{number}"
        fs.checkpoint(now)
        # Copies of several ages; what lies between may have been dropped.
        before = random_.choice(sorted(copies)) if copies else None
        if before is None or len(copies) < 3 and random_.random() < 0.5:
            copy = tmp_path / f"copy{number}"
            rsync("-aHX" if links else "-aX", f"{fs.checkpoints}/{now}/", f"{copy}/")
        else:
            copy = copies.pop(before)
            follow(fs, before, now, copy, links)
            if before in bookmarks(fs):
                bookmark(fs, f"drop {before}")
        copies[now] = copy
        if random_.random() < 0.3:  # it goes on from a bookmark
            bookmark(fs, f"make {now}")
            fs.drop(now)
        for name in os.listdir(fs.checkpoints):
            if name not in copies and random_.random() < 0.5:
                fs.drop(name)
