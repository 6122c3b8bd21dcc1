# SPDX-License-Identifier: Apache-2.0
#
# test_rollback.py - tables become again what they were at a checkpoint

import errno
import mmap
import os
import shutil
import subprocess
import threading
import time

import pytest

from harness import loop_disk, tree

BIG = bytes(range(251)) * 4000


def rollback(m, name, *tables):
    """The name of the checkpoint of what was left behind."""
    return roll(m, "run", name, *tables)["before"]


def roll(m, *words):
    """What the control file answers."""
    with open(m.path / ".mnefs/rollback", "r+b", buffering=0) as ctl:
        ctl.write("\t".join(words).encode())
        answer = os.pread(ctl.fileno(), 4096, 0).split(b"\n\n")[0]
        answer = dict(line.split(b" ") for line in answer.splitlines())
    assert answer[b"before"].startswith(b"pre-rollback-")
    return {k.decode(): v.decode() for k, v in answer.items()}


def put(path, content):
    path.write_bytes(content)


def fill(top):
    """Something of everything."""
    put(top / "same", b"same")
    put(top / "small", b"small")
    put(top / "big", BIG)
    put(top / "patched", BIG)
    put(top / "cut", BIG)
    put(top / "gone", b"gone")
    put(top / "gone big", BIG)
    put(top / "moved big", BIG[::-1])
    os.symlink("small", top / "link")
    os.mkfifo(top / "fifo")
    (top / "tree/deep/er").mkdir(parents=True)
    put(top / "tree/deep/er/leaf", b"leaf")
    put(top / "tree/deep/two", b"two names")
    os.link(top / "tree/deep/two", top / "tree/other")
    put(top / "one", b"one name")
    os.setxattr(top / "small", "user.small", b"x")
    os.setxattr(top / "small", "user.big", b"X" * 5000)
    os.setxattr(top / "tree", "user.big", b"T" * 5000)
    os.chmod(top / "small", 0o640)
    os.utime(top / "same", ns=(1_000_000_001, 2_000_000_002))
    (top / "empty").mkdir()


def change(top):
    """And something done to all of it."""
    put(top / "small", b"changed")
    put(top / "big", b"now small")
    fd = os.open(top / "patched", os.O_RDWR)
    os.pwrite(fd, b"Y" * 200_000, 123_456)
    os.close(fd)
    os.truncate(top / "cut", 1000)
    os.unlink(top / "gone")
    os.unlink(top / "gone big")
    put(top / "gone", b"another")
    (top / "elsewhere").mkdir()
    os.rename(top / "moved big", top / "elsewhere/moved")
    os.unlink(top / "link")
    (top / "link").mkdir()
    os.unlink(top / "fifo")
    os.rename(top / "tree", top / "elsewhere/tree")
    put(top / "elsewhere/tree/deep/er/leaf", b"other leaf")
    os.unlink(top / "elsewhere/tree/other")
    os.link(top / "one", top / "elsewhere/second name")
    os.setxattr(top / "small", "user.big", b"Y" * 6000)
    os.setxattr(top / "small", "user.new", b"N" * 4000)
    os.chmod(top / "small", 0o600)
    put(top / "new", b"new")
    put(top / "new big", BIG)
    shutil.rmtree(top / "empty")


def whole(path):
    """tree(), and attributes, link counts and numbers of everything."""
    found = dict(tree(path))
    for name in found:
        at = path / name
        st = os.lstat(at)
        xattrs = {}
        if not os.path.islink(at):
            xattrs = {n: os.getxattr(at, n) for n in os.listxattr(at)}
        found[name] = (found[name], st.st_mode, st.st_mtime_ns, sorted(xattrs.items()))
    return found


def numbers(path):
    return {name: os.lstat(path / name).st_ino for name in tree(path)}


@pytest.fixture(params=[None, 2000], ids=["one batch", "many batches"])
def m(request, mount):
    """A rollback fits into one batch, or goes on and on."""
    env = {"MNE_DEBUG": f"rollback-batch={request.param}"} if request.param else {}
    with mount(env=env) as m:
        yield m


def test_a_rollback_brings_everything_back(m, check):
    m.table.mkdir()
    fill(m.table)
    m.checkpoint("c")
    then, ids = whole(m.table), numbers(m.table)
    change(m.table)
    left = whole(m.table)
    before = rollback(m, "c")
    assert whole(m.table) == then
    assert numbers(m.table) == ids, "a record keeps its number for life (I1)"
    assert tree(m.checkpoints / before / "t") == {k: v[0] for k, v in left.items()}
    assert tree(m.checkpoints / "c/t") == {k: v[0] for k, v in then.items()}
    st = os.stat(m.table / "tree/deep/two")
    assert st.st_nlink == 2 and os.path.samefile(
        m.table / "tree/deep/two", m.table / "tree/other"
    )
    m.unmount()
    check()


def test_a_rollback_can_be_rolled_back(m, check):
    m.table.mkdir()
    fill(m.table)
    m.checkpoint("c")
    change(m.table)
    left = whole(m.table)
    m.checkpoint("newer")
    put(m.table / "newest", b"newest")
    before = rollback(m, "c")
    put(m.table / "after", b"after the rollback")
    then = whole(m.table)
    again = rollback(m, "newer")
    assert whole(m.table) == left, "newer checkpoints stay, and stay exact (C8)"
    rollback(m, before)
    assert (m.table / "newest").read_bytes() == b"newest"
    rollback(m, again)
    assert whole(m.table) == then
    for name in sorted(os.listdir(m.checkpoints)):
        m.drop(name)
    with open(m.path / ".mnefs/ctl", "w") as ctl:
        ctl.write("reclaim\n")
    assert whole(m.table) == then
    m.unmount()
    check()


def test_what_was_reaped_and_swept_comes_back(m, check):
    """Bytes of what was deleted are with the checkpoint alone, and have moved."""
    m.table.mkdir()
    fill(m.table)
    for n in range(20):
        put(m.table / f"filler-{n}", os.urandom(500_000))
    m.checkpoint("c")
    then = whole(m.table)
    change(m.table)
    for n in range(20):
        os.unlink(m.table / f"filler-{n}")
    m.checkpoint("between")
    shutil.rmtree(m.table / "elsewhere")
    for line in ("sync", "reclaim"):
        (m.path / ".mnefs/ctl").write_text(line + "\n")
    before = rollback(m, "c")
    assert whole(m.table) == then
    m.drop("between")
    m.drop("c")
    (m.path / ".mnefs/ctl").write_text("reclaim\n")
    assert whole(m.table) == then
    rollback(m, before)
    assert not (m.table / "elsewhere").exists()
    m.unmount()
    check()


def test_the_newest_checkpoint_of_a_time_is_found(m):
    m.table.mkdir()
    put(m.table / "f", b"then")
    m.checkpoint("c")
    put(m.table / "f", b"now")
    rollback(m, "@latest")
    assert (m.table / "f").read_bytes() == b"then"


def test_who_may_not_write_may_not_roll_back(mount):
    with mount() as m:
        m.table.mkdir()
        put(m.table / "f", b"then")
        m.checkpoint("c")
        put(m.table / "f", b"now")
        assert os.stat(m.path / ".mnefs/rollback").st_mode & 0o777 == 0o600
    with mount("ro", create=False) as m:
        with pytest.raises(OSError) as error:
            rollback(m, "c")
        assert error.value.errno == errno.EROFS
        assert (m.table / "f").read_bytes() == b"now"


@pytest.mark.root
def test_without_room_nothing_is_rolled_back(make_mount, tmp_path):
    with loop_disk(64, tmp_path / "disk") as disk:
        store = disk / "store"
        with make_mount(store, tmp_path / "mnt", "create") as m:
            m.expect_log("(?i)space|full|ENOSPC")
            m.table.mkdir()
            for n in range(1000):
                put(m.table / f"{n}", b"then" * 1000)
            m.checkpoint("c")
            for n in range(1000):
                os.unlink(m.table / f"{n}")
            with pytest.raises(OSError):
                for n in range(1000):
                    put(m.table / f"filler-{n}", os.urandom(2 << 20))
            names = os.listdir(m.table)
            with pytest.raises(OSError) as error:
                rollback(m, "c")
            assert error.value.errno == errno.ENOSPC
            assert os.listdir(m.table) == names
            assert os.listdir(m.checkpoints) == ["c"]
            for name in names:
                os.unlink(m.table / name)
            (m.path / ".mnefs/ctl").write_text("reclaim\n")
            rollback(m, "c")
            assert tree(m.table) == tree(m.checkpoints / "c/t")


def test_the_kernel_forgets_what_it_knew(m):
    m.table.mkdir()
    fill(m.table)
    m.checkpoint("c")
    change(m.table)
    whole(m.table)
    for name in ("fifo", "empty", "tree", "gone big"):  # remembered as absent
        assert not (m.table / name).exists()
    here = os.open(m.table / "elsewhere", os.O_RDONLY)
    fd = os.open(m.table / "same", os.O_RDONLY)
    rollback(m, "c")
    for name in ("fifo", "empty", "tree/deep/er/leaf", "gone big"):
        assert os.path.lexists(m.table / name)
    for name in ("new", "new big", "elsewhere", "elsewhere/tree"):
        assert not os.path.lexists(m.table / name)
    assert os.readlink(m.table / "link") == "small"
    assert os.read(fd, 10) == b"same"
    os.close(fd)
    assert os.listdir(here) == []
    os.close(here)


def test_open_files_that_change_are_cut_off(m):
    m.table.mkdir()
    for name in ("same", "changed", "gone", "dirty", "mapped"):
        put(m.table / name, name.encode() * 2000)
    m.checkpoint("c")
    fds = {n: os.open(m.table / n, os.O_RDWR) for n in ("same", "changed", "gone", "mapped")}
    os.write(fds["changed"], b"changed")
    os.fsync(fds["changed"])
    os.unlink(m.table / "gone")
    fds["dirty"] = os.open(m.table / "dirty", os.O_RDWR)
    os.write(fds["dirty"], b"never closed")
    fds["new"] = os.open(m.table / "new", os.O_RDWR | os.O_CREAT)
    os.write(fds["new"], b"never closed")
    fds["nameless"] = os.open(m.table, os.O_RDWR | os.O_TMPFILE)
    os.write(fds["nameless"], BIG)
    mapped = mmap.mmap(fds["mapped"], 4096)
    mapped[0:3] = b"MAP"
    mapped.flush()
    rollback(m, "c")
    assert os.pread(fds["same"], 4, 0) == b"same"
    os.pwrite(fds["same"], b"SAME", 0)
    for name in ("changed", "gone", "dirty", "new", "nameless"):
        for act in (
            lambda fd: os.pwrite(fd, b"x", 0),
            lambda fd: os.pread(fd, 1, 0),
            os.fsync,
            lambda fd: os.truncate(fd, 0),
        ):
            with pytest.raises(OSError) as error:
                act(fds[name])
            assert error.value.errno == errno.ESTALE, name
    for fd in fds.values():
        os.close(fd)
    mapped.close()
    assert sorted(os.listdir(m.table)) == ["changed", "dirty", "gone", "mapped", "same"]
    assert (m.table / "same").read_bytes()[:8] == b"SAMEsame"
    for name in ("changed", "gone", "dirty", "mapped"):
        assert (m.table / name).read_bytes() == name.encode() * 2000
    put(m.table / "gone", b"written anew")
    assert (m.table / "gone").read_bytes() == b"written anew"


def test_tables_come_back_and_go(m, check):
    for name in ("keep", "dropped", "renamed", "x"):
        (m.path / name).mkdir()
        fill(m.path / name)
    os.setxattr(m.path, "user.root", b"r")
    m.checkpoint("c")
    then = whole(m.path)
    shutil.rmtree(m.path / "dropped")
    os.rename(m.path / "renamed", m.path / "other name")
    shutil.rmtree(m.path / "x")
    os.rename(m.path / "keep", m.path / "x")
    (m.path / "new").mkdir()
    fill(m.path / "new")
    os.setxattr(m.path, "user.root", b"changed")
    left = whole(m.path)
    before = rollback(m, "c")
    assert whole(m.path) == then
    assert os.getxattr(m.path, "user.root") == b"r"
    assert os.stat(m.path).st_nlink == 2 + 4
    rollback(m, before)
    assert whole(m.path) == left
    m.unmount()
    check()


def test_only_the_tables_named_are_rolled_back(m, check):
    for name in ("a", "b", "c"):
        (m.path / name).mkdir()
        put(m.path / name / "f", b"then")
    m.checkpoint("one")
    for name in ("a", "b", "c"):
        put(m.path / name / "f", b"now")
        put(m.path / name / "g", b"now")
    shutil.rmtree(m.path / "c")
    (m.path / "d").mkdir()
    before = rollback(m, "one", "a", "c")
    assert tree(m.path / "a") == tree(m.checkpoints / "one/a")
    assert tree(m.path / "c") == tree(m.checkpoints / "one/c")
    assert (m.path / "b/f").read_bytes() == b"now" and (m.path / "b/g").exists()
    assert sorted(os.listdir(m.path)) == ["a", "b", "c", "d"]
    assert os.stat(m.path).st_nlink == 2 + 4
    assert sorted(os.listdir(m.checkpoints / before)) == ["a"]
    rollback(m, before)
    assert sorted(os.listdir(m.path)) == ["a", "b", "d"]
    assert (m.path / "a/g").exists()
    m.checkpoint("only b", "b")
    put(m.path / "b/f", b"later")
    put(m.path / "a/f", b"later")
    rollback(m, "only b")
    assert (m.path / "b/f").read_bytes() == b"now"
    assert (m.path / "a/f").read_bytes() == b"later"
    m.unmount()
    check()


def refused(m, line, number):
    names = os.listdir(m.checkpoints)
    with pytest.raises(OSError) as error:
        roll(m, "run", *line.split("\t")[1:])
    assert error.value.errno == number
    assert os.listdir(m.checkpoints) == names
    return (m.path / ".mnefs/log").read_text().splitlines()[-1]


def test_what_cannot_be_rolled_back_is_refused_and_nothing_changes(m):
    m.table.mkdir()
    put(m.table / "f", b"then")
    m.checkpoint("c")
    (m.path / "u").mkdir()
    put(m.table / "f", b"now")
    refused(m, "rollback\tnot there", errno.ENOENT)
    assert "no table u in checkpoint c" in refused(m, "rollback\tc\tu", errno.ENOENT)
    os.rename(m.table, m.path / "v")
    os.rename(m.path / "u", m.table)
    assert "rename it first" in refused(m, "rollback\tc\tt", errno.EEXIST)
    assert (m.path / "v/f").read_bytes() == b"now"
    rollback(m, "c")
    assert os.listdir(m.path) == ["t"]
    assert (m.path / "t/f").read_bytes() == b"then"


def test_nothing_changed_is_a_rollback_too(m):
    m.table.mkdir()
    put(m.table / "f", b"then")
    m.checkpoint("c")
    fd = os.open(m.table / "f", os.O_RDONLY)
    rollback(m, "c")
    assert os.read(fd, 10) == b"then"
    os.close(fd)


def test_readers_see_all_of_it_or_nothing(mount):
    """What the kernel does not cache comes back at one moment."""
    with mount(env={"MNE_DEBUG": "rollback-batch=3000"}) as m:
        m.table.mkdir()
        for n in range(300):
            put(m.table / f"{n}", b"then")
            os.setxattr(m.table / f"{n}", "user.v", b"then")
        m.checkpoint("c")
        for n in range(300):
            put(m.table / f"{n}", b"nows")
            os.setxattr(m.table / f"{n}", "user.v", b"nows")
        stop, wrong = threading.Event(), []

        def read():
            while not stop.is_set():
                # in this order: once the first is back, so is the last
                first = os.getxattr(m.table / "0", "user.v")
                last = os.getxattr(m.table / "299", "user.v")
                if (first, last) == (b"then", b"nows"):
                    wrong.append((first, last))

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        rollback(m, "c")
        time.sleep(0.1)
        stop.set()
        for thread in threads:
            thread.join()
        assert not wrong, wrong[:3]
        assert {(m.table / f"{n}").read_bytes() for n in range(300)} == {b"then"}


def test_writers_go_on(m, check):
    m.table.mkdir()
    (m.table / "w").mkdir()
    for n in range(50):
        put(m.table / f"{n}", b"then")
    m.checkpoint("c")
    stop, failures = threading.Event(), []

    def write(which):
        n = 0
        while not stop.is_set():
            n += 1
            try:
                put(m.table / f"{n % 50}", b"%d" % n)
                put(m.table / f"w/{which}-{n % 7}", BIG[: n * 100])
                os.rename(m.table / f"w/{which}-{n % 7}", m.table / f"w/{which}-{n % 3}")
            except OSError as error:
                if error.errno not in (errno.ESTALE, errno.ENOENT):
                    failures.append(error)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        time.sleep(0.05)
        rollback(m, "c")
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]
    rollback(m, "c")
    assert os.listdir(m.table / "w") == []
    assert {(m.table / f"{n}").read_bytes() for n in range(50)} == {b"then"}
    m.unmount()
    check()


def test_it_costs_what_changed_not_what_there_is(make_mount, tmp_path):
    """The calls to the engine do not grow with the table."""

    def calls(records):
        path = tmp_path / f"store-{records}"
        env = {"MNE_DEBUG": "trace-kv"}
        with make_mount(path, tmp_path / f"mnt-{records}", "create", env=env) as m:
            m.table.mkdir()
            for n in range(records):
                put(m.table / f"{n}", b"then")
            m.checkpoint("c")
            for n in range(20):
                put(m.table / f"{n}", b"now")
            start = len(m.log_text().splitlines())
            rollback(m, "c")
            return len(m.log_text().splitlines()) - start

    few, many = calls(100), calls(2000)
    assert many < few * 2, (few, many)


def test_the_command_says_what_it_would_do_and_what_it_did(m, cli):
    (m.path / "users").mkdir()
    for name in ("alice", "bob", "same"):
        put(m.path / "users" / name, b"then")
    (m.path / "users/tree").mkdir()
    put(m.path / "users/tree/leaf", b"then")
    (m.path / "other").mkdir()
    m.checkpoint("nightly")
    put(m.path / "users/alice", b"now")
    os.unlink(m.path / "users/bob")
    put(m.path / "users/carol", b"now")
    shutil.rmtree(m.path / "users/tree")
    put(m.path / "other/x", b"now")
    left = tree(m.path)
    fd = os.open(m.path / "users/carol", os.O_RDONLY)
    said = cli("rollback", "nightly", "-t", "users", "-n", cwd=m.path)
    assert said.returncode == 0
    lines = said.stdout.splitlines()
    assert sorted(lines[:-2]) == [
        "+ users/bob",
        "+ users/tree",
        "+ users/tree/leaf",
        "- users/carol",
        "~ users/alice",
    ]
    assert lines[-2] == (
        "would restore 4 and remove 1 in users; 1 open file would be cut off"
    )
    assert "would be made first; newer checkpoints stay" in lines[-1]
    assert tree(m.path) == left and os.listdir(m.checkpoints) == ["nightly"]
    said = cli("rollback", "nightly", "-t", "users", cwd=m.path)
    assert said.returncode == 0
    os.close(fd)
    before = said.stdout.splitlines()[-1].split()[-1]
    assert tree(m.path / "users") == tree(m.checkpoints / "nightly/users")
    assert (m.path / "other/x").exists()
    said = cli("--json", "rollback", before, cwd=m.path)
    assert '"done":true' in said.stdout and '"removed":3' in said.stdout
    assert tree(m.path) == left


def test_the_command_says_why_not(m, cli):
    m.table.mkdir()
    m.checkpoint("c")
    said = cli("rollback", "d", cwd=m.path)
    assert said.returncode == 5 and "there is no checkpoint d" in said.stderr
    said = cli("rollback", "c", "-t", "u", cwd=m.path)
    assert said.returncode == 5 and "no table u in checkpoint c" in said.stderr
    assert cli("rollback", cwd=m.path).returncode == 2


def in_fragments(m, table, n):
    (m.path / ".mnefs/tables" / table / "fragments").write_text(f"{n}\n")
    until = time.monotonic() + 20
    while time.monotonic() < until:
        (m.path / ".mnefs/ctl").write_text("reclaim\n")
        if (m.path / ".mnefs/tables" / table / "fragments").read_text().split()[0] == str(n):
            return
        time.sleep(0.05)
    pytest.fail((m.path / ".mnefs/tables" / table / "fragments").read_text())


@pytest.mark.parametrize("then, now", [(1, 5), (5, 1), (3, 8)])
def test_a_table_keeps_the_fragments_of_today(m, check, then, now):
    """C8: splitting and rolling back do not disturb each other."""
    m.table.mkdir()
    fill(m.table)
    for n in range(200):
        put(m.table / f"r{n}", b"then")
    in_fragments(m, "t", then)
    m.checkpoint("c")
    for n in range(0, 200, 2):
        put(m.table / f"r{n}", b"now")
    for n in range(0, 200, 5):
        os.unlink(m.table / f"r{n}")
    in_fragments(m, "t", now)
    for n in range(200, 250):
        put(m.table / f"r{n}", b"new")
    before = rollback(m, "c")
    names = {f"r{n}" for n in range(200)}
    for n in range(250):
        expected = b"then" if n < 200 else None
        there = (m.table / f"r{n}").read_bytes() if (m.table / f"r{n}").exists() else None
        assert there == expected
    assert names <= {p.name for p in (m.checkpoints / "c/t").rglob("r*")}
    rollback(m, before)
    assert (m.table / "r2").read_bytes() == b"now" and not (m.table / "r0").exists()
    for path in list(m.table.iterdir()):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    m.table.rmdir()
    rollback(m, "c")
    for n in range(200):
        assert (m.table / f"r{n}").read_bytes() == b"then"
    m.unmount()
    check()
