# SPDX-License-Identifier: Apache-2.0
#
# test_caches.py - the kernel's caches never show what is no longer so
#
# Long timeouts are right only for what changes through the kernel.  Each test here
# looks at something first, so that it is cached, then lets it change without its own
# inode or name being touched, and looks again, at once.

import errno
import os
import subprocess

import pytest

from harness import Requests, fails, sh


@pytest.fixture
def file(fs):
    (fs.table / "x").write_text("one")
    return fs.table / "x"


def nlink(path):
    return path.stat().st_nlink


# --- what another checkpoint changes ---------------------------------------------------


def test_nlink_of_a_version_after_another_checkpoint_is_made(fs, file):
    a = fs.checkpoint("a") / "t/x"
    assert nlink(a) == 1
    b = fs.checkpoint("b") / "t/x"
    assert nlink(a) == 2
    assert nlink(b) == 2
    fs.checkpoint("c")
    assert (nlink(a), nlink(b)) == (3, 3)


def test_nlink_of_a_version_after_another_checkpoint_is_dropped(fs, file):
    paths = [fs.checkpoint(name) / "t/x" for name in "abc"]
    assert [nlink(p) for p in paths] == [3, 3, 3]
    fs.drop("b")
    assert [nlink(p) for p in (paths[0], paths[2])] == [2, 2]
    fs.drop("a")
    assert nlink(paths[2]) == 1


def test_nlink_seen_through_an_open_descriptor(fs, file):
    fs.checkpoint("a")
    fd = os.open(fs.checkpoints / "a/t/x", os.O_RDONLY)
    assert os.fstat(fd).st_nlink == 1
    fs.checkpoint("b")
    assert os.fstat(fd).st_nlink == 2
    fs.drop("b")
    assert os.fstat(fd).st_nlink == 1
    os.close(fd)


def test_nlink_after_readdirplus_filled_the_cache(fs):
    for n in range(50):
        (fs.table / str(n)).write_text("x")
    top = fs.checkpoint("a") / "t"
    assert sh("ls -l", top).stdout.count("\n") == 51
    fs.checkpoint("b")
    counts = {os.stat(e.path).st_nlink for e in os.scandir(top)}
    assert counts == {2}


def test_nlink_of_other_versions_when_a_table_checkpoint_is_made(fs, file):
    a = fs.checkpoint("a") / "t/x"
    assert nlink(a) == 1
    fs.checkpoint("b", "t")
    assert nlink(a) == 2


def test_nlink_is_right_at_once_while_somebody_walks_the_checkpoint(fs):
    for n in range(300):
        (fs.table / str(n)).write_text("x")
    top = fs.checkpoint("a") / "t"
    with subprocess.Popen(["sh", "-c", f"while ls -l '{top}'; do :; done"],
                          stdout=subprocess.DEVNULL) as walker:
        try:
            for n in range(2, 12):
                fs.checkpoint(f"b{n}")
                assert nlink(top / "0") == n
            for n in range(2, 12):
                fs.drop(f"b{n}")
                assert nlink(top / "0") == 12 - n
        finally:
            walker.kill()


def test_a_walk_of_a_checkpoint_brings_the_attributes_with_the_names(fs):
    for n in range(1000):
        (fs.table / str(n)).write_text("x")
    top = fs.checkpoint("a") / "t"
    requests = Requests(fs)
    assert sh("ls -l", top).stdout.count("\n") == 1001
    assert requests.since("getattr") < 500


def test_what_was_seen_a_moment_ago_is_estale_when_its_checkpoint_is_dropped(fs, file):
    fd = os.open(fs.checkpoint("a") / "t/x", os.O_RDONLY)
    assert os.fstat(fd).st_size == 3
    fs.drop("a")
    with fails(errno.ESTALE):
        os.fstat(fd)
    os.close(fd)


# --- mtime bumps -----------------------------------------------------------------------


def test_the_bumped_mtime_is_seen_at_once(fs, file):
    before = file.stat().st_mtime
    fs.checkpoint("a")
    assert file.stat().st_mtime == before
    fd = os.open(file, os.O_WRONLY)
    os.write(fd, b"two")
    during = os.fstat(fd).st_mtime
    os.close(fd)
    after = file.stat().st_mtime
    assert int(after) > int(before)
    assert during in (before, after) or int(during) > int(before)


def test_the_mtime_after_remount_is_the_one_seen_before(mount):
    with mount() as m:
        m.table.mkdir()
        (m.table / "x").write_text("one")
        m.checkpoint("a")
        (m.table / "x").write_text("two")
        seen = (m.table / "x").stat()
        (m.table / "new").write_text("x")
        seen_new = (m.table / "new").stat()
        seen_dir = m.table.stat()
    with mount() as m:
        now = (m.table / "x").stat()
        assert (now.st_mtime_ns, now.st_ctime_ns) == (seen.st_mtime_ns, seen.st_ctime_ns)
        assert (m.table / "new").stat().st_mtime_ns == seen_new.st_mtime_ns
        assert m.table.stat().st_mtime_ns == seen_dir.st_mtime_ns


# --- checkpoints by their two kinds of names -------------------------------------------


def test_a_checkpoint_made_at_the_table_is_seen_at_the_root_and_the_reverse(fs):
    root, table = fs.checkpoints, fs.table / ".checkpoints"
    for where, other in ((root, table), (table, root)):
        name = where.parent.name + "-made"
        assert name not in os.listdir(other)
        with fails(errno.ENOENT):
            os.stat(other / name)
        (where / name).mkdir()
        assert name in os.listdir(other)
        os.stat(other / name)


def test_a_checkpoint_dropped_in_one_place_is_gone_in_all(fs):
    (fs.table / "dir").mkdir()
    places = [fs.checkpoints, fs.table / ".checkpoints", fs.table / "dir/.checkpoints"]
    fs.checkpoint("a")
    for place in places:
        os.stat(place / "a")
        assert os.listdir(place) == ["a"]
    fs.drop("a")
    for place in places:
        assert os.listdir(place) == []
        with fails(errno.ENOENT):
            os.stat(place / "a")


def test_a_table_checkpoint_dropped_at_the_table_is_gone_at_the_root(fs):
    fs.checkpoint("a", "t")
    os.stat(fs.checkpoints / "a/t")
    (fs.table / ".checkpoints/a").rmdir()
    with fails(errno.ENOENT):
        os.stat(fs.checkpoints / "a")
    assert os.listdir(fs.checkpoints) == []


def test_a_checkpoint_renamed_in_one_place_is_renamed_in_all(fs, file):
    (fs.table / "dir").mkdir()
    places = [fs.checkpoints, fs.table / ".checkpoints", fs.table / "dir/.checkpoints"]
    fs.checkpoint("a")
    for place in places:
        os.stat(place / "a")
        with fails(errno.ENOENT):
            os.stat(place / "b")
    os.rename(fs.checkpoints / "a", fs.checkpoints / "b")
    for place in places:
        assert os.listdir(place) == ["b"]
        os.stat(place / "b")
        with fails(errno.ENOENT):
            os.stat(place / "a")
    assert (fs.table / ".checkpoints/b/x").read_text() == "one"


def test_a_checkpoint_remade_under_the_same_name_shows_the_new_moment(fs, file):
    (fs.table / "dir").mkdir()
    paths = [
        fs.checkpoints / "c/t/x",
        fs.table / ".checkpoints/c/x",
    ]
    for content in ("one", "two", "three"):
        file.write_text(content)
        (fs.table / content).touch()
        fs.checkpoint("c")
        for path in paths:
            assert path.read_text() == content
            assert content in os.listdir(path.parent)
            os.stat(path.parent / content)
            with fails(errno.ENOENT):
                os.stat(path.parent / "not yet")
        assert os.listdir(fs.table / "dir/.checkpoints/c") == []
        fs.drop("c")
        for path in paths:
            with fails(errno.ENOENT):
                os.stat(path)


def test_a_name_looked_up_before_the_checkpoint_was_made_is_found_after(fs, file):
    for place in (fs.checkpoints, fs.table / ".checkpoints"):
        with fails(errno.ENOENT):
            os.stat(place / "c")
    fs.checkpoint("c")
    for place in (fs.checkpoints, fs.table / ".checkpoints"):
        os.stat(place / "c")


def test_listings_of_checkpoints_kept_open_see_new_ones_on_rewind(fs):
    fd = os.open(fs.checkpoints, os.O_RDONLY)
    assert os.listdir(fd) == []
    fs.checkpoint("a", "t")
    assert os.listdir(fd) == ["a"]
    (fs.table / ".checkpoints/a").rmdir()
    assert os.listdir(fd) == []
    os.close(fd)


# --- directories that move -------------------------------------------------------------


def test_checkpoints_of_the_children_follow_a_renamed_directory(fs):
    (fs.table / "a/b").mkdir(parents=True)
    (fs.table / "a/b/f").write_text("then")
    fs.checkpoint("c")
    assert (fs.table / "a/b/.checkpoints/c/f").read_text() == "then"
    os.rename(fs.table / "a", fs.table / "z")
    (fs.table / "z/b/f").write_text("now")
    assert (fs.table / "z/b/.checkpoints/c/f").read_text() == "then"
    (fs.table / "a/b").mkdir(parents=True)
    with fails(errno.ENOENT):
        os.stat(fs.table / "a/b/.checkpoints/c")


def test_checkpoints_follow_a_renamed_table(fs, file):
    fs.checkpoint("c")
    assert os.listdir(fs.table / ".checkpoints") == ["c"]
    os.rename(fs.table, fs.path / "new")
    assert (fs.path / "new/.checkpoints/c/x").read_text() == "one"
    assert os.listdir(fs.checkpoints / "c") == ["t"]
    fs.table.mkdir()
    assert os.listdir(fs.table / ".checkpoints") == []


def test_a_directory_removed_and_made_again_has_not_the_old_ones_checkpoints(fs):
    (fs.table / "dir").mkdir()
    fs.checkpoint("c")
    os.stat(fs.table / "dir/.checkpoints/c")
    (fs.table / "dir").rmdir()
    (fs.table / "dir").mkdir()
    with fails(errno.ENOENT):
        os.stat(fs.table / "dir/.checkpoints/c")


def test_the_live_view_and_a_cached_checkpoint_do_not_mix(fs):
    """Cached pages of a version belong to the version, those of live to live."""
    data = [bytes([n]) * 100_000 for n in range(4)]
    path = fs.table / "big"
    for n, content in enumerate(data):
        path.write_bytes(content)
        assert path.read_bytes() == content
        fs.checkpoint(f"c{n}")
    for n, content in enumerate(data):
        assert (fs.checkpoints / f"c{n}/t/big").read_bytes() == content
    with open(path, "r+b") as file:
        file.seek(50_000)
        file.write(b"now")
    assert (fs.checkpoints / "c3/t/big").read_bytes() == data[3]
    assert path.read_bytes()[50_000:50_003] == b"now"


# --- ordinary things, looked at before and after ---------------------------------------


def test_size_blocks_and_content_after_every_kind_of_write(fs, file):
    import mmap

    fd = os.open(file, os.O_RDWR)
    for size in (10, 5000, 200_000):
        os.ftruncate(fd, 0)
        assert file.stat().st_size == 0
        os.pwrite(fd, b"x" * size, 0)
        assert file.stat().st_size == size
        assert file.stat().st_blocks >= 1
        assert os.pread(fd, 300_000, 0) == b"x" * size
    with mmap.mmap(fd, 0) as seen:
        seen[0:1] = b"y"
        seen.flush()
    with open(file, "rb") as other:
        assert other.read(2) == b"yx"
    os.close(fd)
    with open(file, "rb") as other:
        assert other.read() == b"y" + b"x" * 199_999


def test_nlink_and_ctime_of_the_other_names_of_a_file(fs, file):
    assert nlink(file) == 1
    os.link(file, fs.table / "y")
    assert nlink(file) == 2
    (fs.table / "y").chmod(0o600)
    assert file.stat().st_mode & 0o777 == 0o600
    (fs.table / "z").touch()
    os.rename(fs.table / "z", fs.table / "y")
    assert nlink(file) == 1


def test_nlink_and_times_of_directories_after_changes_in_them(fs):
    (fs.table / "a").mkdir()
    (fs.table / "b").mkdir()
    assert nlink(fs.table) == 4
    os.rename(fs.table / "a", fs.table / "b/a")
    assert nlink(fs.table) == 3
    assert nlink(fs.table / "b") == 3
    (fs.table / "b/a").rmdir()
    assert nlink(fs.table / "b") == 2


def test_a_negative_entry_goes_when_the_name_is_made_in_any_way(fs, file):
    tries = {
        "created": lambda p: p.touch(),
        "dir": lambda p: p.mkdir(),
        "linked": lambda p: os.link(file, p),
        "symlink": lambda p: p.symlink_to("x"),
        "fifo": lambda p: os.mkfifo(p),
        "moved": lambda p: os.rename(file, p),
    }
    for name, make in tries.items():
        with fails(errno.ENOENT):
            os.lstat(fs.table / name)
        make(fs.table / name)
        os.lstat(fs.table / name)


def test_readdir_after_every_change_is_current(fs):
    expected = set()
    for n in range(50):
        (fs.table / f"f{n}").touch()
        expected.add(f"f{n}")
        if n % 3 == 0:
            os.unlink(fs.table / f"f{n}")
            expected.discard(f"f{n}")
        if n % 7 == 0 and f"f{n - 1}" in expected:
            os.rename(fs.table / f"f{n - 1}", fs.table / f"r{n}")
            expected.discard(f"f{n - 1}")
            expected.add(f"r{n}")
        assert set(os.listdir(fs.table)) == expected


def test_xattrs_read_before_are_current_after_a_change(fs, file):
    for value in (b"1", b"22", b"333"):
        os.setxattr(file, "user.a", value)
        assert os.getxattr(file, "user.a") == value
    fs.checkpoint("c")
    os.setxattr(file, "user.a", b"after")
    assert os.getxattr(file, "user.a") == b"after"
    assert os.getxattr(fs.checkpoints / "c/t/x", "user.a") == b"333"


def test_the_record_count_of_status_is_current(fs):
    status = fs.path / ".mnefs/status"
    before = status.read_text()
    (fs.table / "one").touch()
    fs.checkpoint("c")
    after = status.read_text()
    assert before != after


def test_a_remounted_store_shows_nothing_of_the_old_mount(mount):
    for n in range(5):
        with mount() as m:
            m.table.mkdir(exist_ok=True)
            (m.table / "f").write_text(str(n))
            subprocess.run(["cat", m.table / "f"], check=True, stdout=subprocess.DEVNULL)
            if n:
                m.drop("c")
            m.checkpoint("c")
            assert (m.checkpoints / "c/t/f").read_text() == str(n)
