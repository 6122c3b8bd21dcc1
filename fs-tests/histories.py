# SPDX-License-Identifier: Apache-2.0
#
# histories.py - random changes to the tables of a mount
#
# Few names, shallow trees: so that names are taken again, by another kind of thing.

import contextlib
import os
import shutil
import stat
import subprocess

from harness import RENAME_EXCHANGE, renameat2

TABLES = ("t", "u", "v")
NAMES = ("a", "b", "c", "d", "new\nline", "\udcff byte", "e e")


def rsync(*words, allow=()):
    """What rsync said; it must succeed."""
    done = subprocess.run(
        ["rsync", *map(str, words)], capture_output=True, check=False, text=True
    )
    assert done.returncode in (0, *allow), (done.returncode, done.stderr)
    assert done.stderr == "" or done.returncode in allow, done.stderr
    return done.stdout


def differences(want, copy, links=False):
    """What rsync would still do, checksums and all: nothing, if copy is a copy."""
    how = "-aHXnic" if links else "-aXnic"
    return rsync(how, "--delete", f"{want}/", f"{copy}/")


class History:
    def __init__(self, root, random):
        self.root, self.random = root, random
        (root / "t").mkdir()

    def some_dir(self):
        """A directory in a table, or a table; None if there is no table."""
        here = [d for d in TABLES if (self.root / d).is_dir()]
        if not here:
            return None
        at = self.root / self.random.choice(here)
        while self.random.random() < 0.6:
            dirs = [e for e in os.scandir(at) if e.is_dir(follow_symlinks=False)]
            if not dirs:
                break
            at = at / self.random.choice(sorted(dirs, key=lambda e: e.name)).name
        return at

    def some_path(self):
        at = self.some_dir()
        return at / self.random.choice(NAMES) if at else None

    def write(self, path):
        if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
            return  # a fifo would wait for us
        size = self.random.choice([0, 3, 100, 5000, 20_000])
        with open(path, self.random.choice(["wb", "ab"])) as file:
            file.write(self.random.randbytes(size))
        if self.random.random() < 0.2:
            os.utime(path, (0, self.random.randrange(10)))

    def make_dir(self, path):
        if not os.path.lexists(path):
            path.mkdir()
            if self.random.random() < 0.5:
                (path / "inside").write_bytes(b"i")

    def make_symlink(self, path):
        if not os.path.lexists(path):
            path.symlink_to(self.random.choice(["a", "nowhere", "../b"]))

    def make_fifo(self, path):
        if not os.path.lexists(path):
            os.mkfifo(path)

    def remove(self, path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif os.path.lexists(path):
            path.unlink()

    def change_type(self, path):
        was_dir = path.is_dir() and not path.is_symlink()
        self.remove(path)
        if was_dir:
            path.write_bytes(b"now a file")
        else:
            path.mkdir()
            (path / "in it").write_bytes(b"1")

    def rename(self, path):
        new = self.some_path()
        if os.path.lexists(path):
            os.rename(path, new)

    def exchange(self, path):
        new = self.some_path()
        if os.path.lexists(path) and os.path.lexists(new):
            renameat2(path, new, RENAME_EXCHANGE)

    def replace(self, path):
        """As editors save."""
        if not path.is_dir():
            tmp = path.with_name(".tmp")
            tmp.write_bytes(self.random.randbytes(30))
            tmp.rename(path)

    def link(self, path):
        new = self.some_path()
        if os.path.lexists(path) and not path.is_dir() and not os.path.lexists(new):
            os.link(path, new, follow_symlinks=False)

    def chmod(self, path):
        if os.path.lexists(path) and not path.is_symlink():
            os.chmod(path, self.random.choice([0o600, 0o644, 0o700, 0o755]))

    def set_xattr(self, path):
        """Not more in all than 4 KiB, for which the copy's ext4 has room."""
        if not path.is_symlink() and (path.is_file() or path.is_dir()):
            value = self.random.randbytes(self.random.choice([3, 40, 900]))
            os.setxattr(path, "user." + self.random.choice("xyz"), value)

    def remove_xattr(self, path):
        if os.path.lexists(path) and not path.is_symlink():
            if not stat.S_ISFIFO(os.lstat(path).st_mode):
                for name in os.listxattr(path):
                    os.removexattr(path, name)

    def tables(self, _path):
        """Tables come, go, and change their names."""
        one, other = self.random.sample(TABLES, 2)
        what = self.random.random()
        if what < 0.4:
            (self.root / one).mkdir(exist_ok=True)
        elif what < 0.6 and (self.root / one).is_dir():
            shutil.rmtree(self.root / one)
        elif what < 0.8 and (self.root / one).is_dir():
            if not (self.root / other).exists():
                os.rename(self.root / one, self.root / other)
        elif (self.root / one).is_dir() and (self.root / other).is_dir():
            renameat2(self.root / one, self.root / other, RENAME_EXCHANGE)

    CHANGES = (
        [write] * 6
        + [make_dir] * 4
        + [remove] * 3
        + [rename] * 4
        + [link, replace, set_xattr, chmod] * 2
        + [make_symlink, make_fifo, change_type, exchange, remove_xattr, tables]
    )

    def step(self):
        change = self.random.choice(self.CHANGES)
        path = self.some_path()
        if path is None:
            change = History.tables
        # A rename into itself, onto what is not empty, or between tables.
        with contextlib.suppress(OSError):
            change(self, path)

    def steps(self, count):
        for _ in range(count):
            self.step()
