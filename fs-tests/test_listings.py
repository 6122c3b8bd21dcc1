# SPDX-License-Identifier: Apache-2.0
#
# test_listings.py - a listing that the kernel kept is never one of a state that has passed
#
# The kernel keeps listings of live directories (decision 40).  Each test of a change lists
# first, so that there is something kept, in all the ways somebody may come to it: by opening
# the directory again, and through descriptors that are open already.

import errno
import os
import random
import threading
import time

import pytest

from harness import DirStream, Requests, eventually, fails, renameat2
from test_fragments import ctl, spread
from test_rollback import rollback
from txs import Tx

EXCHANGE = 2
ROUNDS = int(os.environ.get("LISTING_ROUNDS", "200"))


def ls(path):
    """As ls -l: names, and attributes of each."""
    return sorted(e.name for e in os.scandir(path) if e.stat(follow_symlinks=False))


def inodes(fs):
    """Those that the kernel is known to remember."""
    status = (fs.path / ".mnefs/status").read_text()
    return int(dict(line.split(maxsplit=1) for line in status.splitlines())["inodes"])


def asks_for_nothing(fs, path):
    ls(path)
    requests = Requests(fs)
    ls(path)
    return requests.listings() == 0


def is_kept(fs, path):
    """At the latest when what was closed before has been committed, or released."""
    eventually(lambda: asks_for_nothing(fs, path))
    return True


class Open:
    """A descriptor."""

    def __init__(self, path, flags):
        self.fd = os.open(path, flags)

    def __enter__(self):
        return self.fd

    def __exit__(self, *_):
        os.close(self.fd)


class Views:
    """A directory listed by descriptors kept open, and by opening it anew."""

    def __init__(self, path):
        self.path = path
        self.held = [os.open(path, os.O_RDONLY | os.O_DIRECTORY) for _ in range(2)]

    def all(self):
        return [
            *(sorted(os.listdir(fd)) for fd in self.held),
            ls(self.path),
            sorted(os.listdir(self.path)),
            ls(self.path),
            *(sorted(os.listdir(fd)) for fd in self.held),
        ]

    def show(self, expected):
        for _ in range(2):
            for seen in self.all():
                assert seen == sorted(expected)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for fd in self.held:
            os.close(fd)


OPEN = []  # files a change left open, to be closed before the mount ends


@pytest.fixture
def dir(fs):
    top = fs.table / "dir"
    top.mkdir()
    for name in ("a", "b", "c"):
        (top / name).write_text(name)
    (top / "sub").mkdir()
    yield top
    while OPEN:
        os.close(OPEN.pop())


# --- what is kept ----------------------------------------------------------------------


def test_a_second_listing_asks_for_nothing(fs, dir):
    assert is_kept(fs, dir)
    assert is_kept(fs, fs.table)
    for n in range(3000):
        (dir / f"more-{n:05}").touch()
    assert is_kept(fs, dir)
    assert len(ls(dir)) == 3004


def test_after_a_change_the_next_listing_is_kept_again(fs, dir):
    for n in range(5):
        assert is_kept(fs, dir)
        (dir / f"new{n}").touch()
        assert f"new{n}" in ls(dir)
    assert is_kept(fs, dir)


def test_what_others_do_elsewhere_disturbs_nothing(fs, dir):
    (fs.table / "other").mkdir()
    assert is_kept(fs, dir)
    requests = Requests(fs)
    for n in range(200):
        (fs.table / f"other/{n}").touch()
        (fs.table / f"other/{n}").unlink()
    ls(dir)
    assert requests.listings() == 0


def test_what_never_lists_disturbs_nothing(fs, dir):
    with Open(dir, os.O_RDONLY) as fd:
        os.fsync(fd)
        (dir / "x").touch()
        assert is_kept(fs, dir)
    (dir / "y").touch()
    ls(dir)
    time.sleep(0.5)  # it is committed by now
    with Open(dir, os.O_RDONLY) as fd:
        ls(dir)  # the first; at once
        requests = Requests(fs)
        ls(dir)
        assert requests.listings() == 0


def test_names_alone_are_not_kept_where_attributes_would_cost_more_than_before(fs):
    for n in range(3000):
        (fs.table / f"{n:05}").touch()
    if os.geteuid() != 0:
        pytest.skip("only root can make the kernel forget")
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("2\n")
    os.listdir(fs.table)
    requests = Requests(fs)
    assert len(ls(fs.table)) == 3000
    assert requests.since("lookup", "getattr") < 300


def test_a_listing_whose_entries_were_forgotten_is_read_anew(fs, dir):
    if os.geteuid() != 0:
        pytest.skip("only root can make the kernel forget")
    for n in range(3000):
        (dir / f"{n:05}").touch()
    assert is_kept(fs, dir)
    with open(dir / "a"):  # the directory stays
        with open("/proc/sys/vm/drop_caches", "w") as file:
            file.write("2\n")
        eventually(lambda: inodes(fs) < 100)  # nobody waits for a FORGET
        requests = Requests(fs)
        assert len(ls(dir)) == 3004
        assert requests.since("lookup", "getattr") < 600


# --- every way a listing changes -------------------------------------------------------


def by_create(fs, d):
    (d / "new").touch()
    return ["a", "b", "c", "new", "sub"]


def by_open_create(fs, d):
    OPEN.append(os.open(d / "new", os.O_CREAT | os.O_WRONLY))
    return ["a", "b", "c", "new", "sub"]


def by_unlink(fs, d):
    (d / "b").unlink()
    return ["a", "c", "sub"]


def by_unlink_of_what_waits(fs, d):
    with open(d / "new", "w"):
        assert "new" in ls(d)
        (d / "new").unlink()
        assert ls(d) == ["a", "b", "c", "sub"]
    return ["a", "b", "c", "sub"]


def by_mkdir(fs, d):
    (d / "sub2").mkdir()
    return ["a", "b", "c", "sub", "sub2"]


def by_rmdir(fs, d):
    (d / "sub").rmdir()
    return ["a", "b", "c"]


def by_rename(fs, d):
    os.rename(d / "a", d / "z")
    return ["b", "c", "sub", "z"]


def by_rename_over(fs, d):
    os.rename(d / "a", d / "b")
    return ["b", "c", "sub"]


def by_rename_in(fs, d):
    (fs.table / "x").touch()
    os.rename(fs.table / "x", d / "x")
    return ["a", "b", "c", "sub", "x"]


def by_rename_out(fs, d):
    os.rename(d / "a", fs.table / "x")
    return ["b", "c", "sub"]


def by_exchange(fs, d):
    (fs.table / "x").mkdir()
    renameat2(d / "a", fs.table / "x", EXCHANGE)
    assert (d / "a").is_dir()
    return ["a", "b", "c", "sub"]


def by_link(fs, d):
    os.link(d / "a", d / "l")
    return ["a", "b", "c", "l", "sub"]


def by_symlink(fs, d):
    (d / "l").symlink_to("a")
    return ["a", "b", "c", "l", "sub"]


def by_mknod(fs, d):
    os.mkfifo(d / "f")
    return ["a", "b", "c", "f", "sub"]


def by_tmpfile(fs, d):
    fd = os.open(d, os.O_TMPFILE | os.O_RDWR)
    here = os.open(".", os.O_PATH)
    os.link(f"/proc/self/fd/{fd}", d / "t", src_dir_fd=here, follow_symlinks=True)
    os.close(here)
    os.close(fd)
    return ["a", "b", "c", "sub", "t"]


def by_transaction(fs, d):
    with Tx(fs) as tx:
        top = tx.table / "dir"
        (top / "new").write_text("x")
        (top / "a").unlink()
        os.rename(top / "b", top / "moved")
        (top / "sub").rmdir()
        assert ls(d) == ["a", "b", "c", "sub"]
        tx.commit()
    return ["c", "moved", "new"]


def by_transaction_moving_in(fs, d):
    (fs.table / "x").write_text("x")
    with Tx(fs) as tx:
        os.rename(tx.table / "x", tx.table / "dir/x")
        tx.commit()
    return ["a", "b", "c", "sub", "x"]


def by_inner_transaction(fs, d):
    with Tx(fs) as tx:
        with Tx(fs, at=tx.path) as inner:
            (inner.path / "t/dir/new").touch()
            inner.commit()
        tx.commit()
    return ["a", "b", "c", "new", "sub"]


def by_rollback(fs, d):
    fs.checkpoint("then")
    (d / "new").touch()
    (d / "a").unlink()
    with Views(d) as views:
        views.show(["b", "c", "new", "sub"])
    rollback(fs, "then")
    return ["a", "b", "c", "sub"]


def by_rollback_of_what_waits(fs, d):
    fs.checkpoint("then")
    OPEN.append(os.open(d / "new", os.O_CREAT | os.O_WRONLY))
    assert "new" in ls(d)
    rollback(fs, "then")
    return ["a", "b", "c", "sub"]


def by_rollback_and_back(fs, d):
    """To a state of which a listing was kept before, with the same times."""
    fs.checkpoint("then")
    assert ls(d) == ["a", "b", "c", "sub"]
    (d / "new").touch()
    assert "new" in ls(d)
    before = rollback(fs, "then")
    assert ls(d) == ["a", "b", "c", "sub"]
    rollback(fs, before)
    return ["a", "b", "c", "new", "sub"]


def by_another_path(fs, d):
    """A directory of a table with fragments is reached through them, too."""
    spread(fs, 4, listing="records\n")
    where = next((fs.table / ".frag").glob("*/dir"))
    assert ls(d) == ["a", "b", "c", "sub"]
    (where / "new").touch()
    return ["a", "b", "c", "new", "sub"]


def by_another_path_of_one_fragment(fs, d):
    where = fs.table / ".frag/0001/dir"
    assert ls(where) == ["a", "b", "c", "sub"]
    (where / "new").touch()
    (d / "a").unlink()
    assert ls(where) == ["b", "c", "new", "sub"]
    return ["b", "c", "new", "sub"]


WAYS = [f for name, f in sorted(globals().items()) if name.startswith("by_")]


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__[3:])
def test_a_listing_after_a_change_shows_it(fs, dir, way):
    assert is_kept(fs, dir)
    with Views(dir) as views:
        views.show(["a", "b", "c", "sub"])
        expected = way(fs, dir)
        views.show(expected)


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__[3:])
def test_one_that_was_opened_before_shows_it_when_it_begins(fs, dir, way):
    """Opened while what was kept was good, not read before the change."""
    assert is_kept(fs, dir)
    fd = os.open(dir, os.O_RDONLY | os.O_DIRECTORY)
    expected = way(fs, dir)
    assert sorted(os.listdir(fd)) == expected
    assert sorted(os.listdir(fd)) == expected
    assert sorted(os.listdir(fd)) == expected
    os.close(fd)


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__[3:])
def test_one_that_alone_was_read_before_shows_it_when_it_begins_again(fs, dir, way):
    assert is_kept(fs, dir)
    fd = os.open(dir, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(3):
        assert sorted(os.listdir(fd)) == ["a", "b", "c", "sub"]
    expected = way(fs, dir)
    for _ in range(3):
        assert sorted(os.listdir(fd)) == expected
    os.close(fd)


def test_a_counter_is_made_in_a_table(fs, dir):
    assert is_kept(fs, fs.table)
    with Views(fs.table) as views:
        views.show(["dir"])
        with open(fs.path / ".mnefs/counter", "r+b", buffering=0) as file:
            file.write(b"t/count +1\n")
        views.show(["count", "dir"])


def test_the_table_itself_becomes_fragments_and_records_again(fs, dir):
    many = [f"{n:02}" for n in range(60)]
    for name in many:
        (fs.table / name).touch()
    assert is_kept(fs, fs.table)
    with Views(fs.table) as views:
        views.show([*many, "dir"])
        spread(fs, 4)
        views.show(["0001", "0002", "0003", "0004"])
        ctl(fs, "listing", "t").write_text("records\n")
        views.show([*many, "dir"])
        (fs.table / "x").touch()
        views.show([*many, "dir", "x"])


def test_c5_the_listing_of_a_dropped_checkpoint_answers_estale(fs, dir):
    top = fs.checkpoint("c") / "t/dir"
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(3):
        assert sorted(os.listdir(fd)) == ls(top) == ["a", "b", "c", "sub"]
    fs.drop("c")
    with fails(errno.ESTALE):
        os.listdir(fd)
    os.close(fd)


def test_a_removed_directory_is_empty(fs, dir):
    (fs.table / "gone").mkdir()
    fd = os.open(fs.table / "gone", os.O_RDONLY | os.O_DIRECTORY)
    assert os.listdir(fd) == []
    (fs.table / "gone").rmdir()
    assert os.listdir(fd) == []
    os.close(fd)


def test_types_and_numbers_in_a_kept_listing_are_those_of_now(fs, dir):
    for make in (lambda p: p.mkdir(), lambda p: p.symlink_to("b"), lambda p: p.touch()):
        assert is_kept(fs, dir)
        (dir / "a").rmdir() if (dir / "a").is_dir() else (dir / "a").unlink()
        make(dir / "a")
        for _ in range(3):
            found = {e.name: e for e in os.scandir(dir)}["a"]
            real = os.lstat(dir / "a")
            assert found.inode() == real.st_ino
            assert found.is_dir(follow_symlinks=False) == (dir / "a").is_dir()
            assert found.is_symlink() == (dir / "a").is_symlink()


def test_what_was_never_committed_goes_with_a_rollback(fs, dir):
    fs.checkpoint("then")
    with Open(dir / "new", os.O_CREAT | os.O_WRONLY), Open(dir, os.O_RDONLY) as fd:
        for _ in range(4):
            assert sorted(os.listdir(fd)) == ["a", "b", "c", "new", "sub"]
        os.stat(dir / "new")
        rollback(fs, "then")
        for _ in range(3):
            assert sorted(os.listdir(fd)) == ["a", "b", "c", "sub"]
        with fails(errno.ENOENT):
            os.stat(dir / "new")
        assert ls(dir) == ["a", "b", "c", "sub"]


# --- positions -------------------------------------------------------------------------


def names(count):
    return [f"stay-{n:06}".encode() for n in range(count)]


def make(d, all_of):
    for name in all_of:
        (d / os.fsdecode(name)).touch()


def rest_of(stream):
    seen = []
    while (name := stream.read()) is not None:
        seen.append(name)
    return seen


def take(stream, count):
    return [stream.read() for _ in range(count)]


def forget_pages():
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("1\n")


@pytest.mark.parametrize("kept", [False, True])
def test_going_on_where_others_listed_and_changed_meanwhile(fs, kept):
    """From the kernel's copy to ours and back, each entry once."""
    d = fs.table
    stay = names(4000)
    make(d, stay)
    (d / "a-first").touch()
    if kept:
        assert is_kept(fs, d)
    with DirStream(d) as stream:
        seen = take(stream, 1000)
        (d / "a-first").unlink()  # every number after it would be one less
        ls(d), ls(d)
        seen += take(stream, 1000)
        (d / "a-second").touch()
        (d / "a-third").touch()
        ls(d), ls(d)
        seen += rest_of(stream)
    assert sorted(n for n in seen if n.startswith(b"stay")) == stay


def test_going_on_when_the_kernel_dropped_its_copy(fs):
    if os.geteuid() != 0:
        pytest.skip("only root can make the kernel forget")
    d = fs.table
    stay = names(4000)
    make(d, stay)
    assert is_kept(fs, d)
    with DirStream(d) as stream:
        seen = take(stream, 500)
        forget_pages()
        seen += take(stream, 1500)
        (d / "a-first").touch()
        forget_pages()
        seen += rest_of(stream)
    assert sorted(n for n in seen if n.startswith(b"stay")) == stay
    assert sorted(os.listdir(os.fsencode(d))) == [b"a-first", *stay]


def test_positions_of_one_stream_are_good_whoever_lists(fs):
    d = fs.table
    stay = names(3000)
    make(d, stay)
    marks = []
    with DirStream(d) as stream:
        for n in range(30):
            seen = take(stream, 100)
            marks.append((stream.tell(), stay[(n + 1) * 100 :]))
            assert seen == stay[n * 100 : (n + 1) * 100]
            ls(d)
            if n % 3 == 0:
                forget_pages() if os.geteuid() == 0 else None
        random.Random(7).shuffle(marks)
        for position, expected in marks:
            stream.seek(position)
            assert take(stream, min(5, len(expected))) == expected[:5]
            ls(d)


def test_many_streams_at_once_all_see_all(fs):
    d = fs.table
    stay = names(3000)
    make(d, stay)
    failures = []

    def run(seed):
        chance = random.Random(seed)
        for _ in range(6):
            with DirStream(d) as stream:
                seen = take(stream, chance.randrange(2500))
                stream.rewind() if chance.random() < 0.3 else None
                seen = rest_of(stream) if chance.random() < 0.5 else seen
            if len(seen) != len(set(seen)):
                failures.append(seen)
            if sorted(os.listdir(os.fsencode(d))) != stay:
                failures.append("incomplete")

    threads = [threading.Thread(target=run, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_descriptor_that_lists_for_ever_stays_right(fs):
    """Names come and go: more of them than positions are kept for."""
    fd = os.open(fs.table, os.O_RDONLY | os.O_DIRECTORY)
    for n in range(60):
        for m in range(150):
            (fs.table / f"{n:03}-{m}").touch()
            if n > 2:
                (fs.table / f"{n - 3:03}-{m}").unlink()
        assert len(os.listdir(fd)) == 150 * min(n + 1, 3)
        assert len(os.listdir(fd)) == 150 * min(n + 1, 3)
        assert len(ls(fs.table)) == 150 * min(n + 1, 3)
    os.close(fd)


# --- races -----------------------------------------------------------------------------


class Listers:
    """Threads that list a directory all the time, each in its way."""

    def __init__(self, path):
        self.path, self.stop, self.failed = path, False, []
        ways = (self.anew, self.anew, self.held, self.half)
        self.threads = [threading.Thread(target=self.run, args=(w,)) for w in ways]

    def run(self, way):
        try:
            way()
        except Exception as error:
            self.failed.append(error)

    def anew(self):
        while not self.stop:
            os.listdir(self.path)

    def held(self):
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        while not self.stop:
            os.listdir(fd)
        os.close(fd)

    def half(self):
        while not self.stop:
            with DirStream(self.path) as stream:
                take(stream, 30)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stop = True
        for thread in self.threads:
            thread.join()
        assert not self.failed


def change_by_hand(fs, d, n):
    (d / f"n{n}").touch()
    if n > 3:
        (d / f"n{n - 4}").unlink()


def change_by_transaction(fs, d, n):
    with Tx(fs, f"J{n}") as tx:
        top = tx.table / "dir"
        (top / f"n{n}").touch()
        if n > 3:
            (top / f"n{n - 4}").unlink()
        tx.commit()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("lonely", [True, False])
@pytest.mark.parametrize(
    "change", [change_by_hand, change_by_transaction], ids=["hand", "tx"]
)
def test_while_all_list_each_change_shows_at_once(fs, dir, change, lonely):
    fd = os.open(dir, os.O_RDONLY | os.O_DIRECTORY)
    here = {"a", "b", "c", "sub"}
    with Listers(dir) if not lonely else DirStream(dir):
        for n in range(ROUNDS):
            change(fs, dir, n)
            here |= {f"n{n}"}
            here -= {f"n{n - 4}"}
            assert set(os.listdir(dir)) == here
            assert set(os.listdir(fd)) == here
            assert set(os.listdir(fd)) == here
            assert set(os.listdir(dir)) == here
    os.close(fd)
