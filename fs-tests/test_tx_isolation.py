# SPDX-License-Identifier: Apache-2.0
#
# test_tx_isolation.py - Mnesia's own tests of isolation, visibility and nesting, as
# operations on files
#
# Those of them that are elsewhere, and which is which: docs/testing.md.  Mnesia makes a
# transaction wait for a lock; here nobody waits (T3), and who comes too late is told so at
# commit (T2).

import errno
import os
import random
import shutil
import subprocess
import threading

import pytest

from harness import DirStream, eventually, fails, tree
from test_fragments import spread
from test_rollback import roll
from txs import Tx, open_ones


@pytest.fixture
def tx(fs):
    """It has read and written t/a."""
    (fs.table / "a").write_text("1")
    (fs.path / "other").mkdir()
    tx = Tx(fs)
    (tx.table / "a").write_text((tx.table / "a").read_text() + "2")
    return tx


# --- admin_conflict: what is done to tables while a transaction is open ------------------


def empty_and_drop(fs, tx):
    shutil.rmtree(fs.table)


def fragment(fs, tx):
    for n in range(20):
        (fs.table / f"more{n}").write_text("x")
    spread(fs, 4, listing="records\n")


def drop_checkpoint(fs, tx):
    fs.checkpoint("c")
    fs.drop("c")


def roll_back_other(fs, tx):
    fs.checkpoint("c", "other")
    (fs.path / "other/x").write_text("x")
    roll(fs, "run", "c")


def roll_back(fs, tx):
    fs.checkpoint("c")
    (fs.table / "a").write_text("later")
    roll(fs, "run", "c")


NO_CONCERN = {
    "create_table": lambda fs, tx: (fs.path / "new").mkdir(),
    "delete_table": lambda fs, tx: (fs.path / "other").rmdir(),
    "rename_table": lambda fs, tx: os.rename(fs.path / "other", fs.path / "another"),
    "change_fragments": fragment,
    "checkpoint": lambda fs, tx: fs.checkpoint("c"),
    "deactivate_checkpoint": drop_checkpoint,
    "rollback_of_another": roll_back_other,
    "sync": lambda fs, tx: (fs.path / ".mnefs/ctl").write_text("sync\n"),
}
CONCERN = {
    "delete_table": empty_and_drop,
    "rename_table": lambda fs, tx: os.rename(fs.table, fs.path / "renamed"),
    "rollback": roll_back,
}


@pytest.mark.parametrize("what", NO_CONCERN)
def test_t3_what_is_done_to_other_tables_neither_waits_nor_conflicts(fs, tx, what):
    NO_CONCERN[what](fs, tx)
    tx.commit()
    assert (fs.table / "a").read_text() == "12"


@pytest.mark.parametrize("what", CONCERN)
def test_t2_what_is_done_to_its_own_table_does_not_wait_but_conflicts(fs, tx, what):
    CONCERN[what](fs, tx)
    after = tree(fs.path)
    with fails(errno.ECANCELED):
        tx.commit()
    assert tx.conflicts()
    tx.abort()
    assert tree(fs.path) == after


# --- schema_deadlock, lock_burst ---------------------------------------------------------


def until_committed(fs, name, work, times):
    for _ in range(times):
        while True:
            tx = Tx(fs, name)
            try:
                work(tx)
                tx.commit()
                break
            except OSError as error:
                assert error.errno == errno.ECANCELED, error
                tx.abort()


def test_who_removes_tables_and_who_writes_to_two_of_them_both_finish(fs):
    (fs.path / "u").mkdir()
    errors = []

    def remove_and_make(tx):
        shutil.rmtree(tx.path / "u")
        (tx.path / "u").mkdir()

    def write_to_both(tx):
        for table in ("u", "t"):
            (tx.path / table / "x").write_text(str(random.random()))

    def work(name, what):
        try:
            until_committed(fs, name, what, 15)
        except BaseException as error:
            errors.append(error)

    workers = [
        threading.Thread(target=work, args=("schema", remove_and_make)),
        threading.Thread(target=work, args=("writer", write_to_both)),
        threading.Thread(target=work, args=("writer2", write_to_both)),
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors
    if (fs.path / "u/x").exists():
        assert (fs.table / "x").exists()


# --- visibility: write_shadows, delete_shadows, shadow_search, foldl, first_next ---------


class Shadow:
    """Tables as they should be seen from one place: name -> text."""

    def __init__(self, top, files, rng):
        self.top, self.files, self.rng = top, files, rng

    def change(self):
        name = f"n{self.rng.randrange(12)}"
        kind = self.rng.choice(["write", "write", "delete", "rename", "big"])
        if kind == "delete" or kind == "rename":
            if name not in self.files:
                with fails(errno.ENOENT):
                    os.unlink(self.top / name)
            elif kind == "delete":
                os.unlink(self.top / name)
                del self.files[name]
            else:
                other = f"n{self.rng.randrange(12)}"
                os.rename(self.top / name, self.top / other)
                self.files[other] = self.files.pop(name)
            return
        size = 20_000 if kind == "big" else 3
        self.files[name] = f"{self.rng.random()}" * size
        (self.top / name).write_text(self.files[name])

    def verify(self):
        assert sorted(os.listdir(self.top)) == sorted(self.files)
        assert {n: (self.top / n).read_text() for n in self.files} == self.files
        for name in (f"n{n}" for n in range(12)):
            assert (self.top / name).exists() == (name in self.files)


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_t1_it_sees_its_own_changes_over_what_there_was_and_nobody_else_does(
    fs, seed, fragments
):
    rng = random.Random(seed)
    outside = Shadow(fs.table, {}, rng)
    for _ in range(15):
        outside.change()
    if fragments > 1:
        spread(fs, fragments, listing="records\n")
    tx = Tx(fs)
    inside = Shadow(tx.table, dict(outside.files), rng)
    for _ in range(12):
        for _ in range(4):
            inside.change()
        inside.verify()
        outside.verify()
        inner = Tx(fs, "K", tx.path)
        innermost = Shadow(inner.table, dict(inside.files), rng)
        for _ in range(3):
            innermost.change()
        innermost.verify()
        inside.verify()
        if rng.random() < 0.5:
            inner.commit()
            inside.files = innermost.files
        else:
            inner.abort()
        inside.verify()
    tx.commit()
    outside.files = inside.files
    outside.verify()


def test_who_reads_a_listing_inside_meets_all_that_stays_once(fs):
    names = [f"n{n:03}".encode() for n in range(300)]
    for name in names:
        (fs.table / name.decode()).write_text("x")
    tx = Tx(fs)
    with DirStream(tx.table) as stream:
        met = [stream.read() for _ in range(100)]
        for name in names[::10]:
            (tx.table / name.decode()).unlink()
        for n in range(50):
            (tx.table / f"new{n}").write_text("x")
        while (name := stream.read()) is not None:
            met.append(name)
    stays = set(names) - set(names[::10])
    assert len(met) == len(set(met))
    assert stays <= set(met)
    assert sorted(os.listdir(tx.table)) == sorted(
        [n.decode() for n in stays] + [f"new{n}" for n in range(50)]
    )
    tx.abort()
    assert len(os.listdir(fs.table)) == 300


# --- atomicity, nesting: both_ok, child_dies, parent_dies, both_dies ---------------------


def test_explicit_abort_leaves_nothing(fs, tx):
    (tx.path / "made").mkdir()
    tx.tell("abort")
    assert open_ones(fs) == []
    assert (fs.table / "a").read_text() == "1"
    assert sorted(os.listdir(fs.path)) == ["other", "t"]


class Owner:
    """A process with which a transaction ends."""

    def __init__(self, tx):
        self.tx = tx
        script = f"exec 9<>'{tx.path}/.ctl'; echo own >&9; echo ready; exec sleep 100"
        self.process = subprocess.Popen(["bash", "-c", script], stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == b"ready\n"

    def die(self):
        """With all that it had."""
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        assert eventually(lambda: not self.tx.path.exists())


@pytest.fixture
def two(fs):
    (fs.table / "a").write_text("1")
    outer = Tx(fs)
    (outer.table / "a").write_text("outer")
    inner = Tx(fs, "K", outer.path)
    (inner.table / "b").write_text("inner")
    return outer, inner


def test_both_ok(fs, two):
    outer, inner = two
    inner.commit()
    outer.commit()
    assert sorted(os.listdir(fs.table)) == ["a", "b"]
    assert (fs.table / "a").read_text() == "outer"


def test_child_dies(fs, two):
    outer, inner = two
    Owner(inner).die()
    assert os.listdir(outer.table) == ["a"]
    outer.commit()
    assert os.listdir(fs.table) == ["a"]
    assert (fs.table / "a").read_text() == "outer"


@pytest.mark.parametrize("child_commits", [True, False])
def test_parent_dies(fs, two, child_commits):
    outer, inner = two
    owner = Owner(outer)
    if child_commits:
        inner.commit()
    owner.die()
    assert open_ones(fs) == []
    assert os.listdir(fs.table) == ["a"]
    assert (fs.table / "a").read_text() == "1"


def test_both_die(fs, two):
    outer, inner = two
    owners = Owner(outer), Owner(inner)
    owners[1].die()
    owners[0].die()
    assert open_ones(fs) == []
    assert (fs.table / "a").read_text() == "1"


def test_plain_work_goes_on_between_those_of_a_nest(fs, two):
    """mix_of_nested_activities: each activity keeps its own rules."""
    outer, inner = two
    (fs.table / "plain").write_text("plain")
    assert not (inner.table / "plain").exists() and not (outer.table / "plain").exists()
    inner.commit()
    assert (fs.table / "plain").read_text() == "plain"
    (outer.table / "c").write_text("c")
    with fails(errno.ECANCELED):  # the name was looked for, and was absent
        outer.commit()
    outer.abort()
    assert sorted(os.listdir(fs.table)) == ["a", "plain"]


def test_one_commits_once(fs, tx):
    held = os.open(tx.path / ".ctl", os.O_RDWR)
    tx.commit()
    for line in (b"commit", b"abort", b"own"):
        with fails(errno.ESTALE):
            os.write(held, line)
    os.close(held)
    with fails(errno.ENOENT):
        tx.abort()
    assert (fs.table / "a").read_text() == "12"
