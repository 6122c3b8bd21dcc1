# SPDX-License-Identifier: Apache-2.0
#
# test_tables.py - tables: the directories of the root, and what checkpoints keep of them

import errno
import os

import pytest

from harness import RENAME_EXCHANGE, RENAME_NOREPLACE, fails, renameat2, tree


def test_mkdir_creates_a_table_and_rmdir_drops_an_empty_one(fs):
    (fs.path / "users").mkdir(0o750)
    assert (fs.path / "users").stat().st_mode == 0o040750
    assert sorted(os.listdir(fs.path)) == ["t", "users"]
    (fs.path / "users").rmdir()
    assert os.listdir(fs.path) == ["t"]


def test_a_table_that_is_not_empty_is_not_dropped(fs):
    for make in (lambda p: p.touch(), lambda p: p.mkdir(), lambda p: p.symlink_to("x")):
        make(fs.table / "x")
        with fails(errno.ENOTEMPTY):
            fs.table.rmdir()
        os.rename(fs.table / "x", fs.table / "y")
        if os.path.isdir(fs.table / "y"):
            os.rmdir(fs.table / "y")
        else:
            os.unlink(fs.table / "y")
    fs.table.rmdir()


def test_a_table_name_is_taken_once(fs):
    with fails(errno.EEXIST):
        fs.table.mkdir()
    with fails(errno.ENOENT):
        (fs.path / "missing").rmdir()


@pytest.mark.parametrize("name", ["日本語", "a b", "-rf", "...", "x" * 255, "new\nline", "a:b"])
def test_a_table_can_have_this_name(mount, name):
    with mount() as m:
        (m.path / name).mkdir()
        (m.path / name / "f").write_text("x")
        m.checkpoint("c")
        assert os.listdir(m.path) == [name]
    with mount() as m:
        assert (m.path / name / "f").read_text() == "x"
        assert (m.checkpoints / "c" / name / "f").read_text() == "x"


def test_a_table_name_of_256_bytes_is_too_long(fs):
    with fails(errno.ENAMETOOLONG):
        (fs.path / ("x" * 256)).mkdir()


def test_table_names_may_be_any_bytes(mount):
    with mount() as m:
        os.mkdir(os.fsencode(m.path) + b"/\xff\xfe")
        assert os.listdir(os.fsencode(m.path)) == [b"\xff\xfe"]


def test_mv_renames_a_table_with_everything_in_it(fs):
    (fs.table / "dir").mkdir()
    (fs.table / "dir/f").write_text("x")
    number = fs.table.stat().st_ino
    os.rename(fs.table, fs.path / "renamed")
    assert os.listdir(fs.path) == ["renamed"]
    assert (fs.path / "renamed/dir/f").read_text() == "x"
    assert (fs.path / "renamed").stat().st_ino == number
    with fails(errno.ENOENT):
        fs.table.stat()


def test_a_table_does_not_replace_a_full_one(fs):
    (fs.path / "other").mkdir()
    (fs.table / "f").write_text("x")
    with fails(errno.ENOTEMPTY, errno.EEXIST):
        os.rename(fs.path / "other", fs.table)
    with fails(errno.EEXIST):
        renameat2(fs.table, fs.path / "other", RENAME_NOREPLACE)
    assert (fs.table / "f").read_text() == "x"


def test_tables_can_be_exchanged_or_say_that_they_cannot(fs):
    (fs.path / "other").mkdir()
    (fs.table / "f").touch()
    try:
        renameat2(fs.table, fs.path / "other", RENAME_EXCHANGE)
    except OSError as error:
        assert error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM)
        assert os.listdir(fs.table) == ["f"]
    else:
        assert os.listdir(fs.path / "other") == ["f"]


def test_tables_keep_their_mode_owner_and_times_over_remount(mount):
    with mount() as m:
        m.table.mkdir()
        m.table.chmod(0o711)
        os.utime(m.table, ns=(5, 6))
        os.setxattr(m.table, "user.a", b"1")
        number = m.table.stat().st_ino
    with mount() as m:
        info = m.table.stat()
        assert info.st_mode & 0o7777 == 0o711
        assert info.st_mtime_ns == 6
        assert info.st_ino == number
        assert os.getxattr(m.table, "user.a") == b"1"


def test_a_table_made_again_is_another_one(fs):
    (fs.table / "f").write_text("old")
    fs.checkpoint("c")
    (fs.table / "f").unlink()
    number = fs.table.stat().st_ino
    fs.table.rmdir()
    fs.table.mkdir()
    assert fs.table.stat().st_ino != number
    (fs.table / "f").write_text("new")
    assert (fs.checkpoints / "c/t/f").read_text() == "old"
    with fails(errno.ENOENT):
        os.stat(fs.table / ".checkpoints/c")


def test_many_tables_are_listed(fs):
    names = [f"table-{n:03d}" for n in range(300)]
    for name in names:
        (fs.path / name).mkdir()
    assert sorted(os.listdir(fs.path)) == ["t", *names]


def test_a_checkpoint_of_the_root_shows_the_tables_of_that_moment(fs):
    (fs.path / "dropped").mkdir()
    (fs.path / "renamed").mkdir()
    (fs.path / "renamed/f").write_text("x")
    top = fs.checkpoint("c")
    (fs.path / "dropped").rmdir()
    (fs.path / "later").mkdir()
    os.rename(fs.path / "renamed", fs.path / "new name")
    assert sorted(os.listdir(top)) == ["dropped", "renamed", "t"]
    assert (top / "renamed/f").read_text() == "x"
    assert (fs.path / "new name/.checkpoints/c/f").read_text() == "x"


def test_dropping_a_table_leaves_checkpoints_intact(mount, check):
    """C8."""
    with mount() as m:
        m.table.mkdir()
        for n in range(100):
            (m.table / str(n)).write_bytes(str(n).encode() * 1000)
        before = tree(m.table)
        m.checkpoint("c")
        for n in range(100):
            (m.table / str(n)).unlink()
        m.table.rmdir()
        assert tree(m.checkpoints / "c/t") == before
    with mount() as m:
        assert os.listdir(m.path) == []
        assert tree(m.checkpoints / "c/t") == before
        m.drop("c")
    check()


def test_everything_is_there_after_remount(mount, check):
    with mount() as m:
        m.table.mkdir()
        (m.table / "a/b").mkdir(parents=True)
        (m.table / "a/b/f").write_bytes(os.urandom(300000))
        (m.table / "small").write_text("x")
        os.link(m.table / "small", m.table / "a/link")
        (m.table / "s").symlink_to("a/b")
        os.mkfifo(m.table / "fifo")
        os.setxattr(m.table / "small", "user.big", os.urandom(30000))
        before = tree(m.table, times=True, modes=True)
        value = os.getxattr(m.table / "small", "user.big")
        number = (m.table / "small").stat().st_ino
    for _ in range(2):
        check()
        with mount() as m:
            assert tree(m.table, times=True, modes=True) == before
            assert os.getxattr(m.table / "a/link", "user.big") == value
            assert (m.table / "a/link").stat().st_ino == number
            assert (m.table / "small").stat().st_nlink == 2
