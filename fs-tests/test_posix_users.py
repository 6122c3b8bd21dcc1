# SPDX-License-Identifier: Apache-2.0
#
# test_posix_users.py - who may do what; run as nobody in a child

import errno
import os
import stat
import subprocess

import pytest

from harness import NOBODY, as_nobody, fails, in_child

pytestmark = pytest.mark.root


def mode_of(path):
    """Asks for the mode alone, so that the kernel may say what it believes."""
    return subprocess.check_output(["stat", "-c", "%a", path], text=True).strip()


@pytest.fixture(params=["table", "directory"])
def d(request, open_fs):
    top = open_fs.table
    if request.param == "directory":
        top = top / "dir"
        top.mkdir()
    top.chmod(0o777)
    return top


def test_what_an_ordinary_user_makes_is_his(d):
    def work():
        with open("f", "w") as file:
            file.write("mine")
        os.mkdir("sub")
        os.symlink("x", "s")

    as_nobody(d, work)
    for name in ("f", "sub", "s"):
        info = os.lstat(d / name)
        assert (info.st_uid, info.st_gid) == (NOBODY, NOBODY)


def test_mode_bits_are_obeyed(d):
    for mode in (0o000, 0o200, 0o400, 0o600):
        (d / f"{mode:o}").write_text("x")
        (d / f"{mode:o}").chmod(mode)
        os.chown(d / f"{mode:o}", NOBODY, NOBODY)

    def work():
        for mode in (0o000, 0o200, 0o400, 0o600):
            for want, flags in ((0o400, os.O_RDONLY), (0o200, os.O_WRONLY)):
                if mode & want:
                    os.close(os.open(f"{mode:o}", flags))
                else:
                    with fails(errno.EACCES):
                        os.open(f"{mode:o}", flags)

    as_nobody(d, work)


def test_group_and_other_bits_are_obeyed(d):
    (d / "group").write_text("x")
    (d / "group").chmod(0o040)
    os.chown(d / "group", 0, 777)

    def allowed():
        with open("group") as file:
            return file.read()

    assert in_child(allowed, cwd=d, uid=NOBODY, groups=[777]) == "x"
    with fails(errno.EACCES):
        as_nobody(d, allowed)


def test_a_directory_without_x_is_closed_and_without_w_is_fixed(d):
    (d / "sub").mkdir()
    (d / "sub/f").write_text("x")
    (d / "sub").chmod(0o744)

    def closed():
        assert os.listdir("sub") == ["f"]
        with fails(errno.EACCES):
            os.stat("sub/f")

    as_nobody(d, closed)
    (d / "sub").chmod(0o755)

    def fixed():
        os.stat("sub/f")
        with fails(errno.EACCES):
            os.unlink("sub/f")
        with fails(errno.EACCES):
            os.mkdir("sub/x")
        with fails(errno.EACCES):
            os.rename("sub/f", "g")

    as_nobody(d, fixed)


def test_a_sticky_directory_protects_what_is_others(d):
    d.chmod(0o1777)
    (d / "root's").touch()

    def work():
        with open("mine", "w"):
            pass
        with fails(errno.EPERM, errno.EACCES):
            os.unlink("root's")
        with fails(errno.EPERM, errno.EACCES):
            os.rename("root's", "x")
        with fails(errno.EPERM, errno.EACCES):
            os.rename("mine", "root's")
        os.unlink("mine")

    as_nobody(d, work)


def test_only_the_owner_changes_mode_owner_and_times(d):
    (d / "f").touch()
    (d / "f").chmod(0o666)

    def work():
        with fails(errno.EPERM):
            os.chmod("f", 0o777)
        with fails(errno.EPERM):
            os.chown("f", NOBODY, -1)
        with fails(errno.EPERM):
            os.utime("f", ns=(1, 1))
        os.utime("f")
        with open("own", "w"):
            pass
        os.chmod("own", 0o640)
        os.utime("own", ns=(1, 1))
        with fails(errno.EPERM):
            os.chown("own", 0, -1)

    as_nobody(d, work)


def test_setuid_and_setgid_are_cleared_when_somebody_else_writes(d):
    (d / "f").write_text("x")
    os.chown(d / "f", 0, 0)
    (d / "f").chmod(0o6777)

    def work():
        fd = os.open("f", os.O_WRONLY)
        os.write(fd, b"y")
        os.close(fd)

    as_nobody(d, work)
    assert (d / "f").stat().st_mode & 0o7777 == 0o777
    (d / "f").chmod(0o6777)
    as_nobody(d, lambda: os.truncate("f", 0))
    assert (d / "f").stat().st_mode & 0o7777 == 0o777


def test_setuid_and_setgid_are_cleared_when_somebody_else_opens_with_o_trunc(d):
    (d / "f").write_text("x")
    os.chown(d / "f", NOBODY, NOBODY)

    for before, after in (("6777", "777"), ("4700", "700"), ("6654", "654")):
        (d / "f").chmod(int(before, 8))
        assert mode_of(d / "f") == before
        as_nobody(d, lambda: os.close(os.open("f", os.O_WRONLY | os.O_TRUNC)))
        assert mode_of(d / "f") == after
        os.chown(d / "f", NOBODY, NOBODY)


def test_setuid_and_setgid_are_cleared_when_somebody_else_allocates(d):
    (d / "f").write_text("x" * 10_000)
    os.chown(d / "f", 0, 0)

    def work():
        fd = os.open("f", os.O_WRONLY)
        os.posix_fallocate(fd, 0, 100_000)
        os.close(fd)

    (d / "f").chmod(0o6777)
    with open(d / "f", "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, 50_000)
    assert mode_of(d / "f") == "6777"
    as_nobody(d, work)
    assert mode_of(d / "f") == "777"


def test_chmod_by_one_who_is_not_in_the_group_drops_setgid(d):
    (d / "f").touch()
    os.chown(d / "f", NOBODY, 0)
    as_nobody(d, lambda: os.chmod("f", 0o2755))
    assert not (d / "f").stat().st_mode & stat.S_ISGID


def test_trusted_xattrs_are_roots_alone(d):
    (d / "f").touch()
    (d / "f").chmod(0o666)
    os.setxattr(d / "f", "trusted.a", b"1")
    os.setxattr(d / "f", "user.a", b"1")

    def work():
        assert os.getxattr("f", "user.a") == b"1"
        os.setxattr("f", "user.b", b"2")
        with fails(errno.ENODATA, errno.EPERM):
            os.getxattr("f", "trusted.a")
        with fails(errno.EPERM):
            os.setxattr("f", "trusted.b", b"2")

    as_nobody(d, work)


def test_user_xattrs_obey_the_mode_bits(d):
    (d / "f").touch()
    os.setxattr(d / "f", "user.a", b"1")
    (d / "f").chmod(0o600)

    def work():
        with fails(errno.EACCES):
            os.getxattr("f", "user.a")
        with fails(errno.EACCES):
            os.setxattr("f", "user.a", b"2")

    as_nobody(d, work)


def test_a_device_node_needs_privilege(d):
    def work():
        with fails(errno.EPERM):
            os.mknod("dev", stat.S_IFCHR | 0o600, os.makedev(1, 3))

    as_nobody(d, work)


def test_a_file_opened_before_chmod_stays_open(d):
    (d / "f").write_text("x")
    (d / "f").chmod(0o644)
    fd = os.open(d / "f", os.O_RDONLY)
    (d / "f").chmod(0)
    assert in_child(lambda: os.pread(fd, 1, 0), uid=NOBODY) == b"x"
    os.close(fd)
