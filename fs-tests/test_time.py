# SPDX-License-Identifier: Apache-2.0
#
# test_time.py - the same path at another time: .checkpoints/@…, and mnefs at

import errno
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from harness import fails, sh, tree


def clock(fs, name):
    path = fs.path / f".mnefs/checkpoints/{name}/info.json"
    return json.loads(path.read_text())["time"]


def at(when, form):
    return "@" + time.strftime(form, time.gmtime(when))


@pytest.fixture
def two(fs):
    """Checkpoints "old" and "new", in different seconds."""
    (fs.table / "f").write_text("old")
    fs.checkpoint("old")
    time.sleep(1.1)
    (fs.table / "f").write_text("new")
    fs.checkpoint("new")
    (fs.table / "f").write_text("live")
    return fs


def test_a_time_shows_the_newest_checkpoint_that_is_not_after_it(two):
    old, new = clock(two, "old"), clock(two, "new")
    for name, wanted in (
        ("@latest", "new"),
        ("@today", "new"),
        ("@-0s", "new"),
        (at(new, "%Y-%m-%dT%H:%M:%SZ"), "new"),
        (at(new, "%Y-%m-%dT%H:%M:%S+00:00"), "new"),
        (at(new, "%Y-%m-%dT%H%M%SZ"), "new"),
        (at(new, "%Y-%m-%d %H:%M:%SZ"), "new"),
        (at(old, "%Y-%m-%dT%H:%M:%SZ"), "old"),
        (at(old, "%Y-%m-%dT%H%M%SZ"), "old"),
        (at(old, "GMT-%Y.%m.%d-%H.%M.%S"), "old"),
        (at(new, "GMT-%Y.%m.%d-%H.%M.%S"), "new"),
        (f"@{int(old)}", "old"),
        (f"@{int(new) + 1000}", "new"),
        (at(new, "%Y-%m-%dT%H:%MZ"), "new"),
        (at(new + 3600, "%Y-%m-%dT%H:%M:%S+01:00"), "new"),
        (time.strftime("@%Y-%m-%d", time.localtime(new)), "new"),
    ):
        assert (two.checkpoints / name / "t/f").read_text() == wanted, name
        assert (two.table / ".checkpoints" / name / "f").read_text() == wanted, name


def test_what_no_checkpoint_is_as_old_as_is_enoent(two):
    old = clock(two, "old")
    for name in (
        "@-1h",
        "@-1w2d",
        "@yesterday",
        "@2001-02-03",
        "@GMT-2001.02.03-04.05.06",
        at(old - 1, "%Y-%m-%dT%H:%M:%SZ"),
        f"@{int(old) - 1}",
    ):
        with fails(errno.ENOENT):
            os.stat(two.checkpoints / name)


def test_what_is_no_time_is_enoent(fs):
    fs.checkpoint("c")
    for name in (
        ["@", "@x", "@-", "@-2", "@-h", "@2026", "@20261120", "@2026-13-01"]
        + ["@2026-02-30", "@2026-11-20T25:00", "@2026-11-20T03", "@2026-11-20x"]
        + ["@GMT-2026", "@" + "9" * 60, "@latest ", "@-1h ", "@-99999999999h"]
    ):
        with fails(errno.ENOENT):
            os.stat(fs.checkpoints / name)


def test_times_are_never_listed_made_renamed_or_removed(two):
    os.stat(two.checkpoints / "@latest")
    assert sorted(os.listdir(two.checkpoints)) == ["new", "old"]
    for attempt in (
        lambda: os.mkdir(two.checkpoints / "@later"),
        lambda: os.rmdir(two.checkpoints / "@latest"),
        lambda: os.rename(two.checkpoints / "@latest", two.checkpoints / "x"),
        lambda: os.rename(two.checkpoints / "old", two.checkpoints / "@x"),
    ):
        with fails(errno.EINVAL, errno.EEXIST):
            attempt()
    assert sorted(os.listdir(two.checkpoints)) == ["new", "old"]


def test_a_time_and_a_name_of_one_checkpoint_are_the_same_files(two):
    by_name, by_time = two.checkpoints / "new", two.checkpoints / "@latest"
    assert tree(by_name) == tree(by_time)
    for path in ("", "t", "t/f"):
        assert (by_name / path).stat().st_ino == (by_time / path).stat().st_ino
    fd = os.open(by_name / "t", os.O_RDONLY)
    here = os.open(by_time / "t", os.O_RDONLY)
    link = os.readlink(f"/proc/self/fd/{fd}")
    os.stat(by_time / "t/f")
    assert os.readlink(f"/proc/self/fd/{fd}") == link
    two.drop("new")
    for each in (fd, here):
        with fails(errno.ESTALE):
            os.listdir(each)
        os.close(each)
    assert (by_time / "t/f").read_text() == "old"


def test_a_time_follows_when_a_newer_checkpoint_is_made(two):
    assert (two.checkpoints / "@latest/t/f").read_text() == "new"
    two.checkpoint("newer")
    assert (two.checkpoints / "@latest/t/f").read_text() == "live"


def test_a_time_in_a_directory_counts_only_checkpoints_that_have_it(two):
    (two.table / "sub").mkdir()
    with fails(errno.ENOENT):
        os.stat(two.table / "sub/.checkpoints/@latest")
    (two.path / "other").mkdir()
    two.checkpoint("others", "other")
    assert (two.table / ".checkpoints/@latest/f").read_text() == "new"
    assert os.listdir(two.path / "other/.checkpoints/@latest") == []


def test_times_work_for_control_files_and_commands(two, cli):
    info = json.loads((two.path / ".mnefs/checkpoints/@latest/info.json").read_text())
    assert info["name"] == "new"
    assert (two.path / ".mnefs/hold/@latest").read_text() == "new\n"
    done = cli("-C", two.path, "ck", "show", "@latest")
    assert "name     new" in done.stdout
    done = cli("-C", two.path, "ck", "drop", "--force", "@latest")
    assert done.returncode == 2
    with fails(errno.EINVAL):
        fd = os.open(two.path / ".mnefs/checkpoints/@latest/drop", os.O_WRONLY)
        try:
            os.write(fd, b"force")
        finally:
            os.close(fd)
    assert sorted(os.listdir(two.checkpoints)) == ["new", "old"]


def test_diff_of_a_file_with_itself_at_another_time(two):
    done = sh("diff t/f .checkpoints/@latest/t/f", two.path, check=False)
    assert done.returncode == 1 and "> new" in done.stdout


# --- mnefs at --------------------------------------------------------------------------


@pytest.mark.root
def test_at_runs_a_command_that_sees_the_same_paths_at_another_time(two, cli):
    show = f"cat {two.table}/f; cat t/f 2>/dev/null || cat f"
    for cwd in (two.path, two.table):
        done = cli("at", "old", "--", "sh", "-c", show, cwd=cwd)
        assert (done.returncode, done.stdout) == (0, "oldold"), done.stderr
    done = cli("-C", two.path, "at", "@latest", "--", "cat", two.table / "f", cwd="/")
    assert done.stdout == "new"
    assert (two.table / "f").read_text() == "live"


@pytest.mark.root
def test_at_nothing_can_be_written_and_nobody_else_is_affected(two, cli):
    done = cli("-C", two.path, "at", "old", "--", "sh", "-c", f": > {two.table}/z")
    assert done.returncode != 0 and "Read-only" in done.stderr
    assert not (two.table / "z").exists()
    slow = subprocess.Popen(
        [cli.binary, "-C", two.path, "at", "old", "--", "sh", "-c", "echo; read x"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    slow.stdout.readline()
    assert (two.table / "f").read_text() == "live"
    (two.table / "g").write_text("g")
    with fails(errno.EBUSY):  # it is held
        two.drop("old")
    slow.communicate(b"\n")
    two.drop("old")


@pytest.mark.root
def test_at_returns_the_status_of_the_command_or_of_env(two, cli):
    words = ("-C", two.path, "at")
    assert cli(*words, "old", "--", "sh", "-c", "exit 5").returncode == 5
    assert cli(*words, "old", "--", "no-such-command").returncode == 127
    assert cli(*words, "old", "--", "/dev/null").returncode == 126
    assert cli(*words, "none", "--", "true").returncode == 125
    assert cli(*words, "@-1h", "--", "true").returncode == 125
    assert cli(*words).returncode == 125
    (two.table / "sub").mkdir()
    done = cli("at", "old", "--", "true", cwd=two.table / "sub")
    assert done.returncode == 125 and "directory" in done.stderr


def test_times_begin_and_end_lists_of_changes(two, cli, tmp_path):
    old, new = ("@" + str(int(clock(two, name))) for name in ("old", "new"))
    words = ["-C", two.path]
    for a, b in (("old", old), ("new", new)):
        for form in ("", ".json", "..", ".."+new):
            plain = (two.path / ".mnefs/changed" / (a + form)).read_bytes()
            assert (two.path / ".mnefs/changed" / (b + form)).read_bytes() == plain
    assert cli(*words, "changed", old, new).stdout == cli(*words, "changed", "old", "new").stdout
    assert cli(*words, "diff", "@latest").stdout == cli(*words, "diff", "new").stdout
    done = cli(*words, "changed", "@-99w")
    assert done.returncode == 5 and "@-99w" in done.stderr
    assert cli(*words, "rsync", old, f"{tmp_path}/copy/").returncode == 0
    done = cli(*words, "rsync", "--since", old, "@latest", f"{tmp_path}/copy/")
    assert done.returncode == 0, done.stderr
    assert tree(tmp_path / "copy") == tree(two.checkpoints / "new")
    assert cli(*words, "ck", "bookmark", "@latest").returncode == 0
    assert cli(*words, "ck", "bookmark", old, "mark").returncode == 0
    marks = (two.path / ".mnefs/bookmarks").read_text().splitlines()
    assert {line.split("\t")[0] for line in marks} == {"new", "mark"}
    assert cli(*words, "ck", "bookmark", "old", "@today").returncode != 0


def user_namespaces_work():
    return (
        subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            + ["unshare", "-Ur", "-m", "true"],
            capture_output=True,
            check=False,
        ).returncode
        == 0
    )


@pytest.fixture
def public(make_mount, store):
    """A mount that other users can reach by its path."""
    top = tempfile.mkdtemp(prefix="mnefs-at-")
    os.chmod(top, 0o755)
    mounted = make_mount(store, f"{top}/mnt", "create", "allow_other")
    mounted.table.mkdir()
    yield mounted
    mounted.unmount()
    shutil.rmtree(top)


@pytest.mark.root
def test_at_works_as_an_ordinary_user_or_says_why_not(public, cli):
    public.table.chmod(0o777)
    (public.table / "f").write_text("old")
    public.checkpoint("c")
    (public.table / "f").write_text("live")
    got = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        + [cli.binary, "at", "c", "--", "sh", "-c", "cat t/f; id -u; : > t/z"],
        cwd=public.path,
        capture_output=True,
        text=True,
        check=False,
    )
    if user_namespaces_work():
        assert got.stdout == "old65534\n", got.stderr
        assert got.returncode != 0 and "Read-only" in got.stderr
    else:
        assert got.returncode == 125 and "user namespaces" in got.stderr
    assert (public.table / "f").read_text() == "live"


def as_root_of_a_namespace_that_forbids_namespaces(command):
    """user.max_user_namespaces = 0 of a user namespace of its own: nobody else notices."""
    forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec"
    drop = "setpriv --bounding-set=-all --inh-caps=-all --no-new-privs"
    return ["unshare", "-Ur", "sh", "-ec", f'{forbid} {drop} "$@"', "sh", *command]


@pytest.mark.root
def test_at_says_so_where_user_namespaces_are_not_allowed(public, cli):
    limit = Path("/proc/sys/user/max_user_namespaces")
    before = limit.read_text()
    possible = subprocess.run(
        as_root_of_a_namespace_that_forbids_namespaces(["true"]), check=False
    )
    if possible.returncode != 0:
        pytest.skip("no user namespaces here at all: the test above has seen it")
    public.table.chmod(0o777)
    (public.table / "f").write_text("f")
    public.checkpoint("c")
    got = subprocess.run(
        as_root_of_a_namespace_that_forbids_namespaces(
            [cli.binary, "at", "c", "--", "touch", "t/never"]
        ),
        cwd=public.path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert got.returncode == 125, got.stderr
    assert "cannot make a mount namespace: the limit of user namespaces" in got.stderr
    assert "user namespaces are not allowed here" in got.stderr
    assert "run it as root" in got.stderr
    assert os.listdir(public.table) == ["f"]
    public.drop("c")  # nobody holds it any more
    assert limit.read_text() == before
