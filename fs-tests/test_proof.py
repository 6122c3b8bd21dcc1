# SPDX-License-Identifier: Apache-2.0
#
# test_proof.py - proof of a copy: sha256sums, mnefs ck verify, mnefs rsync

import errno
import os
import random
import re
import subprocess
import time

import pytest

from harness import as_nobody, eventually, fails, sh, tree

OK, USAGE, PARTIAL, DIFFERENT, NOT_FOUND = 0, 2, 3, 4, 5

NAMES = [
    b"plain",
    b"with blank",
    b"back\\slash",
    b"new\nline",
    b"carriage\rreturn",
    b"\\",
    b"-rf",
    b"*star",
    b"\xff\xfe not utf-8",
    "Ünïcödé".encode(),
]


def fill(table):
    """Files of all sizes and names, and all that is no file."""
    (table / "dir/deep").mkdir(parents=True)
    top = os.fsencode(table)
    for n, name in enumerate(NAMES):
        with open(os.path.join(top, name), "wb") as file:
            file.write(os.urandom(n * 777))
        with open(os.path.join(top, b"dir/deep", name), "wb") as file:
            file.write(name)
    (table / "empty").touch()
    (table / "big").write_bytes(os.urandom(3_000_000))
    with open(table / "holes", "wb") as file:
        file.seek(5_000_000)
        file.write(b"end")
    os.link(table / "big", table / "dir/link")
    (table / "symlink").symlink_to("big")
    os.mkfifo(table / "fifo")
    os.setxattr(table / "big", "user.color", b"red" * 1000)


def sums(fs, name="c"):
    return fs.path / f".mnefs/checkpoints/{name}/sha256sums"


def stock_sums(top):
    done = subprocess.run(
        "find . -type f -print0 | xargs -0 sha256sum",
        shell=True,
        cwd=top,
        capture_output=True,
        check=True,
    )
    lines = done.stdout.replace(b"  ./", b"  ").split(b"\n")
    return sorted(line for line in lines if line)


# --- sha256sums ------------------------------------------------------------------------


def test_sha256sums_are_those_of_sha256sum(fs):
    fill(fs.table)
    (fs.path / "other").mkdir()
    (fs.path / "other/f").write_text("x")
    fs.checkpoint("c")
    wanted = stock_sums(fs.checkpoints / "c")
    sh("rm -rf t/*", fs.path)
    got = sums(fs).read_bytes()
    assert got.endswith(b"\n")
    assert sorted(line for line in got.split(b"\n") if line) == wanted
    assert len(wanted) == 2 * len(NAMES) + 5


def test_sha256sum_accepts_a_copy_and_finds_what_is_wrong_with_it(fs, tmp_path):
    fill(fs.table)
    fs.checkpoint("c")
    copy = tmp_path / "copy"
    sh(f"rsync -a .checkpoints/c/ {copy}/", fs.path)
    sh(f"cp .mnefs/checkpoints/c/sha256sums {tmp_path}/sums", fs.path)
    done = sh("sha256sum -c --quiet ../sums", copy)
    assert done.stdout == "" and done.stderr == ""
    sh(f"sha256sum -c --quiet {sums(fs)}", copy)
    (copy / "t/plain").write_text("wrong")
    (copy / "t/big").unlink()
    done = sh("sha256sum -c --quiet ../sums", copy, check=False)
    assert done.returncode == 1
    assert "t/plain: FAILED" in done.stdout and "t/big: FAILED open" in done.stdout


def test_sha256sums_can_be_read_in_any_order_and_again(fs):
    for n in range(3000):
        (fs.table / f"{n:05}").write_text(str(n))
    fs.checkpoint("c")
    whole = sums(fs).read_bytes()
    assert whole.count(b"\n") == 3000
    with open(sums(fs), "rb", buffering=0) as file:
        rng = random.Random(5)
        for _ in range(30):
            at = rng.randrange(len(whole) + 1000)
            size = rng.choice([1, 100, 4096, 200_000])
            assert os.pread(file.fileno(), size, at) == whole[at : at + size][
                : len(os.pread(file.fileno(), size, at))
            ]
        at = b""
        while piece := os.pread(file.fileno(), 10_000, len(at)):
            at += piece
        assert at == whole
    assert sh(f"tail -1 {sums(fs)}", fs.path).stdout.encode() == (
        whole.splitlines(keepends=True)[-1]
    )
    assert sh(f"head -1 {sums(fs)}", fs.path).stdout.encode() == (
        whole.splitlines(keepends=True)[0]
    )


def test_sha256sums_of_a_table_that_lists_fragments_are_those_of_its_copy(fs, tmp_path):
    setting = fs.path / ".mnefs/tables/t/fragments"
    if not setting.exists():
        pytest.skip("no fragments")
    for n in range(40):
        (fs.table / f"record {n}").write_text(str(n))
    (fs.table / "tree/deep").mkdir(parents=True)
    (fs.table / "tree/deep/f").write_text("f")
    setting.write_text("4\n")
    state = fs.path / ".mnefs/tables/t/fragments.json"
    assert eventually(lambda: len(os.listdir(fs.table)) == 4), state.read_text()
    fs.checkpoint("c")
    copy = tmp_path / "copy"
    sh(f"rsync -a .checkpoints/c/ {copy}/", fs.path)
    assert sorted(os.listdir(copy / "t")) == ["0001", "0002", "0003", "0004"]
    sh(f"sha256sum -c --quiet {sums(fs)}", copy)
    assert sums(fs).read_bytes().count(b"\n") == 41


def test_sha256sums_do_not_change_with_the_live_files(fs):
    fill(fs.table)
    fs.checkpoint("c")
    before = sums(fs).read_bytes()
    (fs.table / "plain").write_text("changed")
    fs.checkpoint("d")
    assert sums(fs).read_bytes() == before
    changed = set(sums(fs, "d").read_bytes().split(b"\n")) ^ set(before.split(b"\n"))
    assert len(changed) == 2


def test_sha256sums_of_a_checkpoint_that_goes_are_estale(fs):
    for n in range(2000):
        (fs.table / f"{n:05}").write_text(str(n))
    fs.checkpoint("c")
    with open(sums(fs), "rb", buffering=0) as file:
        first = file.read(100)
        assert len(first) == 100
        fs.drop("c")
        with fails(errno.ESTALE):
            while file.read(100_000):
                pass
    with fails(errno.ENOENT):
        sums(fs).read_bytes()


def test_a_reader_of_sha256sums_can_be_killed(fs):
    for n in range(6):
        (fs.table / f"{n}").write_bytes(os.urandom(8_000_000))
    fs.checkpoint("c")
    for wait in (0.0, 0.02, 0.1):
        reader = subprocess.Popen(["cat", sums(fs)], stdout=subprocess.DEVNULL)
        time.sleep(wait)
        reader.kill()
        assert reader.wait(10) is not None
    assert sums(fs).read_bytes().count(b"\n") == 6


@pytest.mark.root
def test_sha256sums_are_for_the_owner_alone(open_fs):
    open_fs.checkpoint("c")

    def other():
        for name in ("sha256sums", "verify"):
            with fails(errno.EACCES):
                os.open(f".mnefs/checkpoints/c/{name}", os.O_RDONLY)

    as_nobody(open_fs.path, other)


# --- verify ----------------------------------------------------------------------------


def test_verify_reads_all_of_a_good_checkpoint(fs, cli):
    fill(fs.table)
    fs.checkpoint("c")
    sh("rm -rf t/*", fs.path)
    done = cli("-C", fs.path, "ck", "verify", "c")
    assert done.returncode == OK and "all good" in done.stdout
    done = cli("-C", fs.path, "--json", "ck", "verify", "@latest")
    assert done.returncode == OK and '"damaged":0' in done.stdout
    assert cli("-C", fs.path, "ck", "verify", "none").returncode == NOT_FOUND


def damage(store, needle):
    """Change a byte of the data somewhere in the segments."""
    for segment in sorted((store / "blob").iterdir()):
        data = segment.read_bytes()
        at = data.find(needle)
        if at >= 0:
            with open(segment, "r+b") as file:
                file.seek(at + 10)
                file.write(bytes([data[at + 10] ^ 1]))
            return
    raise AssertionError("the data is not there")


def test_verify_names_what_is_damaged_and_exits_with_4(mount, cli, store):
    content = {name: os.urandom(100_000) for name in ("a", "b", "c")}
    with mount() as m:
        m.table.mkdir()
        for name, data in content.items():
            (m.table / name).write_bytes(data)
        m.checkpoint("c")
    damage(store, content["b"][:64])
    with mount() as m:
        m.expected.append(re.compile("checksum mismatch"))
        done = cli("-C", m.path, "ck", "verify", "c")
        assert done.returncode == DIFFERENT, done.stdout + done.stderr
        assert "t/b" in done.stdout and "t/a" not in done.stdout
        done = cli("-C", m.path, "--json", "ck", "verify", "c")
        assert done.returncode == DIFFERENT and '"damaged":"t/b"' in done.stdout
        with fails(errno.EIO):
            sums(m).read_bytes()


# --- mnefs rsync -----------------------------------------------------------------------


def equal(fs, name, copy):
    done = sh(f"rsync -aHXnic --delete .checkpoints/{name}/ {copy}/", fs.path)
    return done.stdout == ""


@pytest.mark.parametrize("jobs", [1, 3])
def test_rsync_copies_a_checkpoint_and_deletes_what_is_not_in_it(fs, cli, tmp_path, jobs):
    fill(fs.table)
    (fs.path / "other").mkdir()
    for n in range(50):
        (fs.path / f"other/{n}").write_text(str(n))
    fs.checkpoint("a")
    copy = tmp_path / "copy"
    words = ("-C", fs.path, "rsync", "-j", jobs)
    done = cli(*words, "a", f"{copy}/", "--verify")
    assert done.returncode == OK, done.stderr
    assert equal(fs, "a", copy)
    sh("rm -rf t/dir other; echo x > t/dir; mkdir t/more; echo y > t/more/f", fs.path)
    fs.checkpoint("b")
    done = cli(*words, "@latest", f"{copy}/")
    assert done.returncode == OK, done.stderr
    assert equal(fs, "b", copy)
    assert tree(copy / "t") == tree(fs.checkpoints / "b/t")


def test_rsync_holds_the_checkpoint_meanwhile(fs, cli, tmp_path):
    fill(fs.table)
    fs.checkpoint("a")
    shell = tmp_path / "shell"
    shell.write_text(f"#!/bin/sh\nrmdir {fs.checkpoints}/a 2>&1\nshift\nexec sh -c \"$*\"\n")
    shell.chmod(0o755)
    cli(
        *["-C", fs.path, "rsync", "a", f"host:{tmp_path}/copy/", "--", "-e", shell],
    )
    assert os.listdir(fs.checkpoints) == ["a"]
    fs.drop("a")


def test_rsync_options_and_mistakes(fs, cli, tmp_path):
    fill(fs.table)
    fs.checkpoint("a")
    copy = tmp_path / "copy"
    words = ("-C", fs.path, "rsync")
    assert cli(*words, "a", copy, "--", "--exclude=big").returncode == OK
    assert not (copy / "t/big").exists() and (copy / "t/plain").exists()
    assert cli(*words, "none", copy).returncode == NOT_FOUND
    assert cli(*words, "a", copy, "-j", "0").returncode == USAGE
    assert cli(*words, "a", copy, "--since", "x/y").returncode == USAGE
    assert cli(*words, "a", copy, "--since", "none").returncode == NOT_FOUND
    assert cli(*words, "a", copy, "--", "--no-such-option").returncode == 1
    (copy / "t/too much").touch()
    done = cli(*words, "a", copy, "--", "--max-delete=0")
    assert done.returncode == PARTIAL, done.stderr
    assert "left something out" in done.stderr


def test_rsync_verify_finds_what_differs(fs, cli, tmp_path):
    fill(fs.table)
    fs.checkpoint("a")
    copy = tmp_path / "copy"
    words = ("-C", fs.path, "rsync", "a", copy)
    assert cli(*words).returncode == OK
    info = (copy / "t/big").stat()
    data = bytearray((copy / "t/big").read_bytes())
    data[1000] ^= 1
    (copy / "t/big").write_bytes(data)
    os.utime(copy / "t/big", ns=(info.st_atime_ns, info.st_mtime_ns))
    assert cli(*words).returncode == OK  # size and time are right: not noticed
    done = cli(*words, "--verify")
    assert done.returncode == DIFFERENT and "t/big" in done.stdout


@pytest.mark.parametrize("jobs", [1, 3])
def test_rsync_since_copies_what_changed(fs, cli, tmp_path, jobs):
    if not (fs.path / ".mnefs/changed").exists():
        pytest.skip("no lists of changes")
    fill(fs.table)
    for n in range(100):
        (fs.table / f"{n}").write_text(str(n))
    fs.checkpoint("a")
    copy = tmp_path / "copy"
    words = ("-C", fs.path, "rsync", "-j", jobs)
    assert cli(*words, "a", copy).returncode == OK
    sh("rm -rf t/dir t/1*; echo x > t/dir; mkdir t/2x t/2x/y; echo y > t/2x/y/f", fs.path)
    sh("rm t/plain; mkdir t/plain; echo z > t/plain/z; mv t/big t/2x/y/big", fs.path)
    (fs.path / "new table").mkdir()
    (fs.path / "new table/f").write_text("f")
    fs.checkpoint("b")
    done = cli(*words, "b", copy, "--since", "a", "--verify")
    assert done.returncode == OK, done.stdout + done.stderr
    assert equal(fs, "b", copy)
