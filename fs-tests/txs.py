# SPDX-License-Identifier: Apache-2.0
#
# txs.py - a transaction as a directory

import contextlib
import errno
import os

from harness import fails


class Tx:
    """One that is open, by its directory."""

    def __init__(self, fs, name="J", at=None):
        self.path = (at or fs.path) / ".tx" / name
        self.path.mkdir()
        self.table = self.path / fs.table.name

    def tell(self, line, flags=0):
        fd = os.open(self.path / ".ctl", os.O_RDWR | flags)
        try:
            os.write(fd, line.encode())
            return os.pread(fd, 4096, 0).decode()
        finally:
            os.close(fd)

    def why_not(self, line, flags=0):
        """It is refused; with which number, and why."""
        fd = os.open(self.path / ".ctl", os.O_RDWR | flags)
        try:
            os.write(fd, line.encode())
        except OSError as error:
            return error.errno, os.pread(fd, 4096, 0).decode()
        finally:
            os.close(fd)
        raise AssertionError(f"{line} worked")

    def commit(self, how="commit"):
        return self.tell(how)

    def abort(self):
        self.path.rmdir()

    def status(self):
        lines = (self.path / ".status").read_text().splitlines()
        return [tuple(line.split(" ", 1)) for line in lines]

    def values(self, wanted):
        return [value for key, value in self.status() if key == wanted]

    def conflicts(self):
        return self.values("conflict")

    def refused(self, *paths):
        with fails(errno.ECANCELED):
            self.commit()
        assert dict(self.status())["state"] == "conflict"
        assert sorted(self.conflicts()) == sorted(paths)
        self.abort()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(FileNotFoundError):
            self.abort()


def with_table(mount, *options):
    fs = mount(*options)
    fs.table.mkdir()
    return fs


def open_ones(fs):
    return os.listdir(fs.path / ".tx")
