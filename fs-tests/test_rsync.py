# SPDX-License-Identifier: Apache-2.0
#
# test_rsync.py - a copy of a checkpoint is exactly the moment of the checkpoint

import os
import random
import subprocess
import time

import pytest

from harness import sh, tree


def rsync(*words):
    done = subprocess.run(["rsync", *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


class Writers:
    """Processes that write all the time, and can be asked to pause between changes."""

    def __init__(self, top, count):
        self.pids, self.pipes = [], []
        for number in range(count):
            ask_read, ask_write = os.pipe()
            say_read, say_write = os.pipe()
            pid = os.fork()
            if pid == 0:
                try:
                    os.close(ask_write)
                    os.close(say_read)
                    self.work(top, number, ask_read, say_write)
                finally:
                    os._exit(0)
            os.close(ask_read)
            os.close(say_write)
            self.pids.append(pid)
            self.pipes.append((ask_write, say_read))

    def work(self, top, number, ask, say):
        mine = top / f"writer {number}"
        mine.mkdir()
        random_ = random.Random(number)
        os.set_blocking(ask, False)
        for n in range(10**9):
            path = mine / f"{random_.randrange(100)}"
            what = random_.random()
            if what < 0.6:
                size = random_.choice([3, 100, 1000, 20_000, 100_000])
                path.write_bytes(b"%d " % n * size)
            elif what < 0.7:
                path.unlink(missing_ok=True)
            elif what < 0.8 and path.exists():
                os.rename(path, mine / f"r{n % 10}")
            elif what < 0.9 and path.exists():
                os.setxattr(path, "user.n", b"%d" % n)
            else:
                sub = mine / f"sub{n % 5}"
                sub.mkdir(exist_ok=True)
                (sub / "f").write_bytes(b"%d" % n)
            try:
                word = os.read(ask, 1)
            except BlockingIOError:
                continue
            if not word:
                return
            os.write(say, b"!")
            os.set_blocking(ask, True)
            if not os.read(ask, 1):
                return
            os.set_blocking(ask, False)

    def pause(self):
        for ask, _ in self.pipes:
            os.write(ask, b"p")
        for _, say in self.pipes:
            assert os.read(say, 1) == b"!"

    def go_on(self):
        for ask, _ in self.pipes:
            os.write(ask, b"g")

    def stop(self):
        for ask, say in self.pipes:
            os.close(ask)
            os.close(say)
        for pid in self.pids:
            os.waitpid(pid, 0)


@pytest.fixture
def writers(fs):
    writers = Writers(fs.table, 3)
    yield writers
    writers.stop()


def test_a_copy_of_a_checkpoint_is_the_tree_of_that_moment_while_writers_run(
    fs, writers, tmp_path
):
    copy = tmp_path / "copy"
    for n in range(3):
        time.sleep(0.5)
        writers.pause()
        then = tree(fs.table, times=True, modes=True)
        fs.checkpoint(f"c{n}")
        writers.go_on()
        rsync("-aX", "--delete", f"{fs.checkpoints}/c{n}/", f"{copy}/")
        assert tree(copy / "t", times=True, modes=True) == then
        assert rsync("-anic", "--delete", f"{fs.checkpoints}/c{n}/", f"{copy}/") == ""


def test_an_older_checkpoint_is_copied_exactly_whatever_came_later(fs, writers, tmp_path):
    expected = {}
    for n in range(4):
        time.sleep(0.2)
        writers.pause()
        expected[f"c{n}"] = tree(fs.table)
        fs.checkpoint(f"c{n}")
        writers.go_on()
    fs.drop("c2")
    del expected["c2"]
    rsync("-aH", f"{fs.checkpoints}/", f"{tmp_path}/all/")
    assert sorted(os.listdir(tmp_path / "all")) == sorted(expected)
    for name, then in expected.items():
        assert tree(tmp_path / "all" / name / "t") == then


def test_quick_checks_of_successive_checkpoints_miss_nothing(fs, writers, tmp_path):
    """Sizes and times only, no -c: what I4 is for."""
    copy = tmp_path / "copy"
    for n in range(5):
        time.sleep(0.15)
        fs.checkpoint(f"c{n}")
        rsync("-a", "--delete", f"{fs.checkpoints}/c{n}/", f"{copy}/")
        assert rsync("-anic", "--delete", f"{fs.checkpoints}/c{n}/", f"{copy}/") == ""
        if n:
            fs.drop(f"c{n - 1}")


def test_a_copy_into_a_table_brings_everything_back(fs, tmp_path):
    source = tmp_path / "source"
    (source / "a/b").mkdir(parents=True)
    for n in range(50):
        (source / f"a/{n}").write_bytes(os.urandom(n * 1000))
    os.link(source / "a/1", source / "a/b/link")
    (source / "s").symlink_to("a/b")
    os.mkfifo(source / "fifo")
    (source / "run").write_text("#!/bin/sh\n")
    (source / "run").chmod(0o755)
    os.utime(source / "a/2", ns=(123456789, 987654321))
    os.setxattr(source / "a/3", "user.color", b"red")
    for name in ("s", "fifo"):
        # rsync does not mend these within the second in which it makes them
        os.utime(source / name, ns=(10**18, 10**18), follow_symlinks=False)
    rsync("-aHX", f"{source}/", f"{fs.table}/")
    assert rsync("-aHXnic", "--delete", f"{source}/", f"{fs.table}/") == ""
    assert tree(fs.table, times=True, modes=True) == tree(source, times=True, modes=True)
    assert os.path.samefile(fs.table / "a/1", fs.table / "a/b/link")
    fs.checkpoint("c")
    rsync("-aX", f"{fs.checkpoints}/c/t/", f"{tmp_path}/back/")
    assert tree(tmp_path / "back") == tree(source)


def test_rsync_into_the_mount_updates_in_place_and_by_rename(fs, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for how in ([], ["--inplace"], ["--append"], ["--sparse"], ["--partial-dir=.part"]):
        for n in range(5):
            with open(source / str(n), "ab") as file:
                file.write(os.urandom(30_000))
        rsync("-a", *how, f"{source}/", f"{fs.table}/")
        assert tree(fs.table) == tree(source)


def test_a_git_repository_lives_in_a_table(fs):
    sh("git --version", "/")
    sh(
        "git init -q . && git config user.email a@b && git config user.name n && "
        "for i in 1 2 3; do echo $i > f; git add f; git commit -qm $i; done && "
        "git gc -q && git fsck --strict && test $(git log --oneline | wc -l) = 3",
        fs.table,
    )
    fs.checkpoint("c")
    sh("echo 4 > f; git commit -qam 4", fs.table)
    done = sh(
        "git -c safe.directory='*' log --oneline | wc -l", fs.checkpoints / "c" / "t"
    )
    assert done.stdout.strip() == "3"


def test_tar_and_find_of_a_checkpoint_agree_with_each_other(fs):
    for n in range(100):
        (fs.table / f"d{n % 7}").mkdir(exist_ok=True)
        (fs.table / f"d{n % 7}" / str(n)).write_bytes(os.urandom(n))
    fs.checkpoint("c")
    sh("rm -rf t/*", fs.path)
    sh(
        "cd .checkpoints/c && tar -cf - . | tar -tf - | sed 's,/$,,' | sort > /tmp/a.$$;"
        "find . | sort | diff - /tmp/a.$$; r=$?; rm /tmp/a.$$; exit $r",
        fs.path,
    )
