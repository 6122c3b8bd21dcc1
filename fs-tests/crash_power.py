# SPDX-License-Identifier: Apache-2.0
#
# crash_power.py - the power goes at some moment of a load that was recorded
#
# The load is one client, so its changes have one order; each is numbered, begins with a
# mark in the journal, and those that the next fsync, checkpoint or sync makes durable are
# acknowledged with another.  Of the disks that may be left (see powerloss.py), each must
# mount, hold exactly the state after some change between the last acknowledged and the
# last begun, checkpoints and all, and then be clean.

import contextlib
import os
import random
import shutil
import subprocess
import sys

import harness
import powerloss
import pytest
from txs import Tx

SIZES = [0, 10, 300, 3000, 5000, 20_000, 140_000, 300_000]
NAMES = 24
CHECKPOINTS = 3

# Memtables and segments of the least size there is: their changes are cut, too.
SMALL = {"MNE_DEBUG": "unit=65536", "G_MESSAGES_DEBUG": None}
# And zeros written ahead in each log.
ROOM = {"MNE_DEBUG": "unit=65536,log-room=0", "G_MESSAGES_DEBUG": None}


@pytest.fixture
def shim():
    path = powerloss.find_shim()
    if not path or not path.exists():
        pytest.skip("no shim.so: make check builds it")
    return path


# --- the harness itself ----------------------------------------------------------------


def losses(shim, tmp_path, way):
    """How many of the disks lack what was before a barrier, or have gaps."""
    plain = shim.parent / "plain"
    store, journal = tmp_path / way, tmp_path / f"{way}.journal"
    env = powerloss.environment(shim, store, journal)
    subprocess.run([plain, way, store], env={**os.environ, **env}, check=True)
    lost = gaps = 0
    for _, rng, disk in powerloss.cuts_of(powerloss.records_of(journal), 60, way):
        cut = tmp_path / "cut"
        shutil.rmtree(cut, ignore_errors=True)
        disk.lose_power(rng, cut)
        done = subprocess.run(
            [plain, "read", cut], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            assert way == "batch", done.stderr
            continue
        prefix, others = map(int, done.stdout.split())
        lost += bool(disk.marks) and prefix <= int(disk.marks[-1])
        gaps += others > 0
    return lost, gaps


def test_a_synced_empty_batch_of_leveldb_is_no_barrier(shim, tmp_path):
    lost, _ = losses(shim, tmp_path, "batch")
    assert lost > 0, "the harness does not show what is known to be lost"


def test_what_was_before_a_barrier_of_the_engine_is_there_and_the_rest_is_a_prefix(
    shim, tmp_path
):
    assert losses(shim, tmp_path, "barrier") == (0, 0)


# --- the load --------------------------------------------------------------------------


class Load:
    """Changes through a mount, and what the store holds after each."""

    def __init__(self, seed, mark):
        self.random = random.Random(seed)
        self.mark = mark
        self.files = {}
        self.checkpoints = {}
        self.states = [self.state()]

    def state(self):
        return (dict(self.files), {k: dict(v) for k, v in self.checkpoints.items()})

    def run(self, m, count):
        """Each change is committed before the next begins; which are durable is told."""
        kinds = ["put"] * 6 + ["replace", "patch", "append", "cut", "rename"]
        kinds += ["unlink", "unlink", "checkpoint", "drop", "fsync", "sync", "sync"]
        kinds += ["transaction"] * 4
        for _ in range(count):
            kind = self.random.choice(kinds)
            number = len(self.states)
            self.mark(f"begin {number}")
            durable = getattr(self, kind)(m)
            harness.eventually(lambda: self.is_committed(m))
            self.states.append(self.state())
            if durable:
                self.mark(f"ack {number}")

    def is_committed(self, m):
        """The kernel tells of a close after close(2) has returned."""
        status = (m.path / ".mnefs/status").read_text().splitlines()
        return "uncommitted 0" in status and "open_files 0" in status

    def bytes(self):
        size = self.random.choice(SIZES)
        head = b"%d:" % len(self.states)
        return (head + self.random.randbytes(97) * (size // 97 + 1))[:size]

    def name(self):
        return f"f{self.random.randrange(NAMES):02d}"

    def one(self):
        return self.random.choice(sorted(self.files)) if self.files else None

    # each returns whether everything so far is durable

    def put(self, m):
        name = self.name()
        self.files[name] = self.bytes()
        (m.table / name).write_bytes(self.files[name])

    def fsync(self, m):
        name = self.name()
        self.files[name] = self.bytes()
        fd = os.open(m.table / name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        os.write(fd, self.files[name])
        os.fsync(fd)
        os.close(fd)
        return True

    def sync(self, m):
        harness.fsync_path(m.table)
        return True

    def replace(self, m):
        """Two commits; the name that is between them is part of the state."""
        self.files["tmp"] = self.bytes()
        (m.table / "tmp").write_bytes(self.files["tmp"])
        harness.eventually(lambda: self.is_committed(m))
        self.states.append(self.state())
        self.mark(f"begin {len(self.states)}")
        name = self.name()
        self.files[name] = self.files.pop("tmp")
        (m.table / "tmp").rename(m.table / name)

    def change(self, m, edit):
        name = self.one()
        if not name:
            return self.put(m)
        with open(m.table / name, "r+b") as file:
            self.files[name] = edit(file, self.files[name])
        return False

    def patch(self, m):
        def edit(file, old):
            at = self.random.randint(0, len(old))
            new = self.bytes()
            file.seek(at)
            file.write(new)
            return old[:at] + new + old[at + len(new) :]

        return self.change(m, edit)

    def append(self, m):
        def edit(file, old):
            new = self.bytes()
            file.seek(0, os.SEEK_END)
            file.write(new)
            return old + new

        return self.change(m, edit)

    def cut(self, m):
        def edit(file, old):
            size = self.random.randint(0, len(old))
            file.truncate(size)
            return old[:size]

        return self.change(m, edit)

    def rename(self, m):
        old, new = self.one(), self.name()
        if not old or old == new:
            return self.put(m)
        (m.table / old).rename(m.table / new)
        self.files[new] = self.files.pop(old)
        return False

    def unlink(self, m):
        name = self.one()
        if not name:
            return self.put(m)
        (m.table / name).unlink()
        del self.files[name]
        return False

    def checkpoint(self, m):
        if len(self.checkpoints) == CHECKPOINTS:
            return self.drop(m)
        name = f"c{len(self.states)}"
        m.checkpoint(name)
        self.checkpoints[name] = dict(self.files)
        return True

    def transaction(self, m):
        """Of it there is nothing before, and all after its commit; T1."""
        before = dict(self.files)
        tx = Tx(m, f"tx{len(self.states)}")
        self.change_some(tx)
        if self.random.random() < 0.3:
            self.nested(m, tx)
        how = self.random.choice(["commit", "commit sync", "commit sync", "abort", None])
        if how in ("abort", None):
            self.files = before
        if how:  # else it is left open
            tx.tell(how)
        return how == "commit sync"

    def nested(self, m, tx):
        before = dict(self.files)
        inner = Tx(m, "in", tx.path)
        self.change_some(inner)
        if self.random.random() < 0.5:
            inner.commit()
        else:
            inner.abort()
            self.files = before

    def change_some(self, tx):
        kinds = ["put", "put", "patch", "append", "cut", "rename", "unlink"]
        for _ in range(self.random.randint(1, 4)):
            getattr(self, self.random.choice(kinds))(tx)

    def drop(self, m):
        if not self.checkpoints:
            return self.put(m)
        name = self.random.choice(sorted(self.checkpoints))
        m.drop(name)
        del self.checkpoints[name]
        return False


def contents(top):
    return {name: (top / name).read_bytes() for name in os.listdir(top)}


def state_of(m):
    checkpoints = os.listdir(m.checkpoints)
    return (
        contents(m.table),
        {name: contents(m.checkpoints / name / "t") for name in checkpoints},
    )


def record(make_mount, shim, tmp_path, seed, debug):
    """Three runs of a daemon, the second of which is killed: journal and states."""
    store, journal = tmp_path / "store", tmp_path / "journal"
    mark = powerloss.Marker(journal)
    env = {**debug, **powerloss.environment(shim, store, journal)}
    load = Load(seed, mark)
    for run in range(3):
        m = make_mount(store, tmp_path / "mnt", "create", "sync=1", env=env)
        if run == 0:
            m.table.mkdir()
            harness.fsync_path(m.path)
            mark("ack 0")
        else:
            assert state_of(m) == load.states[-1], "not even the power went"
        load.run(m, 50)
        if run == 1:
            m.crash()
        else:
            m.unmount()
            mark(f"ack {len(load.states) - 1}")
    mark.close()
    return powerloss.records_of(journal), load.states


def limits(marks):
    """The last acknowledged change and the last begun; None before there was a store."""
    acknowledged = begun = None
    for mark in marks:
        word, number = mark.split()
        if word == "ack":
            acknowledged = int(number)
        else:
            begun = int(number)
    if acknowledged is None:
        return None
    return acknowledged, max(begun or 0, acknowledged)


def verify(m, states, least, most):
    found = state_of(m)
    for number in range(min(most, len(states) - 1), least - 1, -1):
        if found == states[number]:
            return number
    number = min(range(len(states)), key=lambda n: len(differences(found, states[n])))
    wrong = "; ".join(differences(found, states[number]))
    raise AssertionError(
        f"no state between {least} and {most}; it is {number}, but for {wrong}"
    )


def differences(found, wanted):
    def short(files, name):
        return f"{len(files[name])} bytes {files[name][:8]}" if name in files else "none"

    def between(what, have, want):
        for name in sorted(set(have) | set(want)):
            if have.get(name) != want.get(name):
                yield f"{what}{name}: {short(have, name)}, not {short(want, name)}"

    wrong = list(between("", found[0], wanted[0]))
    for name in sorted(set(found[1]) | set(wanted[1])):
        wrong += between(f"{name}/", found[1].get(name, {}), wanted[1].get(name, {}))
    return wrong


def examine(disk, rng, states, tmp_path, make_mount, cli):
    """One disk that may be left; how many changes behind the last begun it was."""
    least, most = limits(disk.marks)
    cut = tmp_path / "cut"
    shutil.rmtree(cut, ignore_errors=True)
    disk.lose_power(rng, cut)
    m = make_mount(cut, tmp_path / "mnt", env=SMALL)
    with contextlib.closing(Unmounting(m)):
        for expected in (r"what follows is dropped", "cut back", "CURRENT"):
            m.expect_log(expected)
        assert os.listdir(m.path / ".tx") == []
        number = verify(m, states, least, most)
    require_sound(cli, cut)
    return most - number


def require_sound(cli, store):
    """But for the end of a log that was cut off."""
    done = cli("check", store)
    findings = [
        line
        for line in done.stdout.splitlines()
        if "a log was damaged" not in line and "findings" not in line
    ]
    assert done.returncode == 0 or findings == [], done.stdout + done.stderr


class Unmounting:
    def __init__(self, mounted):
        self.mounted = mounted

    def close(self):
        if sys.exc_info()[0]:
            self.mounted.dispose()
        else:
            self.mounted.unmount()


@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("seed", "debug"), [(1, SMALL), (2, SMALL), (3, ROOM)])
def test_after_any_loss_of_power_the_store_is_a_prefix_that_holds_what_was_fsynced(
    make_mount, shim, tmp_path, cli, request, seed, debug
):
    seed += 3 * request.config.getoption("--power-seed")
    records, states = record(make_mount, shim, tmp_path, seed, debug)
    cuts = request.config.getoption("--power-cuts") // 2
    only = request.config.getoption("--power-cut")
    behind = []
    for n, (moment, rng, disk) in enumerate(powerloss.cuts_of(records, cuts, seed)):
        if limits(disk.marks) is None or (only is not None and n != only):
            continue
        try:
            behind.append(examine(disk, rng, states, tmp_path, make_mount, cli))
        except (AssertionError, OSError, harness.MountFailed) as error:
            kept = tmp_path / "kept"
            shutil.rmtree(kept, ignore_errors=True)
            disk.lose_power(random.Random(f"{seed}/{n}"), kept)
            raise AssertionError(
                f"cut {n} at record {moment} of {len(records)} ({kept}): {error}"
            ) from error
    assert len(behind) > 0
