# SPDX-License-Identifier: Apache-2.0
#
# test_names.py - the name space of a mount: N1-N6, hidden and reserved names

import errno
import os
import subprocess

import pytest

from harness import HIDDEN, RENAME_NOREPLACE, fails, renameat2, sh


# --- N1: hidden names ------------------------------------------------------------------


def all_names(top):
    return {
        name
        for _, directories, files in os.walk(os.fsencode(str(top)))
        for name in (*directories, *files)
    }


def test_hidden_names_are_not_listed_at_any_depth(fs):
    (fs.table / "dir/deep").mkdir(parents=True)
    (fs.table / "dir/deep/f").touch()
    fs.checkpoint("c")
    assert os.listdir(fs.path) == ["t"]
    assert all_names(fs.path) == {b"t", b"dir", b"deep", b"f"}
    assert sh("ls -a", fs.path).stdout.split() == [".", "..", "t"]
    assert sh("find . -name .checkpoints | wc -l", fs.path).stdout.strip() == "0"


def test_hidden_names_are_not_listed_inside_a_checkpoint(fs):
    (fs.table / "dir").mkdir()
    (fs.table / "dir/f").touch()
    top = fs.checkpoint("c")
    assert all_names(top) == {b"t", b"dir", b"f"}


def test_checkpoints_are_reached_by_name_in_every_directory(fs):
    (fs.table / "dir/deep").mkdir(parents=True)
    (fs.table / "dir/deep/f").write_text("x")
    fs.checkpoint("c")
    assert (fs.path / ".checkpoints/c/t/dir/deep/f").read_text() == "x"
    assert (fs.table / ".checkpoints/c/dir/deep/f").read_text() == "x"
    assert (fs.table / "dir/.checkpoints/c/deep/f").read_text() == "x"
    assert (fs.table / "dir/deep/.checkpoints/c/f").read_text() == "x"
    for place in ("", "t", "t/dir", "t/dir/deep"):
        assert os.listdir(fs.path / place / ".checkpoints") == ["c"]


def test_du_and_rsync_of_the_mount_see_data_only(fs, tmp_path):
    (fs.table / "f").write_text("x")
    for name in "abc":
        fs.checkpoint(name)
    subprocess.run(["rsync", "-a", f"{fs.path}/", f"{tmp_path}/copy/"], check=True)
    assert all_names(tmp_path / "copy") == {b"t", b"f"}


def test_the_control_directory_is_hidden_and_there(fs):
    assert ".mnefs" not in os.listdir(fs.path)
    assert "version" in os.listdir(fs.path / ".mnefs")


def test_ctl_visible_lists_the_hidden_names(mount):
    with mount("ctl=visible") as m:
        m.table.mkdir()
        m.checkpoint("c")
        assert set(os.listdir(m.path)) >= {"t", ".checkpoints", ".mnefs"}
        assert ".checkpoints" in os.listdir(m.table)
        assert os.listdir(m.checkpoints) == ["c"]
        assert os.listdir(m.path / "t/.checkpoints/c") in ([], [".checkpoints"])


def test_ctl_visible_does_not_keep_a_table_from_being_empty(mount):
    with mount("ctl=visible") as m:
        m.table.mkdir()
        m.table.rmdir()


def test_ctl_off_makes_the_hidden_names_unreachable(mount):
    with mount("ctl=off") as m:
        m.table.mkdir()
        for place in (m.path, m.table):
            with fails(errno.ENOENT):
                os.listdir(place / ".checkpoints")
        with fails(errno.ENOENT):
            os.stat(m.path / ".mnefs")
        assert os.listdir(m.path) == ["t"]


def test_ctl_off_still_reserves_the_names(mount):
    with mount("ctl=off") as m:
        m.table.mkdir()
        for name in HIDDEN:
            with fails(errno.EPERM):
                (m.table / name).mkdir()


def test_checkpoints_are_there_again_when_ctl_is_on_again(mount):
    with mount() as m:
        m.table.mkdir()
        m.checkpoint("c")
    with mount("ctl=off") as m:
        assert os.listdir(m.path) == ["t"]
    with mount("ctl=hidden") as m:
        assert os.listdir(m.checkpoints) == ["c"]


@pytest.mark.parametrize("name", HIDDEN)
def test_reserved_names_cannot_be_records(fs, name):
    (fs.table / "f").touch()
    (fs.table / "sub").mkdir()
    # What is reserved and exists already may say so in its own way.
    refusals = (errno.EPERM, errno.EEXIST, errno.EISDIR, errno.ENOTEMPTY, errno.ENOTDIR)
    only = (errno.EPERM,)
    exists = os.path.lexists(fs.table / name)
    allowed = refusals if exists else only
    path = fs.table / name
    tries = [
        lambda: os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644)),
        lambda: os.mkdir(path),
        lambda: os.symlink("x", path),
        lambda: os.link(fs.table / "f", path),
        lambda: os.mkfifo(path),
        lambda: os.rename(fs.table / "f", path),
        lambda: os.rename(fs.table / "sub", path),
        lambda: renameat2(fs.table / "f", path, RENAME_NOREPLACE),
    ]
    for attempt in tries:
        with fails(*allowed):
            attempt()
    assert sorted(os.listdir(fs.table)) == ["f", "sub"]


@pytest.mark.parametrize("name", HIDDEN)
def test_reserved_names_cannot_be_tables(fs, name):
    with fails(errno.EPERM, errno.EEXIST):
        os.mkdir(fs.path / name)
    with fails(errno.EPERM, errno.EEXIST, errno.ENOTEMPTY, errno.EXDEV, errno.EBUSY):
        os.rename(fs.table, fs.path / name)
    assert os.listdir(fs.path) == ["t"]


def test_the_hidden_directories_cannot_be_moved_or_removed(fs):
    for path in (fs.checkpoints, fs.path / ".mnefs", fs.table / ".checkpoints"):
        with fails(errno.EPERM, errno.EBUSY, errno.ENOTEMPTY, errno.EROFS):
            os.rmdir(path)
        with fails(errno.EPERM, errno.EBUSY, errno.EXDEV, errno.EROFS, errno.EINVAL):
            os.rename(path, fs.table / "moved")
    assert os.listdir(fs.table) == []


def test_rm_r_of_a_table_with_checkpoints_works(fs):
    (fs.table / "dir").mkdir()
    (fs.table / "dir/f").touch()
    fs.checkpoint("c")
    sh("rm -r t", fs.path)
    assert os.listdir(fs.path) == []
    assert (fs.checkpoints / "c/t/dir/f").exists()


def test_checkpoints_of_a_directory_follow_the_directory_not_its_name(fs):
    (fs.table / "a/b").mkdir(parents=True)
    (fs.table / "a/b/f").write_text("x")
    fs.checkpoint("c")
    os.rename(fs.table / "a", fs.table / "z")
    assert (fs.table / "z/.checkpoints/c/b/f").read_text() == "x"
    assert (fs.table / "z/b/.checkpoints/c/f").read_text() == "x"
    assert (fs.checkpoints / "c/t/a/b/f").read_text() == "x"
    with fails(errno.ENOENT):
        os.stat(fs.checkpoints / "c/t/z")


def test_a_directory_made_after_a_checkpoint_is_not_in_it(fs):
    fs.checkpoint("c")
    (fs.table / "new").mkdir()
    with fails(errno.ENOENT):
        os.stat(fs.table / "new/.checkpoints/c")
    with fails(errno.ENOENT):
        os.stat(fs.checkpoints / "c/t/new")


def test_dotdot_of_a_checkpoint_leads_out_of_it(fs):
    (fs.table / "dir").mkdir()
    fs.checkpoint("c")
    fd = os.open(fs.checkpoints / "c/t/dir", os.O_RDONLY)
    inside = (fs.checkpoints / "c/t").stat().st_ino
    assert os.stat("..", dir_fd=fd).st_ino == inside
    os.close(fd)


# --- N3: only tables at the root, and nothing across tables ----------------------------


def test_only_directories_can_be_made_at_the_root(fs):
    (fs.table / "f").write_text("x")
    tries = [
        lambda: os.open(fs.path / "f", os.O_CREAT | os.O_WRONLY),
        lambda: os.symlink("x", fs.path / "f"),
        lambda: os.mkfifo(fs.path / "f"),
        lambda: os.mknod(fs.path / "f"),
    ]
    for attempt in tries:
        with fails(errno.EPERM):
            attempt()
    with fails(errno.EPERM, errno.EXDEV):
        os.link(fs.table / "f", fs.path / "f")
    with fails(errno.EPERM, errno.EXDEV):
        os.rename(fs.table / "f", fs.path / "f")
    with fails(errno.EPERM, errno.EOPNOTSUPP):
        os.open(fs.path, os.O_TMPFILE | os.O_WRONLY)
    assert os.listdir(fs.path) == ["t"]


def test_rename_and_link_across_tables_are_exdev(fs):
    (fs.path / "other").mkdir()
    (fs.table / "f").write_text("x")
    (fs.table / "dir").mkdir()
    with fails(errno.EXDEV):
        os.rename(fs.table / "f", fs.path / "other/f")
    with fails(errno.EXDEV):
        os.rename(fs.table / "dir", fs.path / "other/dir")
    with fails(errno.EXDEV):
        os.link(fs.table / "f", fs.path / "other/f")
    assert os.listdir(fs.path / "other") == []


def test_mv_across_tables_copies(fs):
    (fs.path / "other").mkdir()
    (fs.table / "dir").mkdir()
    (fs.table / "dir/f").write_text("x")
    sh("mv t/dir other/", fs.path)
    assert (fs.path / "other/dir/f").read_text() == "x"
    assert os.listdir(fs.table) == []


def test_a_table_cannot_become_a_directory_nor_a_directory_a_table(fs):
    (fs.path / "other").mkdir()
    (fs.table / "dir").mkdir()
    with fails(errno.EXDEV, errno.EPERM):
        os.rename(fs.path / "other", fs.table / "other")
    with fails(errno.EXDEV, errno.EPERM):
        os.rename(fs.table / "dir", fs.path / "dir")
    assert sorted(os.listdir(fs.path)) == ["other", "t"]


# --- N4: the daily commands ------------------------------------------------------------


def test_the_daily_commands_work_as_they_do_everywhere(fs):
    script = """
    set -e
    mkdir users
    echo '{"name":"Alice"}' > users/alice
    cp users/alice users/bob
    mv users/bob users/carol
    ln users/carol users/dora
    sed -i s/Alice/Alicia/ users/alice
    test "$(cat users/alice)" = '{"name":"Alicia"}'
    test "$(cat users/dora)" = '{"name":"Alice"}'
    setfattr -n user.city -v Oslo users/alice
    getfattr -n user.city users/alice | grep -q Oslo
    test "$(ls users | tr '\\n' ' ')" = "alice carol dora "
    cp -a users/. t/
    diff -r users t
    tar -cf - users | tar -xf - -C t
    diff -r users t/users
    mkdir .checkpoints/monday
    rm -rf users
    diff -r .checkpoints/monday/users t/users
    cp -a .checkpoints/monday/users restored 2>/dev/null || cp -r .checkpoints/monday/users restored
    diff -r restored t/users
    rmdir .checkpoints/monday
    """
    sh(script, fs.path)


# --- N6: the sentence behind an errno --------------------------------------------------


@pytest.mark.parametrize(
    "script, words",
    [
        ("mkdir .checkpoints/a:b", ["':'", "checkpoint name"]),
        ("mkdir t/dir/.checkpoints/x", ["whole tables"]),
        ("touch .checkpoints/c/t/x", ["read-only"]),
        ("touch t/.by", [".by", "reserved"]),
        ("touch f", ["table"]),
    ],
)
def test_the_log_explains_the_last_failure(fs, script, words):
    (fs.table / "dir").mkdir()
    fs.checkpoint("c")
    assert sh(script, fs.path, check=False).returncode != 0
    last = (fs.path / ".mnefs/log").read_text().splitlines()[-2:]
    for word in words:
        assert word in "\n".join(last), last
