# SPDX-License-Identifier: Apache-2.0
#
# test_posix_names.py - names: rename, link, unlink, symlink, mkdir, what a name may be

import errno
import os

import pytest

from harness import RENAME_EXCHANGE, RENAME_NOREPLACE, fails, renameat2

BYTES = [bytes([b]) for b in range(1, 256) if b not in b"/." ]


# --- what a name may be ----------------------------------------------------------------


def test_every_byte_but_slash_and_nul_may_be_in_a_name(d):
    top = os.fsencode(d)
    for b in BYTES:
        with open(top + b"/" + b, "wb") as file:
            file.write(b * 3)
    assert sorted(os.listdir(top)) == sorted(BYTES)
    for b in BYTES:
        with open(top + b"/" + b, "rb") as file:
            assert file.read() == b * 3
        os.unlink(top + b"/" + b)
    assert os.listdir(top) == []


@pytest.mark.parametrize(
    "name",
    [
        b"\xff\xfe\x80 not utf-8",
        "日本語".encode(),
        "é".encode(),
        b"e\xcc\x81",
        b" ",
        b"  leading and trailing  ",
        b"-rf",
        b"*",
        b"...",
        b"..x",
        b".hidden",
        b"back\\slash",
        b"new\nline",
        b"tab\t",
        b"%2F",
        b"%",
        b"0001",
        b"a:b",
        b"x" * 255,
        b"\xff" * 255,
        b"\x01" * 255,
    ],
)
def test_this_name_works_for_files_directories_and_links(d, name):
    top = os.fsencode(d)
    path = top + b"/" + name
    with open(path, "wb") as file:
        file.write(b"1")
    assert os.listdir(top) == [name]
    os.unlink(path)
    os.mkdir(path)
    with open(path + b"/" + name, "wb") as file:
        file.write(b"2")
    assert os.listdir(path) == [name]
    os.rename(path + b"/" + name, top + b"/other")
    os.rename(top + b"/other", path + b"/" + name)
    os.unlink(path + b"/" + name)
    os.rmdir(path)
    os.symlink(name, path)
    assert os.readlink(path) == name
    os.unlink(path)
    assert os.listdir(top) == []


def test_names_differ_by_case_and_by_normal_form(d):
    names = ["a", "A", "é", "e\u0301"]
    for name in names:
        (d / name).write_text(name)
    assert sorted(os.listdir(d)) == sorted(names)
    assert [(d / name).read_text() for name in names] == names


@pytest.mark.parametrize("letter", [b"x", b"\xff", b"\x01"])
def test_a_name_of_256_bytes_is_too_long_everywhere(d, letter):
    top = os.fsencode(d)
    (d / "f").touch()
    long = top + b"/" + letter * 256
    tries = [
        lambda: os.open(long, os.O_CREAT | os.O_WRONLY),
        lambda: os.stat(long),
        lambda: os.mkdir(long),
        lambda: os.symlink("x", long),
        lambda: os.link(top + b"/f", long),
        lambda: os.rename(top + b"/f", long),
        lambda: os.mkfifo(long),
        lambda: os.unlink(long),
        lambda: os.rmdir(long),
    ]
    for attempt in tries:
        with fails(errno.ENAMETOOLONG):
            attempt()
    assert os.listdir(d) == ["f"]


# --- rename ----------------------------------------------------------------------------


def test_rename_moves_a_file_and_keeps_its_inode(d):
    (d / "a").write_bytes(b"x" * 5000)
    before = (d / "a").stat()
    os.rename(d / "a", d / "b")
    after = (d / "b").stat()
    assert (after.st_ino, after.st_size) == (before.st_ino, before.st_size)
    assert after.st_mtime_ns == before.st_mtime_ns
    assert os.listdir(d) == ["b"]
    with fails(errno.ENOENT):
        os.stat(d / "a")


def test_rename_replaces_a_file(d):
    (d / "a").write_text("a")
    (d / "b").write_text("b")
    os.rename(d / "a", d / "b")
    assert (d / "b").read_text() == "a"
    assert os.listdir(d) == ["b"]


def test_rename_to_itself_or_another_name_of_the_same_file_does_nothing(d):
    (d / "a").write_text("a")
    os.link(d / "a", d / "b")
    os.rename(d / "a", d / "a")
    os.rename(d / "a", d / "b")
    assert sorted(os.listdir(d)) == ["a", "b"]
    assert (d / "a").stat().st_nlink == 2


def test_renaming_what_is_missing_is_enoent(d):
    with fails(errno.ENOENT):
        os.rename(d / "a", d / "b")
    (d / "a").touch()
    with fails(errno.ENOENT):
        os.rename(d / "a", d / "no" / "b")


def test_rename_between_directories_moves_the_nlink_of_the_parents(d):
    for name in ("one", "two", "one/sub"):
        (d / name).mkdir()
    (d / "one/sub/f").write_text("x")
    os.rename(d / "one/sub", d / "two/sub")
    assert (d / "two/sub/f").read_text() == "x"
    assert os.listdir(d / "one") == []
    assert ((d / "one").stat().st_nlink, (d / "two").stat().st_nlink) == (2, 3)
    fd = os.open(d / "two/sub", os.O_RDONLY)
    assert os.stat("..", dir_fd=fd).st_ino == (d / "two").stat().st_ino
    os.close(fd)


def test_a_directory_replaces_an_empty_directory_only(d):
    for name in ("a", "empty", "full"):
        (d / name).mkdir()
    (d / "full/f").touch()
    (d / "a/x").touch()
    with fails(errno.ENOTEMPTY, errno.EEXIST):
        os.rename(d / "a", d / "full")
    os.rename(d / "a", d / "empty")
    assert os.listdir(d / "empty") == ["x"]
    assert sorted(os.listdir(d)) == ["empty", "full"]


def test_a_directory_and_a_file_do_not_replace_each_other(d):
    (d / "dir").mkdir()
    (d / "file").touch()
    with fails(errno.EISDIR):
        os.rename(d / "file", d / "dir")
    with fails(errno.ENOTDIR):
        os.rename(d / "dir", d / "file")


def test_a_directory_cannot_move_into_itself(d):
    (d / "a/b/c").mkdir(parents=True)
    for target in ("a/x", "a/b/x", "a/b/c/x"):
        with fails(errno.EINVAL):
            os.rename(d / "a", d / target)
    with fails(errno.ENOTEMPTY, errno.EEXIST):
        os.rename(d / "a/b", d / "a")


def test_noreplace_refuses_what_exists_and_moves_otherwise(d):
    (d / "a").write_text("a")
    (d / "b").write_text("b")
    with fails(errno.EEXIST):
        renameat2(d / "a", d / "b", RENAME_NOREPLACE)
    assert (d / "b").read_text() == "b"
    renameat2(d / "a", d / "c", RENAME_NOREPLACE)
    assert sorted(os.listdir(d)) == ["b", "c"]


@pytest.mark.parametrize("kinds", ["ff", "fd", "df", "dd", "fl"])
def test_exchange_swaps_two_names(d, kinds):
    (d / "sub").mkdir()
    paths = [d / "a", d / "sub" / "b"]
    for path, kind in zip(paths, kinds):
        if kind == "f":
            path.write_text(path.name)
        elif kind == "l":
            path.symlink_to("nowhere")
        else:
            path.mkdir()
            (path / path.name).touch()
    inodes = [os.lstat(path).st_ino for path in paths]
    renameat2(*paths, RENAME_EXCHANGE)
    assert [os.lstat(path).st_ino for path in paths] == inodes[::-1]
    nlinks = [2 + sum(os.path.isdir(x) and not os.path.islink(x) for x in place.iterdir())
              for place in (d, d / "sub")]
    assert [d.stat().st_nlink, (d / "sub").stat().st_nlink] == nlinks
    renameat2(*paths, RENAME_EXCHANGE)
    assert [os.lstat(path).st_ino for path in paths] == inodes


def test_exchange_with_what_is_missing_is_enoent(d):
    (d / "a").touch()
    with fails(errno.ENOENT):
        renameat2(d / "a", d / "b", RENAME_EXCHANGE)
    with fails(errno.EINVAL):
        renameat2(d / "a", d / "b", RENAME_EXCHANGE | RENAME_NOREPLACE)


def test_exchange_cannot_put_a_directory_into_itself(d):
    (d / "a/b").mkdir(parents=True)
    with fails(errno.EINVAL):
        renameat2(d / "a", d / "a/b", RENAME_EXCHANGE)


def test_rename_updates_times_of_both_parents(d):
    (d / "one").mkdir()
    (d / "two").mkdir()
    (d / "one/f").touch()
    for name in ("one", "two"):
        os.utime(d / name, ns=(1, 1))
    os.rename(d / "one/f", d / "two/f")
    assert (d / "one").stat().st_mtime_ns > 1
    assert (d / "two").stat().st_mtime_ns > 1


# --- links -----------------------------------------------------------------------------


def test_hard_links_are_one_file(d):
    (d / "sub").mkdir()
    (d / "a").write_text("one")
    os.link(d / "a", d / "b")
    os.link(d / "a", d / "sub/c")
    infos = [(d / name).stat() for name in ("a", "b", "sub/c")]
    assert {info.st_ino for info in infos} == {infos[0].st_ino}
    assert {info.st_nlink for info in infos} == {3}
    (d / "sub/c").write_text("two two")
    assert (d / "a").read_text() == "two two"
    (d / "b").chmod(0o600)
    assert (d / "a").stat().st_mode & 0o777 == 0o600
    os.unlink(d / "a")
    assert (d / "b").stat().st_nlink == 2
    os.unlink(d / "b")
    assert (d / "sub/c").read_text() == "two two"
    assert (d / "sub/c").stat().st_nlink == 1
    os.unlink(d / "sub/c")


def test_replacing_one_name_of_a_hard_link_lowers_its_nlink(d):
    (d / "a").write_text("a")
    os.link(d / "a", d / "b")
    (d / "c").write_text("c")
    os.rename(d / "c", d / "b")
    assert (d / "a").stat().st_nlink == 1
    assert (d / "b").read_text() == "c"


def test_link_refuses_directories_and_taken_names(d):
    (d / "sub").mkdir()
    (d / "f").touch()
    with fails(errno.EPERM):
        os.link(d / "sub", d / "sub2")
    with fails(errno.EEXIST):
        os.link(d / "f", d / "sub")
    with fails(errno.ENOENT):
        os.link(d / "missing", d / "x")


def test_symlinks_can_have_hard_links(d):
    (d / "s").symlink_to("target")
    os.link(d / "s", d / "s2", follow_symlinks=False)
    assert os.readlink(d / "s2") == "target"
    assert os.lstat(d / "s").st_nlink == 2


def test_a_thousand_hard_links_work(d):
    (d / "0").write_text("x")
    for n in range(1, 1000):
        os.link(d / "0", d / str(n))
    assert (d / "500").stat().st_nlink == 1000
    for n in range(0, 1000, 2):
        os.unlink(d / str(n))
    assert (d / "501").stat().st_nlink == 500
    assert (d / "501").read_text() == "x"


@pytest.mark.parametrize("length", [1, 10, 255, 256, 1023, 1024, 4094, 4095])
def test_symlink_targets_up_to_4095_bytes(d, length):
    target = "x" * length
    (d / "s").symlink_to(target)
    assert os.readlink(d / "s") == target
    assert os.lstat(d / "s").st_size == length


def test_a_symlink_target_of_4096_bytes_is_too_long(d):
    with fails(errno.ENAMETOOLONG):
        (d / "s").symlink_to("x" * 4096)
    assert os.listdir(d) == []


def test_an_empty_symlink_target_is_enoent(d):
    with fails(errno.ENOENT):
        os.symlink("", d / "s")


def test_symlinks_resolve_dangle_and_loop(d):
    (d / "f").write_text("x")
    (d / "to-f").symlink_to("f")
    (d / "dangling").symlink_to("nowhere")
    (d / "loop").symlink_to("loop")
    os.symlink(b"\xff\xfe", os.fsencode(d / "bytes"))
    assert (d / "to-f").read_text() == "x"
    with fails(errno.ENOENT):
        (d / "dangling").read_text()
    with fails(errno.ELOOP):
        (d / "loop").read_text()
    with fails(errno.EINVAL):
        os.readlink(d / "f")
    assert os.readlink(os.fsencode(d / "bytes")) == b"\xff\xfe"


# --- directories -----------------------------------------------------------------------


def test_unlink_and_rmdir_know_what_they_remove(d):
    (d / "sub").mkdir()
    (d / "f").touch()
    with fails(errno.EISDIR):
        os.unlink(d / "sub")
    with fails(errno.ENOTDIR):
        os.rmdir(d / "f")
    with fails(errno.ENOENT):
        os.unlink(d / "x")
    with fails(errno.ENOENT):
        os.rmdir(d / "x")


def test_rmdir_of_a_full_directory_is_enotempty(d):
    (d / "sub/deep").mkdir(parents=True)
    with fails(errno.ENOTEMPTY):
        os.rmdir(d / "sub")
    os.rmdir(d / "sub/deep")
    os.rmdir(d / "sub")
    assert os.listdir(d) == []


def test_mkdir_of_what_exists_is_eexist(d):
    (d / "sub").mkdir()
    (d / "f").touch()
    for name in ("sub", "f"):
        with fails(errno.EEXIST):
            os.mkdir(d / name)


def test_nlink_of_a_directory_counts_its_subdirectories(d):
    (d / "sub").mkdir()
    assert (d / "sub").stat().st_nlink == 2
    for n in range(3):
        (d / "sub" / str(n)).mkdir()
    (d / "sub/file").touch()
    assert (d / "sub").stat().st_nlink == 5
    os.rmdir(d / "sub/1")
    assert (d / "sub").stat().st_nlink == 4


def test_a_removed_directory_that_is_open_is_empty_and_takes_nothing(d):
    (d / "sub").mkdir()
    fd = os.open(d / "sub", os.O_RDONLY)
    os.rmdir(d / "sub")
    assert os.listdir(fd) == []
    with fails(errno.ENOENT):
        os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    with fails(errno.ENOENT):
        os.mkdir("x", dir_fd=fd)
    assert os.fstat(fd).st_nlink == 0
    os.close(fd)


def test_a_chain_of_directories_a_hundred_deep_works(d):
    path = os.fsencode(d)
    for _ in range(100):
        path += b"/deeper"
        os.mkdir(path)
    with open(path + b"/f", "wb") as file:
        file.write(b"down here")
    os.rename(d / "deeper", d / "renamed")
    path = path.replace(b"deeper", b"renamed", 1)
    with open(path + b"/f", "rb") as file:
        assert file.read() == b"down here"


def test_dot_and_dotdot_are_where_they_should_be(d):
    (d / "sub").mkdir()
    names = {entry.decode(): None for entry in _raw_names(d / "sub")}
    assert set(names) == {".", ".."}
    assert os.stat(d / "sub" / "..").st_ino == d.stat().st_ino
    assert os.stat(d / "sub" / ".").st_ino == (d / "sub").stat().st_ino


def _raw_names(path):
    import ctypes

    from harness import libc

    handle = ctypes.c_void_p(libc.opendir(os.fsencode(path)))
    try:
        while entry := libc.readdir64(handle):
            yield bytes(entry.contents.d_name)
    finally:
        libc.closedir(handle)
