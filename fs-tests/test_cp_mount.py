# SPDX-License-Identifier: Apache-2.0
#
# test_cp_mount.py - mnefs STORE MNT -o ro,cp=C: one checkpoint as a mount of its own

import errno
import json
import os
import subprocess

import pytest

from harness import eventually, fails, tree

OK, NOT_FOUND, BUSY = 0, 5, 8


@pytest.fixture
def backup(tmp_path):
    where = tmp_path / "backup"
    where.mkdir()
    yield where
    while os.path.ismount(where):
        subprocess.run(["umount", "-l", where], check=True)


def fill(m):
    m.table.mkdir(exist_ok=True)
    (m.table / "dir").mkdir()
    (m.table / "dir/f").write_text("then")
    (m.table / "big").write_bytes(os.urandom(500_000))
    m.checkpoint("c")
    then = tree(m.checkpoints / "c", times=True, modes=True)
    (m.table / "dir/f").write_text("now")
    (m.table / "big").unlink()
    return then


# --- from a store that is not mounted --------------------------------------------------


def test_a_checkpoint_of_a_store_that_is_not_mounted(mount, cli, store, backup, check):
    with mount() as m:
        then = fill(m)
    for name in ("c", "@latest"):
        done = cli(store, backup, "-o", f"ro,cp={name}")
        assert done.returncode == OK, done.stderr
        assert tree(backup, times=True, modes=True) == then
        for attempt in (
            lambda: (backup / "x").mkdir(),
            lambda: (backup / "t/dir/f").write_text("x"),
            lambda: (backup / "t/big").unlink(),
        ):
            with fails(errno.EROFS):
                attempt()
        assert sorted(os.listdir(backup)) == ["t"]
        assert not (backup / ".checkpoints").exists()
        status = json.loads((backup / ".mnefs/status.json").read_text())
        assert f"cp={name}" in status["options"]
        assert cli("-C", backup, "status").returncode == OK
        assert cli("umount", backup).returncode == OK
    check()


def test_a_checkpoint_that_is_not_there_is_not_mounted(mount, cli, store, backup):
    with mount() as m:
        fill(m)
    done = cli(store, backup, "-o", "cp=none")
    assert done.returncode == NOT_FOUND and "no checkpoint none" in done.stderr
    assert not os.path.ismount(backup)
    assert cli(store, backup, "-o", "cp=").returncode == 2


# --- beside the live mount -------------------------------------------------------------


@pytest.mark.root
def test_a_checkpoint_beside_the_live_mount(mount, cli, store, backup):
    with mount() as m:
        then = fill(m)
        done = cli(store, backup, "-o", "ro,cp=c")
        assert done.returncode == OK, done.stderr
        assert tree(backup, times=True, modes=True) == then
        assert (m.table / "dir/f").read_text() == "now"
        for attempt in (
            lambda: (backup / "x").mkdir(),
            lambda: (backup / "t/dir/f").write_text("x"),
        ):
            with fails(errno.EROFS):
                attempt()
        with fails(errno.EBUSY):
            m.drop("c")
        info = json.loads((m.path / ".mnefs/checkpoints/c/info.json").read_text())
        assert info["held_by"][0].startswith("mnefs[")
        done = cli(store, backup, "-o", "ro,cp=none")
        assert done.returncode == NOT_FOUND
        assert cli("umount", backup).returncode == OK
        assert eventually(lambda: try_drop(m))


def try_drop(m):
    try:
        m.drop("c")
    except OSError as error:
        assert error.errno == errno.EBUSY
        return False
    return True


@pytest.mark.root
def test_the_live_mount_is_busy_as_long_as_one_is_beside_it(mount, cli, store, backup):
    with mount() as m:
        fill(m)
        assert cli(store, backup, "-o", "cp=@latest").returncode == OK
        done = cli("umount", m.path)
        assert done.returncode == BUSY and "busy" in done.stderr
        assert (backup / "t/dir/f").read_text() == "then"
        assert cli("umount", backup).returncode == OK
        assert eventually(lambda: try_drop(m))


@pytest.mark.root
def test_the_mount_beside_goes_when_the_daemon_dies(mount, cli, store, backup):
    with mount() as m:
        fill(m)
        assert cli(store, backup, "-o", "cp=@latest").returncode == OK
        m.crash()
    assert eventually(lambda: not os.path.ismount(backup))


@pytest.mark.root
def test_the_mount_beside_of_a_checkpoint_dropped_by_force_is_estale(
    mount, cli, store, backup
):
    with mount() as m:
        fill(m)
        assert cli(store, backup, "-o", "cp=c").returncode == OK
        assert cli("-C", m.path, "ck", "drop", "--force", "c").returncode == OK
        for attempt in (
            lambda: os.listdir(backup),
            lambda: os.stat(backup / "t"),
            lambda: os.stat(backup / "none"),
        ):
            with fails(errno.ESTALE):
                attempt()
        assert cli("umount", backup).returncode == OK
