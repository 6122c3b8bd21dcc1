# SPDX-License-Identifier: Apache-2.0
#
# test_fragments.py - tables whose records are spread over fragments, through a mount
#
# A record has several paths then (N2), T/x, T/0003/x and T/.frag/0001/x: whatever is done by one of
# them is seen by the others at once.

import ctypes
import errno
import json
import os
import random
import struct
import subprocess
import threading

import pytest

from harness import eventually, fails, sh, tree

PATHS = ["", "0001", "0003", ".frag/0001", ".frag/0002"]


def ctl(fs, name, table="t"):
    return fs.path / ".mnefs" / "tables" / table / name


def facts(fs, table="t"):
    return json.loads(ctl(fs, "fragments.json", table).read_text().splitlines()[0])


def settled(fs, table="t"):
    info = facts(fs, table)
    return info["fragments"] == info["goal"] and info["step_to"] == 0


def spread(fs, n, table="t", listing=None):
    ctl(fs, "fragments", table).write_text(f"{n}\n")
    if listing:
        ctl(fs, "listing", table).write_text(listing)
    eventually(lambda: settled(fs, table))
    assert facts(fs, table)["fragments"] == n


def fill(fs, count, at=None):
    for i in range(count):
        ((at or fs.table) / f"name-{i}").write_text(f"{i}")


def by_path(top):
    """All regular files below, by their own names."""
    found = {}
    for directory, _, names in os.walk(top):
        for name in names:
            assert name not in found
            with open(os.path.join(directory, name)) as file:
                found[name] = file.read()
    return found


def expected(count):
    return {f"name-{i}": f"{i}" for i in range(count)}


# --- what is where ------------------------------------------------------------------------


def test_a_table_with_fragments_lists_them_and_finds_records_by_name(fs):
    fill(fs, 100)
    spread(fs, 4)
    assert sorted(os.listdir(fs.table)) == ["0001", "0002", "0003", "0004"]
    assert by_path(fs.table) == expected(100)
    for i in range(100):
        inodes = {(fs.table / p / f"name-{i}").stat().st_ino for p in PATHS}
        assert len(inodes) == 1
        assert (fs.table / f"name-{i}").read_text() == f"{i}"


def test_the_flat_listing_shows_the_records_and_dot_frag_the_fragments(fs):
    fill(fs, 100)
    spread(fs, 4, listing="records")
    assert sorted(os.listdir(fs.table)) == sorted(expected(100))
    assert os.listdir(fs.table / ".frag") == ["0001", "0002", "0003", "0004"]
    assert by_path(fs.table / ".frag") == expected(100)
    with fails(errno.ENOENT):
        os.stat(fs.table / "0001")


def test_a_table_with_one_fragment_has_dot_frag_too(fs):
    fill(fs, 10)
    assert os.listdir(fs.table / ".frag") == ["0001"]
    assert by_path(fs.table / ".frag" / "0001") == expected(10)
    with fails(errno.ENOENT):
        os.stat(fs.table / ".frag" / "0002")
    (fs.table / "dir").mkdir()
    with fails(errno.ENOENT):
        os.stat(fs.table / "dir" / ".frag")


def test_an_empty_fragment_is_not_listed_and_can_be_removed(fs):
    spread(fs, 8)
    assert os.listdir(fs.table) == []
    (fs.table / "0005").rmdir()
    (fs.table / "0005" / "x").write_text("x")
    listed = os.listdir(fs.table)
    assert len(listed) == 1
    with fails(errno.ENOTEMPTY):
        (fs.table / listed[0]).rmdir()
    (fs.table / "x").unlink()
    (fs.table / listed[0]).rmdir()
    (fs.table / listed[0] / "y").write_text("made again")
    assert (fs.table / "y").read_text() == "made again"


def test_four_digits_are_no_record_where_they_are_a_fragment(fs):
    (fs.table / "2024").write_text("older than the fragments")
    spread(fs, 4)
    (fs.table / "x").write_text("")
    with fails(errno.EISDIR):
        os.rename(fs.table / "x", fs.table / "0003")
    with fails(errno.EEXIST):
        (fs.table / "0002").mkdir()
    with fails(errno.EPERM):
        os.rename(fs.table / "0001", fs.table / "y")
    with fails(errno.EPERM):
        os.symlink("x", fs.table / ".frag" / "0001x")
    number = os.getxattr(fs.table / "x", "mnefs.frag").decode()
    assert f"{int(number):04}" in os.listdir(fs.table)
    assert (fs.table / ".frag" / "0001" / "2024").read_text() == "older than the fragments"
    (fs.table / ".frag" / "0001" / "2024").unlink()
    ctl(fs, "listing").write_text("records")
    (fs.table / "2024").write_text("a record as any")
    assert (fs.table / "2024").read_text() == "a record as any"


def test_the_fragment_of_a_record_is_an_attribute(fs):
    fill(fs, 50)
    spread(fs, 5)
    for frag in os.listdir(fs.table):
        for name in os.listdir(fs.table / frag):
            assert int(os.getxattr(fs.table / name, "mnefs.frag")) == int(frag)
    (fs.table / "dir").mkdir()
    (fs.table / "dir" / "deep").write_text("")
    with fails(errno.ENODATA):
        os.getxattr(fs.table / "dir" / "deep", "mnefs.frag")


def test_what_cannot_be_is_refused_with_a_sentence(fs):
    for name, words in {
        "fragments": ["0", "10000", "-1", "x", "auto:0", "auto:x", "+", "1 2"],
        "listing": ["flat", ""],
        "hash": ["none", "phash2 word"],
    }.items():
        for word in words:
            if not word:
                continue
            with fails(errno.EINVAL):
                ctl(fs, name).write_text(word)
    fill(fs, 1)
    with fails(errno.EINVAL):
        ctl(fs, "hash").write_text("keyed")
    assert facts(fs)["fragments"] == 1
    with fails(errno.ENOENT):
        ctl(fs, "fragments", "none").read_text()


def test_what_is_written_is_read_back(fs):
    assert ctl(fs, "fragments").read_text() == "1\n"
    for word, reads in [("3", "3"), ("+2", "5"), ("-4", "1"), ("auto:500", "auto:500"), ("2", "2")]:
        ctl(fs, "fragments").write_text(word)
        assert ctl(fs, "fragments").read_text() == reads + "\n"
    for word in ["records", "fragments"]:
        ctl(fs, "listing").write_text(word)
        assert ctl(fs, "listing").read_text() == word + "\n"
    for word in ["keyed", "phash2"]:
        ctl(fs, "hash").write_text(word)
        assert ctl(fs, "hash").read_text() == word + "\n"


# --- one record, several paths ------------------------------------------------------------


def check_paths(fs, paths):
    """Every change by every path is seen by every other one at once."""
    number = 0
    for by in paths:
        for seen in paths:
            name = f"x{number}"
            number += 1
            here, there = fs.table / by / name, fs.table / seen / name
            assert not there.exists()
            here.write_text("made")
            assert there.read_text() == "made"
            there.write_text("changed")
            assert here.read_text() == "changed"
            assert here.stat().st_size == 7
            os.rename(here, fs.table / by / (name + "-moved"))
            assert not there.exists()
            assert (fs.table / seen / (name + "-moved")).read_text() == "changed"
            os.rename(fs.table / by / (name + "-moved"), there)
            assert here.read_text() == "changed"
            os.link(here, fs.table / seen / (name + "-link"))
            assert here.stat().st_nlink == 2
            os.unlink(there)
            assert not here.exists()
            os.unlink(fs.table / by / (name + "-link"))
            here.mkdir()
            (there / "deep").write_text("deep")
            assert (here / "deep").read_text() == "deep"
            (here / "deep").unlink()
            assert os.listdir(there) == []
            there.rmdir()
            assert not here.exists()
    fragments = [n for n in os.listdir(fs.table) if n.isdigit()]
    assert fragments == []


def test_every_path_of_a_record_shows_what_was_done_by_another(fs):
    spread(fs, 3)
    check_paths(fs, PATHS)


def test_the_kernel_forgets_what_it_knew_before_there_were_several_paths(fs):
    for i in range(20):
        (fs.table / f"gone-{i}").write_text("x")
    kept = open(fs.table / "gone-0")
    absent = [fs.table / f"new-{i}" for i in range(20)]
    assert not any(p.exists() for p in absent)
    assert len(list(os.scandir(fs.table))) == 20
    one = fs.table / ".frag" / "0001"
    for i in range(20):
        (one / f"gone-{i}").unlink()
        (one / f"new-{i}").write_text("new")
    assert not any((fs.table / f"gone-{i}").exists() for i in range(20))
    assert all(p.read_text() == "new" for p in absent)
    assert kept.read() == "x"
    kept.close()
    check_paths(fs, ["", ".frag/0001"])


def test_the_kernel_forgets_when_a_table_is_split(fs):
    for i in range(20):
        (fs.table / f"gone-{i}").write_text("x")
    absent = [fs.table / f"new-{i}" for i in range(20)]
    assert not any(p.exists() for p in absent)
    spread(fs, 2)
    for i in range(20):
        (fs.table / "0001" / f"gone-{i}").unlink()
        (fs.table / "0002" / f"new-{i}").write_text("new")
    assert not any((fs.table / f"gone-{i}").exists() for i in range(20))
    assert all(p.read_text() == "new" for p in absent)


def test_a_directory_record_is_used_by_many_paths_at_once(fs):
    """No path fails because another one is being walked."""
    fill(fs, 20)
    spread(fs, 3)
    (fs.table / "bob").mkdir()
    (fs.table / "bob" / "letter").write_text("dear")
    done = threading.Event()
    failures = []

    def walk(by):
        n = 0
        while not done.is_set():
            try:
                assert (fs.table / by / "bob" / "letter").read_text() == "dear"
                (fs.table / by / f"by-{threading.get_ident()}-{n % 5}").write_text("x")
                n += 1
            except (OSError, AssertionError) as error:
                failures.append((by, error))
                return

    threads = [threading.Thread(target=walk, args=(by,)) for by in PATHS]
    for thread in threads:
        thread.start()
    threads[0].join(3)
    done.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_file_is_written_under_another_name_and_renamed_inside_a_fragment(fs):
    fill(fs, 30)
    spread(fs, 4)
    for i in range(30):
        fragment = fs.table / f"{1 + i % 4:04}"
        (fragment / f".name-{i}.tmp").write_text(f"new {i}")
        os.rename(fragment / f".name-{i}.tmp", fragment / f"name-{i}")
    assert by_path(fs.table) == {f"name-{i}": f"new {i}" for i in range(30)}


def test_inotify_tells_what_is_done_in_a_fragment_directory(fs):
    spread(fs, 3)
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(fd, os.fsencode(fs.table / "0002"), 0x100 | 0x200) > 0
    (fs.table / "0002" / "x").write_text("x")
    (fs.table / "0002" / "x").unlink()
    events = os.read(fd, 4096)
    os.close(fd)
    masks = []
    while events:
        _, mask, _, length = struct.unpack_from("iIII", events)
        assert events[16 : 16 + length].rstrip(b"\0") == b"x"
        masks.append(mask)
        events = events[16 + length :]
    assert masks == [0x100, 0x200]


# --- tools --------------------------------------------------------------------------------


def make_tree(fs, count=60):
    fill(fs, count)
    (fs.table / "bob").mkdir()
    (fs.table / "bob" / "a").write_text("a")
    os.symlink("name-1", fs.table / "link")


def rsync(*words):
    done = subprocess.run(["rsync", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("listing", ["fragments", "records"])
def test_rm_rf_removes_the_table(fs, listing):
    make_tree(fs)
    spread(fs, 5, listing=listing)
    sh("rm -rf t", fs.path)
    assert os.listdir(fs.path) == []


@pytest.mark.parametrize("listing", ["fragments", "records"])
def test_cp_and_rsync_copy_out_and_back(fs, tmp_path, listing):
    make_tree(fs)
    spread(fs, 5, listing=listing)
    before = tree(fs.table, times=True, modes=True)
    assert len(before) > 60
    sh(f"cp -a t {tmp_path}/cp", fs.path)
    rsync("-a", f"{fs.table}/", tmp_path / "rsync/")
    assert tree(tmp_path / "rsync") == tree(fs.table) == tree(tmp_path / "cp")
    # Back, over what changed and what is too much.
    (fs.table / "name-3").write_text("changed")
    (fs.table / "name-4").unlink()
    (fs.table / "more").write_text("more")
    rsync("-a", "--delete", f"{tmp_path}/rsync/", f"{fs.table}/")
    assert tree(fs.table) == tree(tmp_path / "rsync")
    assert rsync("-ai", "--delete", f"{tmp_path}/rsync/", f"{fs.table}/").count(">f") == 0
    # Into another table, of as many fragments.
    (fs.path / "u").mkdir()
    spread(fs, 5, table="u", listing=listing)
    sh(f"cp -r {tmp_path}/cp/. u/", fs.path)
    assert tree(fs.path / "u") == tree(fs.table)


def test_rsync_delete_between_the_two_listings_ends_with_the_right_records(fs):
    fill(fs, 60)
    spread(fs, 5, listing="records")
    (fs.path / "u").mkdir()
    fill(fs, 90, fs.path / "u")
    spread(fs, 3, table="u")
    rsync("-a", "--delete", f"{fs.table}/", f"{fs.path}/u/")
    assert by_path(fs.path / "u") == expected(60)


def test_find_and_du_see_each_record_once(fs):
    make_tree(fs)
    spread(fs, 5)
    found = sh("find t -name 'name-*' -printf '%f\\n' | sort", fs.path).stdout
    assert found.split() == sorted(expected(60))
    assert int(sh("du -s --apparent-size -b t", fs.path).stdout.split()[0]) >= 110


# --- checkpoints --------------------------------------------------------------------------


def test_a_checkpoint_shows_the_fragments_of_its_moment(fs):
    fill(fs, 80)
    fs.checkpoint("flat")
    spread(fs, 4)
    fs.checkpoint("four")
    shown = tree(fs.checkpoints / "four", times=True, modes=True)
    flat = tree(fs.checkpoints / "flat", times=True, modes=True)
    ctl(fs, "listing").write_text("records")
    fs.checkpoint("records")
    spread(fs, 7, listing="fragments")
    for i in range(0, 80, 2):
        (fs.table / f"name-{i}").write_text("changed")
    for i in range(1, 80, 4):
        (fs.table / f"name-{i}").unlink()
    spread(fs, 2)
    four, at = fs.checkpoints / "four" / "t", fs.checkpoints / "flat" / "t"
    assert sorted(os.listdir(at)) == sorted(expected(80))
    assert os.listdir(at / ".frag") == ["0001"]
    assert os.listdir(four) == os.listdir(four / ".frag") == ["0001", "0002", "0003", "0004"]
    assert sorted(os.listdir(fs.checkpoints / "records" / "t")) == sorted(expected(80))
    for top in (at, at / ".frag", four, four / ".frag", fs.checkpoints / "records" / "t"):
        assert by_path(top) == expected(80)
    assert tree(fs.checkpoints / "four", times=True, modes=True) == shown
    assert tree(fs.checkpoints / "flat", times=True, modes=True) == flat
    for i in range(80):
        paths = [four / f"name-{i}", four / "0001" / f"name-{i}", four / ".frag" / "0002" / f"name-{i}"]
        assert len({p.stat().st_ino for p in paths}) == 1
        assert paths[0].read_text() == f"{i}"
    with fails(errno.EROFS):
        (four / "0001" / "new").write_text("")
    with fails(errno.EROFS):
        (four / "0001").rmdir()
    fs.drop("four")
    with fails(errno.ESTALE, errno.ENOENT):
        os.listdir(four / "0001")


def test_a_fragment_directory_of_a_dropped_checkpoint_is_stale(fs):
    fill(fs, 20)
    spread(fs, 2)
    fs.checkpoint("c")
    fd = os.open(fs.checkpoints / "c" / "t" / "0001", os.O_RDONLY)
    assert os.listdir(fd) != []
    fs.drop("c")
    with fails(errno.ESTALE):
        os.listdir(fd)
    os.close(fd)


# --- growing and shrinking ----------------------------------------------------------------


class Hammer(threading.Thread):
    """Makes, changes, finds, lists and removes records of its own, all the time."""

    def __init__(self, fs, number):
        super().__init__()
        self.fs, self.number = fs, number
        self.random = random.Random(number)
        self.done = threading.Event()
        self.failure = None
        self.mine = {}
        self.rounds = 0

    def run(self):
        try:
            while not self.done.is_set():
                self.step()
        except (OSError, AssertionError) as error:
            self.failure = error

    def path(self, name):
        return self.fs.table / self.random.choice(["", ".frag/0001"]) / name

    def step(self):
        name = f"h{self.number}-{self.random.randrange(60)}"
        what = self.random.random()
        self.rounds += 1
        if what < 0.4:
            self.mine[name] = f"{self.rounds}"
            self.path(name).write_text(self.mine[name])
        elif what < 0.55 and name in self.mine:
            self.path(name).unlink()
            del self.mine[name]
        elif what < 0.7 and name in self.mine:
            other = f"h{self.number}-{self.random.randrange(60)}"
            os.rename(self.path(name), self.path(other))
            self.mine[other] = self.mine.pop(name)
        elif what < 0.72:
            begin = f"h{self.number}-"
            listed = {n for n in os.listdir(self.fs.table) if n.startswith(begin)}
            assert listed == set(self.mine)
        elif name in self.mine:
            assert self.path(name).read_text() == self.mine[name]
        else:
            assert not self.path(name).exists()


def test_writers_miss_nothing_while_a_table_goes_from_1_to_64_and_back(fs):
    ctl(fs, "listing").write_text("records")
    fill(fs, 300)
    hammers = [Hammer(fs, i) for i in range(3)]
    for hammer in hammers:
        hammer.start()
    spread(fs, 64)
    fs.checkpoint("middle")
    spread(fs, 1)
    while any(h.is_alive() and h.rounds < 200 for h in hammers):
        spread(fs, 64)
        spread(fs, 1)
    for hammer in hammers:
        hammer.done.set()
        hammer.join()
        assert hammer.failure is None
    wanted = expected(300)
    for hammer in hammers:
        wanted.update(hammer.mine)
    assert by_path(fs.table) == wanted
    assert len(by_path(fs.checkpoints / "middle" / "t")) >= 300


def test_fragments_follow_the_records_if_they_shall(fs):
    ctl(fs, "fragments").write_text("auto:50")
    fill(fs, 390)
    eventually(lambda: facts(fs)["fragments"] == 8)
    assert by_path(fs.table) == expected(390)


@pytest.mark.parametrize("when", [3, 8, 13, 20])
def test_a_split_goes_on_after_kill_9(mount, when):
    with mount() as m:
        m.table.mkdir()
        fill(m, 400)
    with mount(env={"MNE_DEBUG": f"kv-kill={when}"}) as m:
        try:
            ctl(m, "listing").write_text("records")
            ctl(m, "fragments").write_text("9")
        except OSError:
            pass
        m.wait_killed()
    with mount() as m:
        assert by_path(m.table) == expected(400)
        if ctl(m, "fragments").read_text() != "9\n":
            ctl(m, "fragments").write_text("9")
        eventually(lambda: settled(m))
        assert facts(m)["fragments"] == 9
        assert by_path(m.table) == expected(400)


def test_changed_lists_do_not_mention_a_split(fs, mnefs):
    fill(fs, 100)
    fs.checkpoint("a")
    spread(fs, 6)
    spread(fs, 2)
    done = subprocess.run([mnefs, "-C", fs.path, "changed", "a"], capture_output=True, text=True)
    if done.returncode == 2:
        pytest.skip("no command changed")
    assert (done.returncode, done.stdout) == (0, "")
