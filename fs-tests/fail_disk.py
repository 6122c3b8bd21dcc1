# SPDX-License-Identifier: Apache-2.0
#
# fail_disk.py - a real disk that refuses to be written, and then takes it again
#
# The system keeps what it could not write in memory as if it were on the disk, says so
# once, and forgets it when it needs the memory.  So who mounts after a failed sync must
# not believe what can be read.
#
# The disk is a loop device in a tmpfs, whose free blocks have no memory yet: once the
# tmpfs is full, they get none.

import contextlib
import errno
import os
import re
import subprocess
from pathlib import Path

import pytest

from harness import fails, fsync_path

BLOCK = 4096
MIB = 1 << 20
MAKE = ["-q", "-F", "-m0", f"-b{BLOCK}"]
MAKE += ["-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0"]


def run(*command):
    command = [str(word) for word in command]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Disk:
    def __init__(self, ram, at):
        self.image = ram / "image"
        self.filler = ram / "filler"
        self.at = at

    def make(self):
        self.image.write_bytes(bytes(40 * MIB))
        run("mkfs.ext4", *MAKE, self.image)
        self.image.write_bytes(self.image.read_bytes())  # mkfs.ext4 makes holes, too
        for free in re.findall("Free blocks: (.*)", run("dumpe2fs", self.image)):
            for first, last in re.findall(r"(\d+)-(\d+)", free):
                at, length = int(first) * BLOCK, (int(last) - int(first) + 1) * BLOCK
                run("fallocate", "-p", "-o", at, "-l", length, self.image)

    def mount(self):
        run("mount", "-o", "loop", self.image, self.at)
        # A loop device takes a write of which a part has failed for a whole one.
        loop = Path(run("losetup", "-j", self.image).split(":")[0]).name
        Path(f"/sys/block/{loop}/queue/max_sectors_kb").write_text(str(BLOCK // 1024))

    def unmount(self):
        run("umount", self.at)

    def break_it(self):
        with open(self.filler, "wb", buffering=0) as file:
            for size in (MIB, BLOCK):
                with fails(errno.ENOSPC):
                    while True:
                        file.write(bytes(size))

    def mend(self):
        self.filler.unlink()


@pytest.fixture
def disk(tmp_path):
    ram, at = tmp_path / "ram", tmp_path / "disk"
    ram.mkdir()
    at.mkdir()
    run("mount", "-t", "tmpfs", "-o", f"size={56 * MIB}", "tmpfs", ram)
    try:
        disk = Disk(ram, at)
        disk.make()
        disk.mount()
        yield disk
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            disk.unmount()
        run("umount", ram)


@pytest.mark.root
@pytest.mark.parametrize("size", [300_000, 2_000])
def test_what_a_disk_has_refused_is_not_there_or_stays(make_mount, disk, tmp_path, size):
    """D1, D2: an fsync after the failure vouches for all that can be seen then."""
    store, mnt = disk.at / "store", tmp_path / "mnt"
    before, lost, after = (os.urandom(size) for _ in range(3))
    m = make_mount(store, mnt, "create")
    m.expect_log(".")
    m.table.mkdir()
    (m.table / "before").write_bytes(before)
    fsync_path(m.table / "before")
    disk.break_it()
    (m.table / "lost").write_bytes(lost)
    with fails(errno.EIO, errno.ENOSPC, errno.EROFS):
        for _ in range(100):
            (m.table / "more").write_bytes(os.urandom(20_000))
            fsync_path(m.table / "lost")
    m.unmount(check=False)
    disk.mend()

    m = make_mount(store, mnt)
    m.expect_log(".")
    seen = {path.name: path.read_bytes() for path in m.table.iterdir()}
    (m.table / "after").write_bytes(after)
    fsync_path(m.table / "after")
    m.unmount(check=False)

    disk.unmount()
    disk.mount()
    with make_mount(store, mnt) as m:
        for name, data in {**seen, "before": before, "after": after}.items():
            assert (m.table / name).read_bytes() == data
