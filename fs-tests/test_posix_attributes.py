# SPDX-License-Identifier: Apache-2.0
#
# test_posix_attributes.py - what a file has beside its bytes: xattrs, times, modes, owners

import errno
import os
import socket
import stat
import subprocess
import time

import pytest

from harness import REFERENCE, fails

# ext4 keeps all xattrs of a file in one block; the promise here is 64 KiB a value.
SIZES = [0, 1, 100, 3000] if REFERENCE else [0, 1, 100, 3000, 4096, 40000, 65536]
SPACES = [
    "user",
    pytest.param("trusted", marks=pytest.mark.root),
    pytest.param("security", marks=pytest.mark.root),
]


@pytest.fixture(params=["file", "directory", "hard link"])
def thing(request, d):
    """What can have attributes."""
    path = d / "thing"
    if request.param == "directory":
        path.mkdir()
    else:
        path.write_bytes(b"content")
    if request.param == "hard link":
        os.link(path, d / "other name")
    return path


# --- xattrs ----------------------------------------------------------------------------


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("size", SIZES)
def test_an_xattr_of_this_size_is_kept(thing, space, size):
    value = os.urandom(size)
    os.setxattr(thing, f"{space}.name", value)
    assert os.getxattr(thing, f"{space}.name") == value
    assert f"{space}.name" in os.listxattr(thing)
    os.removexattr(thing, f"{space}.name")
    assert f"{space}.name" not in os.listxattr(thing)


def test_an_xattr_above_64_kib_is_refused(thing):
    with fails(errno.E2BIG, errno.ENOSPC):
        os.setxattr(thing, "user.big", bytes(65537))
    assert os.listxattr(thing) == []


def test_many_xattrs_are_listed_and_kept_apart(thing):
    names = [f"user.n{n}" for n in range(100)]
    for name in names:
        os.setxattr(thing, name, name.encode())
    assert sorted(os.listxattr(thing)) == sorted(names)
    for name in names:
        assert os.getxattr(thing, name) == name.encode()
    for name in names[::2]:
        os.removexattr(thing, name)
    assert sorted(os.listxattr(thing)) == sorted(names[1::2])


@pytest.mark.skipif(bool(REFERENCE), reason="other filesystems have other limits")
def test_the_xattrs_of_a_file_have_a_limit_together(thing, fs):
    """A file goes in one batch, and what a checkpoint keeps of it too: so they are bounded."""
    value, kept = os.urandom(65536), 0
    with fails(errno.ENOSPC):
        for kept in range(100):
            os.setxattr(thing, f"user.{kept:03}", value)
    assert kept == 63  # with their names they would be more than 4 MiB
    assert "up to 4 MiB" in (fs.path / ".mnefs/log").read_text()
    assert len(os.listxattr(thing)) == kept
    os.setxattr(thing, "user.000", b"small")  # in place of a big one: there is room
    os.setxattr(thing, "user.063", value)
    at = fs.checkpoint("c")
    if thing.is_dir():
        thing.rmdir()
    else:
        thing.unlink()
    past = at / thing.relative_to(fs.path)
    if not (thing.parent / "other name").exists():
        assert os.getxattr(past, "user.063") == value
        assert len(os.listxattr(past)) == kept + 1


@pytest.mark.skipif(bool(REFERENCE), reason="other filesystems have other limits")
def test_as_many_xattrs_as_can_be_set_can_be_listed(thing):
    """The kernel hands out 64 KiB of names: no file gets more."""
    made = []
    with fails(errno.ENOSPC):
        for i in range(1000):
            made.append("user." + f"{i:03}".ljust(240, "n"))
            os.setxattr(thing, made[-1], b"x")
    made.pop()
    assert len(made) == 65536 // 246
    assert sorted(os.listxattr(thing)) == sorted(made)
    for name in made[:10]:
        os.removexattr(thing, name)
    os.setxattr(thing, "user." + "m" * 240, b"x")


def test_xattrs_are_replaced_by_any_size(thing):
    for size in [10, 3000, 0, 2000, 5]:
        os.setxattr(thing, "user.a", b"x" * size)
        assert os.getxattr(thing, "user.a") == b"x" * size


def test_xattr_create_and_replace_flags(thing):
    with fails(errno.ENODATA):
        os.setxattr(thing, "user.a", b"1", os.XATTR_REPLACE)
    os.setxattr(thing, "user.a", b"1", os.XATTR_CREATE)
    with fails(errno.EEXIST):
        os.setxattr(thing, "user.a", b"2", os.XATTR_CREATE)
    os.setxattr(thing, "user.a", b"3", os.XATTR_REPLACE)
    assert os.getxattr(thing, "user.a") == b"3"


def test_a_missing_xattr_is_enodata(thing):
    with fails(errno.ENODATA):
        os.getxattr(thing, "user.none")
    with fails(errno.ENODATA):
        os.removexattr(thing, "user.none")


def test_a_small_buffer_is_erange_and_no_buffer_asks_for_the_size(thing):
    import ctypes

    from harness import _checked, libc

    os.setxattr(thing, "user.a", b"12345")
    path, buffer = os.fsencode(thing), ctypes.create_string_buffer(100)
    assert libc.getxattr(path, b"user.a", None, 0) == 5
    assert libc.getxattr(path, b"user.a", buffer, 5) == 5
    with fails(errno.ERANGE):
        _checked(libc.getxattr(path, b"user.a", buffer, 4))
    assert libc.listxattr(path, None, 0) == 7
    with fails(errno.ERANGE):
        _checked(libc.listxattr(path, buffer, 6))


def test_xattr_names_of_255_bytes_work_and_256_do_not(thing):
    name = "user." + "n" * 250
    os.setxattr(thing, name, b"x")
    assert os.listxattr(thing) == [name]
    with fails(errno.ERANGE, errno.ENAMETOOLONG):
        os.setxattr(thing, name + "n", b"x")


def test_user_xattrs_of_a_symlink_are_refused(d):
    (d / "s").symlink_to("x")
    with fails(errno.EPERM, errno.EOPNOTSUPP):
        os.setxattr(d / "s", "user.a", b"1", follow_symlinks=False)


def test_an_unknown_name_space_is_refused(thing):
    with fails(errno.EOPNOTSUPP, errno.EPERM):
        os.setxattr(thing, "nothing.a", b"1")


def test_xattrs_move_with_their_file(d):
    (d / "a").write_text("x")
    os.setxattr(d / "a", "user.color", b"red")
    os.rename(d / "a", d / "b")
    assert os.getxattr(d / "b", "user.color") == b"red"
    (d / "a").write_text("y")
    assert os.listxattr(d / "a") == []
    os.unlink(d / "b")
    (d / "b").write_text("z")
    assert os.listxattr(d / "b") == []


def test_xattrs_are_set_through_a_descriptor_of_an_unlinked_file(d):
    fd = os.open(d / "f", os.O_RDWR | os.O_CREAT)
    os.unlink(d / "f")
    os.setxattr(fd, "user.a", b"1")
    assert os.getxattr(fd, "user.a") == b"1"
    os.close(fd)


def test_setfattr_and_getfattr_work(d):
    (d / "f").touch()
    subprocess.run(["setfattr", "-n", "user.city", "-v", "Oslo", "f"], cwd=d, check=True)
    done = subprocess.run(
        ["getfattr", "-d", "f"], cwd=d, capture_output=True, text=True, check=True
    )
    assert 'user.city="Oslo"' in done.stdout


# --- times -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "when",
    [0, 1, 999999999, 1_234_567_890_123_456_789, (1 << 32) * 10**9 + 5, -1_500_000_000],
)
def test_times_are_kept_to_the_nanosecond(thing, when):
    os.utime(thing, ns=(when, when + 7))
    info = thing.stat()
    assert (info.st_atime_ns, info.st_mtime_ns) == (when, when + 7)


def test_one_time_can_be_set_alone_and_the_other_stays(d):
    (d / "f").touch()
    os.utime(d / "f", ns=(10**18 + 1, 10**18 + 2))
    subprocess.run(["touch", "-m", "-d", "@5.000000006", "f"], cwd=d, check=True)
    info = (d / "f").stat()
    assert (info.st_atime_ns, info.st_mtime_ns) == (10**18 + 1, 5_000_000_006)


def test_times_of_a_symlink_are_its_own(d):
    (d / "f").touch()
    (d / "s").symlink_to("f")
    os.utime(d / "s", ns=(11, 12), follow_symlinks=False)
    assert os.lstat(d / "s").st_mtime_ns == 12
    assert (d / "f").stat().st_mtime_ns != 12


def test_writing_changes_mtime_and_ctime_but_reading_does_not(d):
    (d / "f").write_text("x")
    os.utime(d / "f", ns=(1000, 1000))
    (d / "f").read_text()
    assert (d / "f").stat().st_mtime_ns == 1000
    before = (d / "f").stat().st_ctime_ns
    time.sleep(0.02)
    with open(d / "f", "a") as file:
        file.write("y")
    info = (d / "f").stat()
    assert info.st_mtime_ns > 1000
    assert info.st_ctime_ns > before


def test_a_set_mtime_survives_the_close_of_the_writer(d):
    with open(d / "f", "wb") as file:
        file.write(b"x" * 10000)
        file.flush()
        os.utime(file.fileno(), ns=(5, 6))
    assert (d / "f").stat().st_mtime_ns == 6


def test_chmod_link_and_rename_change_ctime_and_not_mtime(d):
    (d / "f").touch()
    mtime = (d / "f").stat().st_mtime_ns

    def chmod():
        os.chmod(d / "f", 0o600)

    def link():
        os.link(d / "f", d / "g")

    def unlink():
        os.unlink(d / "g")

    for change in (chmod, link, unlink):
        before = (d / "f").stat().st_ctime_ns
        time.sleep(0.02)
        change()
        info = (d / "f").stat()
        assert info.st_ctime_ns > before, change
        assert info.st_mtime_ns == mtime


def test_making_and_removing_entries_changes_the_times_of_the_directory(d):
    def make():
        (d / "f").touch()

    def remove():
        (d / "f").unlink()

    def mkdir():
        (d / "sub").mkdir()

    for change in (make, remove, mkdir):
        os.utime(d, ns=(1, 1))
        before = d.stat().st_ctime_ns
        time.sleep(0.02)
        change()
        assert d.stat().st_mtime_ns > 1, change
        assert d.stat().st_ctime_ns > before, change


def test_truncating_to_the_same_size_changes_mtime(d):
    (d / "f").write_text("12345")
    os.utime(d / "f", ns=(1, 1))
    os.truncate(d / "f", 5)
    assert (d / "f").stat().st_mtime_ns > 1


# --- modes and owners ------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0, 0o400, 0o644, 0o777, 0o1777, 0o2755, 0o4755, 0o7777])
def test_chmod_sets_every_bit(thing, mode):
    thing.chmod(mode)
    assert thing.stat().st_mode & 0o7777 == mode
    thing.chmod(0o755)


@pytest.mark.root
def test_chown_sets_owner_and_group_or_leaves_one(thing):
    os.chown(thing, 1234, 5678)
    assert (thing.stat().st_uid, thing.stat().st_gid) == (1234, 5678)
    os.chown(thing, 4_000_000_000, -1)
    assert (thing.stat().st_uid, thing.stat().st_gid) == (4_000_000_000, 5678)
    os.chown(thing, -1, 9)
    assert (thing.stat().st_uid, thing.stat().st_gid) == (4_000_000_000, 9)


@pytest.mark.root
def test_symlinks_can_be_chowned(d):
    (d / "s").symlink_to("nowhere")
    os.lchown(d / "s", 1, 2)
    info = os.lstat(d / "s")
    assert (info.st_uid, info.st_gid) == (1, 2)


@pytest.mark.root
def test_a_setgid_directory_hands_down_its_group(d):
    (d / "sub").mkdir()
    os.chown(d / "sub", 0, 4321)
    (d / "sub").chmod(0o2775)
    (d / "sub/f").touch()
    (d / "sub/deeper").mkdir()
    (d / "sub/s").symlink_to("x")
    assert (d / "sub/f").stat().st_gid == 4321
    assert os.lstat(d / "sub/s").st_gid == 4321
    assert (d / "sub/deeper").stat().st_gid == 4321
    assert (d / "sub/deeper").stat().st_mode & stat.S_ISGID
    assert not (d / "sub/f").stat().st_mode & stat.S_ISGID


@pytest.mark.root
def test_chown_clears_setuid_of_a_program(d):
    (d / "f").touch()
    (d / "f").chmod(0o6755)
    os.chown(d / "f", 100, 100)
    assert (d / "f").stat().st_mode & 0o7777 == 0o755


@pytest.mark.parametrize("make", ["fifo", "socket"])
def test_fifos_and_sockets_can_be_made(d, make):
    path = d / "special"
    if make == "fifo":
        os.mkfifo(path, 0o640)
        assert stat.S_ISFIFO(path.stat().st_mode)
        assert path.stat().st_mode & 0o777 == 0o640
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(path, os.O_WRONLY)
        os.write(writer, b"through")
        assert os.read(reader, 10) == b"through"
        os.close(reader)
        os.close(writer)
    else:
        old = os.getcwd()
        os.chdir(d)
        try:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind("special")
                server.listen()
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect("special")
        finally:
            os.chdir(old)
        assert stat.S_ISSOCK(path.stat().st_mode)
    os.rename(path, d / "moved")
    os.unlink(d / "moved")


@pytest.mark.root
def test_device_nodes_keep_their_numbers(d):
    for kind, device in ((stat.S_IFCHR, os.makedev(1, 3)), (stat.S_IFBLK, os.makedev(259, 70000))):
        path = d / str(kind)
        os.mknod(path, kind | 0o600, device)
        info = path.stat()
        assert stat.S_IFMT(info.st_mode) == kind
        assert info.st_rdev == device


def test_mknod_makes_an_ordinary_file_too(d):
    os.mknod(d / "f", stat.S_IFREG | 0o600)
    (d / "f").write_text("x")
    assert (d / "f").read_text() == "x"


def test_statfs_tells_of_space_and_names(d):
    info = os.statvfs(d)
    assert info.f_namemax == 255
    assert info.f_bsize >= 512
    assert 0 < info.f_bavail <= info.f_blocks
    subprocess.run(["df", "."], cwd=d, check=True, capture_output=True)


def test_inode_numbers_differ_and_stay(d):
    (d / "a").touch()
    (d / "b").touch()
    (d / "sub").mkdir()
    numbers = [(d / name).stat().st_ino for name in ("a", "b", "sub")] + [d.stat().st_ino]
    assert len(set(numbers)) == 4
    (d / "a").write_text("changed")
    os.rename(d / "a", d / "sub/a")
    assert (d / "sub/a").stat().st_ino == numbers[0]
    by_readdir = {entry.name: entry.inode() for entry in os.scandir(d)}
    assert by_readdir == {"b": numbers[1], "sub": numbers[2]}


def test_readdir_knows_types(d):
    (d / "file").touch()
    (d / "dir").mkdir()
    (d / "link").symlink_to("x")
    os.mkfifo(d / "fifo")
    with os.scandir(d) as entries:
        kinds = {
            e.name: (
                e.is_file(follow_symlinks=False),
                e.is_dir(follow_symlinks=False),
                e.is_symlink(),
            )
            for e in entries
        }
    assert kinds == {
        "file": (True, False, False),
        "dir": (False, True, False),
        "link": (False, False, True),
        "fifo": (False, False, False),
    }
