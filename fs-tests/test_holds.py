# SPDX-License-Identifier: Apache-2.0
#
# test_holds.py - who needs a checkpoint to stay: holds and pins; and C5, what a backup
# sees of one that goes while it is read

import errno
import json
import os
import signal
import subprocess
import time

import pytest

from harness import as_nobody, eventually, fails, in_child, sh


def log(fs):
    return (fs.path / ".mnefs/log").read_text()


def info(fs, name):
    return json.loads((fs.path / f".mnefs/checkpoints/{name}/info.json").read_text())


def hold(fs, name):
    return os.open(fs.path / ".mnefs/hold" / name, os.O_RDONLY)


def write_ctl(path, text):
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


# --- holds -----------------------------------------------------------------------------


def test_a_held_checkpoint_is_ebusy_until_the_descriptor_is_closed(fs):
    fs.checkpoint("c")
    fd = hold(fs, "c")
    with fails(errno.EBUSY):
        fs.drop("c")
    assert os.listdir(fs.checkpoints) == ["c"]
    os.close(fd)
    fs.drop("c")
    assert os.listdir(fs.checkpoints) == []


def test_the_log_names_the_holder(fs):
    fs.checkpoint("c")
    fd = hold(fs, "c")
    with fails(errno.EBUSY):
        fs.drop("c")
    last = log(fs).splitlines()[-1]
    assert "c is held by" in last and f"(pid {os.getpid()})" in last
    os.close(fd)


def test_the_acceptance_line_of_the_shell(fs):
    fs.checkpoint("a")
    for _ in range(20):
        sh("(exec 9<.mnefs/hold/a; ! rmdir .checkpoints/a 2>/dev/null)", fs.path)
        sh("(exec 9<.mnefs/hold/a); rmdir .checkpoints/a && mkdir .checkpoints/a", fs.path)


def test_a_hold_ends_when_its_process_is_killed(fs):
    fs.checkpoint("c")
    for _ in range(5):
        holder = subprocess.Popen(
            ["sh", "-c", "exec 9<.mnefs/hold/c; echo; exec sleep 60"],
            cwd=fs.path,
            stdout=subprocess.PIPE,
        )
        holder.stdout.readline()
        with fails(errno.EBUSY):
            fs.drop("c")
        name = f"sleep[{holder.pid}]"  # after exec
        assert eventually(lambda: info(fs, "c")["held_by"] == [name])
        holder.kill()
        holder.wait()
        holder.stdout.close()
        fs.drop("c")
        fs.checkpoint("c")


def test_a_hold_lasts_as_long_as_one_descriptor_of_many(fs):
    fs.checkpoint("c")
    first, second = hold(fs, "c"), hold(fs, "c")
    third = os.dup(second)
    assert len(info(fs, "c")["held_by"]) == 2
    os.close(first)
    os.close(second)
    with fails(errno.EBUSY):
        fs.drop("c")
    os.close(third)
    fs.drop("c")


def test_holds_are_listed_by_checkpoint_and_can_be_read(fs):
    fs.checkpoint("c")
    fs.checkpoint("snap A")
    assert sorted(os.listdir(fs.path / ".mnefs/hold")) == ["c", "snap A"]
    assert (fs.path / ".mnefs/hold/snap A").read_text() == "snap A\n"
    fd = hold(fs, "c")
    with fails(errno.EACCES):
        os.open(fs.path / ".mnefs/hold/c", os.O_WRONLY)
    holders = (fs.path / ".mnefs/checkpoints/c/holders").read_text()
    assert holders.endswith(f"[{os.getpid()}]\n")
    os.close(fd)
    with fails(errno.ENOENT):
        hold(fs, "none")


def test_a_hold_follows_the_checkpoint_through_a_rename(fs):
    fs.checkpoint("a")
    fd = hold(fs, "a")
    os.rename(fs.checkpoints / "a", fs.checkpoints / "b")
    with fails(errno.EBUSY):
        fs.drop("b")
    assert os.pread(fd, 100, 0) == b"b\n"
    fs.checkpoint("a")
    fs.drop("a")
    os.close(fd)
    fs.drop("b")


def test_a_hold_does_not_outlive_the_mount(mount):
    with mount() as m:
        m.checkpoint("c")
        fd = hold(m, "c")
        m.crash()
        os.close(fd)
    with mount() as m:
        m.drop("c")


@pytest.mark.root
def test_every_user_may_hold_but_only_the_owner_drops_by_force(open_fs):
    open_fs.checkpoint("c")

    def other():
        fd = os.open(".mnefs/hold/c", os.O_RDONLY)
        for name, how in (("ctl", os.O_WRONLY), ("checkpoints/c/drop", os.O_WRONLY)):
            with fails(errno.EACCES):
                os.open(f".mnefs/{name}", how)
        os.close(fd)

    as_nobody(open_fs.path, other)


@pytest.mark.root
def test_who_made_a_checkpoint_may_pin_it_and_drop_it_by_force(open_fs):
    os.chown(open_fs.checkpoints, -1, 4242)

    def backup():
        os.mkdir(".checkpoints/mine")
        write_ctl(".mnefs/checkpoints/mine/pinned", "yes")
        with fails(errno.EBUSY):
            os.rmdir(".checkpoints/mine")
        write_ctl(".mnefs/checkpoints/mine/drop", "force")

    in_child(backup, cwd=open_fs.path, uid=65534, groups=[4242])
    assert os.listdir(open_fs.checkpoints) == []


# --- pins ------------------------------------------------------------------------------


def test_a_pinned_checkpoint_is_ebusy_also_after_remount_and_kill(mount, cli):
    with mount() as m:
        m.checkpoint("c")
        assert cli("-C", m.path, "ck", "pin", "c").returncode == 0
        with fails(errno.EBUSY):
            m.drop("c")
        assert "pinned" in log(m).splitlines()[-1]
        m.crash()
    with mount() as m:
        with fails(errno.EBUSY):
            m.drop("c")
        assert info(m, "c")["pinned"] is True
    with mount() as m:
        done = cli("-C", m.path, "ck", "drop", "c")
        assert done.returncode == 8 and "pinned" in done.stderr
        assert cli("-C", m.path, "ck", "unpin", "c").returncode == 0
        assert cli("-C", m.path, "ck", "drop", "c").returncode == 0


def test_pins_notes_and_expiries_are_files_that_say_what_was_written(fs):
    fs.checkpoint("c")
    top = fs.path / ".mnefs/checkpoints/c"
    assert (top / "pinned").read_text() == "no\n"
    assert (top / "expires").read_text() == "never\n"
    assert (top / "note").read_text() == ""
    write_ctl(top / "pinned", "yes\n")
    write_ctl(top / "note", "before the move\n")
    write_ctl(top / "expires", "2031-05-06T07:08:09Z\n")
    assert (top / "pinned").read_text() == "yes\n"
    assert (top / "note").read_text() == "before the move\n"
    assert (top / "expires").read_text() == "2031-05-06T07:08:09Z\n"
    seen = info(fs, "c")
    assert seen["pinned"] is True and seen["note"] == "before the move"
    assert int(seen["expires"]) == 1935817689
    write_ctl(top / "expires", "2h")
    assert 7100 < info(fs, "c")["expires"] - time.time() < 7300
    write_ctl(top / "note", " ")
    write_ctl(top / "expires", "never")
    assert "note" not in info(fs, "c") and "expires" not in info(fs, "c")
    for name, bad in (("pinned", "maybe"), ("expires", "soon"), ("note", "x" * 1025)):
        with fails(errno.EINVAL):
            write_ctl(top / name, bad)


def test_force_drops_what_is_held_and_pinned(fs, cli):
    (fs.table / "f").write_text("x")
    fs.checkpoint("c")
    fd = hold(fs, "c")
    cli("-C", fs.path, "ck", "pin", "c")
    done = cli("-C", fs.path, "ck", "drop", "c")
    assert done.returncode == 8
    done = cli("-C", fs.path, "ck", "drop", "--force", "c")
    assert done.returncode == 0, done.stderr
    assert os.listdir(fs.checkpoints) == []
    with fails(errno.ESTALE):
        os.pread(fd, 10, 0)
    os.close(fd)


# --- mnefs hold ------------------------------------------------------------------------


def test_hold_runs_a_command_and_returns_its_status(fs, cli):
    fs.checkpoint("c")
    done = cli("-C", fs.path, "hold", "c", "--", "sh", "-c", "echo out; exit 7")
    assert (done.returncode, done.stdout) == (7, "out\n")
    done = cli("-C", fs.path, "hold", "c", "--", "rmdir", fs.checkpoints / "c")
    assert done.returncode == 1 and "busy" in done.stderr
    assert os.listdir(fs.checkpoints) == ["c"]
    fs.drop("c")


def test_hold_fails_as_env_does(fs, cli, tmp_path):
    fs.checkpoint("c")
    assert cli("-C", fs.path, "hold", "c", "--", "no-such-command").returncode == 127
    plain = tmp_path / "plain"
    plain.write_text("")
    assert cli("-C", fs.path, "hold", "c", "--", plain).returncode == 126
    assert cli("-C", fs.path, "hold", "none", "--", "true").returncode == 125
    assert cli("-C", tmp_path, "hold", "c", "--", "true").returncode == 125
    assert cli("-C", fs.path, "hold", "c").returncode == 125
    assert cli("-C", fs.path, "hold", "--wrong", "c", "--", "true").returncode == 125
    done = cli("-C", fs.path, "hold", "c", "--", "sh", "-c", "kill -9 $$")
    assert done.returncode == -signal.SIGKILL


def test_ck_list_and_ck_show_name_the_holder(fs, cli):
    fs.checkpoint("c")
    fs.checkpoint("free")
    mnefs = ["-C", fs.path, "hold", "c", "--"]
    done = cli(*mnefs, cli.binary, "-C", fs.path, "ck", "list")
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "HELD BY" in lines["NAME"]
    assert "mnefs[" in lines["c"] and "mnefs[" not in lines["free"]
    done = cli(*mnefs, cli.binary, "-C", fs.path, "ck", "show", "c")
    assert "mnefs[" in done.stdout


# --- C5: dropped means ESTALE ----------------------------------------------------------


def many(fs, n=2000):
    for i in range(20):
        (fs.table / f"d{i:02}").mkdir()
        for j in range(n // 20):
            (fs.table / f"d{i:02}/{j}").write_bytes(os.urandom(300))


def count(copy):
    """Files, but for those that rsync was writing."""
    return sum(name[0] != "." for _, _, names in os.walk(copy) for name in names)


def test_c5_rsync_delete_keeps_its_files_when_the_checkpoint_goes_meanwhile(
    fs, cli, tmp_path
):
    many(fs)
    copy = tmp_path / "copy"
    fs.checkpoint("c")
    sh(f"rsync -a .checkpoints/c/ {copy}/", fs.path)
    assert count(copy) == 2000
    interrupted = 0
    for n in range(12):
        if "c" not in os.listdir(fs.checkpoints):
            fs.checkpoint("c")
        rsync = subprocess.Popen(
            ["rsync", "-ac", "--delete", f"{fs.checkpoints}/c/", f"{copy}/"],
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(0.01 * n)
        done = cli("-C", fs.path, "ck", "drop", "--force", "c")
        _, said = rsync.communicate()
        assert done.returncode == 0, done.stderr
        assert count(copy) == 2000, said
        interrupted += rsync.returncode != 0
        if rsync.returncode != 0:
            assert "Stale file handle" in said or "No such file" in said, said
    assert interrupted > 0


def test_c5_who_was_at_a_checkpoint_by_its_path_is_told_once_that_it_is_gone(fs, cli):
    top = fs.checkpoint("c") / "t"
    for again in (False, True):
        os.stat(top)
        assert cli("-C", fs.path, "ck", "drop", "c").returncode == 0
        if again:
            sh("mkdir .checkpoints/c", fs.path)
        for attempt in (lambda: os.stat(top), lambda: os.listdir(top)):
            with fails(errno.ESTALE):
                attempt()
        time.sleep(1.1)
        if not again:
            with fails(errno.ENOENT):
                os.stat(top)
            fs.checkpoint("c")
        os.stat(top)
    sh("! test -e .checkpoints/none; test -d .checkpoints/c", fs.path)
    fs.drop("c")  # who drops it himself knows
    with fails(errno.ENOENT):
        os.stat(top)


def is_stale(fd):
    try:
        os.pread(fd, 1000, 0)
    except OSError as error:
        return error.errno == errno.ESTALE
    return False


def test_c5_everything_held_open_in_a_dropped_checkpoint_is_estale(fs, cli):
    many(fs, 200)
    top = fs.checkpoint("c") / "t"
    directory = os.open(top, os.O_RDONLY)
    deep = os.open(top / "d00", os.O_RDONLY)
    file = os.open(top / "d00/1", os.O_RDONLY)
    assert len(os.read(file, 1000)) == 300
    cli("-C", fs.path, "ck", "drop", "--force", "c")
    for again in ("d", "e"):
        for attempt in (
            lambda: os.listdir(directory),
            lambda: os.listdir(deep),
            lambda: os.stat("d01", dir_fd=directory),
            lambda: os.stat("no such name", dir_fd=directory),
            lambda: os.stat("2", dir_fd=deep),
            lambda: os.open("2", os.O_RDONLY, dir_fd=deep),
            lambda: os.fstat(file),
            lambda: os.fstat(deep),
        ):
            with fails(errno.ESTALE):
                attempt()
        assert eventually(lambda: is_stale(file))
        fs.checkpoint(again)  # another of the same name: nothing to do with it
    for fd in (directory, deep, file):
        os.close(fd)


def test_the_log_says_when_it_was_dropped(fs):
    top = fs.checkpoint("c")
    fd = os.open(top, os.O_RDONLY)
    fs.drop("c")
    with fails(errno.ESTALE):
        os.listdir(fd)
    os.close(fd)
    now = time.strftime("%H:")
    last = log(fs).splitlines()[-1]
    assert f"checkpoint c was dropped at {now}" in last or ":00" in last
