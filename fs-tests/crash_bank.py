# SPDX-License-Identifier: Apache-2.0
#
# crash_bank.py - a bank in the manner of TPC-B, whose daemon is killed now and then
#
# Clients move money, each time by a transaction: an account, a teller and a branch change
# by the same amount, and a history record says so; or one account gives to another.  They
# begin again after a conflict.  Meanwhile one takes checkpoints, auditors count in
# transactions of their own, and plain readers read single records.  Accounts, tellers,
# branches and history have the same sum
#
#	in every checkpoint (C1), while it goes on and ever after;
#	in the view of every transaction (T1), a nested one and that of `mnefs tx` included;
#	after every kill -9 and remount (D1); and what was acknowledged is there then.
#
# The store is the same over all rounds.

import errno
import itertools
import os
import random
import time
import traceback

import pytest
from txs import Tx

CLIENTS = 4
SIZES = {"accounts": 24, "tellers": 6, "branches": 2}
KEPT = 4  # checkpoints
# The daemon; the last one over io_uring.
GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.ECANCELED)


class Bank:
    """The tables below some directory: a mount, a transaction, a checkpoint."""

    def __init__(self, top):
        self.top = top

    def make(self):
        for table, size in SIZES.items():
            (self.top / table).mkdir()
            for n in range(size):
                self.write(table, n, 0)
        (self.top / "history").mkdir()

    def write(self, table, n, balance):
        """Of one size: who reads it plainly then sees the old or the new one."""
        (self.top / table / str(n)).write_text(f"{table} {n} {balance:9} .\n")

    def read(self, table, n):
        words = (self.top / table / str(n)).read_text().split()
        assert words[:2] == [table, str(n)] and words[3:] == ["."], words
        return int(words[2])

    def add(self, table, n, amount):
        self.write(table, n, self.read(table, n) + amount)

    def history(self):
        """What the history says was done, by name."""
        return {n: self.read("history", n) for n in os.listdir(self.top / "history")}

    def audit(self):
        sums = {t: sum(self.read(t, n) for n in range(SIZES[t])) for t in SIZES}
        sums["history"] = sum(self.history().values())
        assert len(set(sums.values())) == 1, sums


class Worker:
    """A child that works until it is told to stop, or the daemon is gone."""

    def __init__(self, m, number, work, stop):
        read_end, write_end = os.pipe()
        self.name = f"{work.__name__} {number}"
        self.pid = os.fork()
        if self.pid == 0:
            os.close(read_end)
            with os.fdopen(write_end, "w", buffering=1) as pipe:
                self.run(lambda: work(m, number, stop, pipe), pipe)
            os._exit(0)
        os.close(write_end)
        self.pipe = read_end

    @staticmethod
    def run(work, pipe):
        try:
            work()
        except OSError as error:
            gone = error.errno in GONE
            pipe.write("gone\n" if gone else f"failed\n{traceback.format_exc()}")
        except BaseException:
            pipe.write(f"failed\n{traceback.format_exc()}")

    def end(self, is_killed):
        """Its words, once it has ended."""
        with os.fdopen(self.pipe) as pipe:
            said = pipe.read()
        os.waitpid(self.pid, 0)
        assert "failed" not in said, f"{self.name}: {said}"
        assert is_killed or "gone" not in said, f"{self.name}: the daemon is gone"
        return said.split("\n")


# --- what they do ----------------------------------------------------------------------


def post(bank, rng, name):
    """TPC-B: account, teller, branch, history."""
    amount = rng.randint(-99, 99)
    for table, size in SIZES.items():
        bank.add(table, rng.randrange(size), amount)
    bank.write("history", name, amount)


def locked_post(tx, rng, name):
    """The same, with locks before: after them nothing but who takes none is in the way."""
    amount = rng.randint(-99, 99)
    rows = [(table, rng.randrange(size)) for table, size in SIZES.items()]
    tx.tell("".join(f"lock write {table}/{n}\n" for table, n in rows))
    for table, n in rows:
        Bank(tx.path).add(table, n, amount)
    Bank(tx.path).write("history", name, amount)


def transfer(bank, rng, name):
    """Of one account to another one."""
    amount = rng.randint(1, 99)
    one, other = rng.sample(range(SIZES["accounts"]), 2)
    bank.add("accounts", one, -amount)
    bank.add("accounts", other, amount)
    bank.write("history", name, 0)


def nested(m, tx, rng, name):
    """A part that is done and undone, and another one that is done in its place."""
    inner = Tx(m, "in", tx.path)
    post(Bank(inner.path), rng, f"{name}-not")
    inner.abort()
    inner = Tx(m, "in", tx.path)
    post(Bank(inner.path), rng, name)
    Bank(inner.path).audit()
    inner.commit()


def attempt(m, tx, rng, name):
    kind = rng.random()
    if kind < 0.2:
        nested(m, tx, rng, name)
    elif kind < 0.4:
        transfer(Bank(tx.path), rng, name)
    elif kind < 0.6:
        locked_post(tx, rng, name)
    else:
        post(Bank(tx.path), rng, name)
    if rng.random() < 0.1:
        Bank(tx.path).audit()
    tx.commit("commit sync" if rng.random() < 0.1 else "commit")


def client(m, number, stop, pipe):
    """Says the name of each history record that is committed."""
    rng = random.Random(os.urandom(8))
    conflicts = 0
    while not stop.exists():
        name = f"{number}-{rng.getrandbits(60):x}"
        for tries in itertools.count():
            tx = Tx(m, f"client{number}")
            try:
                attempt(m, tx, rng, name)
                break
            except OSError as error:
                if error.errno != errno.ECANCELED:
                    raise
                conflicts += 1
                tx.abort()
                time.sleep(rng.random() * 0.002 * min(tries, 10))
        pipe.write(f"done {name}\n")
        pipe.write(f"conflicts {conflicts}\n")


def auditor(m, number, stop, pipe):
    while not stop.exists():
        tx = Tx(m, f"auditor{number}")
        Bank(tx.path).audit()
        tx.abort()
        pipe.write("audited\n")


def reader(m, number, stop, pipe):
    """Of single records, which are whole at any time."""
    rng = random.Random(number)
    while not stop.exists():
        table = rng.choice(list(SIZES))
        Bank(m.path).read(table, rng.randrange(SIZES[table]))
    pipe.write("read\n")


def snapper(m, number, stop, pipe):
    """Of the checkpoints of earlier rounds it leaves the last."""
    for count in itertools.count():
        if stop.exists():
            return
        name = f"{time.time_ns():x}-{number}"
        Bank(m.checkpoint(name)).audit()
        pipe.write(f"made {name}\n")
        names = sorted(os.listdir(m.checkpoints))
        Bank(m.checkpoints / names[count % len(names)]).audit()
        for old in names[:-KEPT]:
            m.drop(old)


# --- the rounds ------------------------------------------------------------------------


def words(said, what):
    return [line.split()[1] for line in said if line.startswith(f"{what} ")]


def open_for(m, seconds, stop, is_killed):
    """Names of what was done, and how many conflicts there were."""
    stop.unlink(missing_ok=True)
    jobs = [client] * CLIENTS + [auditor, reader, snapper]
    workers = [Worker(m, n, job, stop) for n, job in enumerate(jobs)]
    time.sleep(seconds)
    if is_killed:
        m.process.kill()
        m.process.wait()
    else:
        stop.touch()
    said = [worker.end(is_killed) for worker in workers]
    assert is_killed or "audited" in said[CLIENTS]
    done = {name for each in said for name in words(each, "done")}
    made = [name for each in said for name in words(each, "made")]
    conflicts = sum(int((words(each, "conflicts") or [0])[-1]) for each in said)
    return done, made, conflicts


def inspect(m, done, made):
    """After a remount, when nobody works."""
    assert os.listdir(m.path / ".tx") == []
    Bank(m.path).audit()
    missing = done - set(Bank(m.path).history())
    assert not missing, f"acknowledged and not there: {missing}"
    names = set(os.listdir(m.checkpoints))
    assert set(made[-KEPT + 1 :]) <= names
    for name in names:
        Bank(m.checkpoints / name).audit()


@pytest.mark.timeout(4000)
def test_the_books_balance_whenever_and_wherever_they_are_read(
    mount, check, tmp_path, request
):
    """T1, T2, C1, D1, D2."""
    quiet = {"G_MESSAGES_DEBUG": None}
    seconds = request.config.getoption("--bank-seconds")
    rounds = max(4, int(seconds / 10))
    stop = tmp_path / "stop"
    done, conflicts = set(), 0
    with mount(env=quiet) as m:
        Bank(m.path).make()
    for round_ in range(rounds):
        is_killed = round_ % 4 != 3
        m = mount(env=quiet)
        now, made, more = open_for(m, seconds / rounds, stop, is_killed)
        m.crash() if is_killed else m.unmount()
        done |= now
        conflicts += more
        with mount(env=quiet) as m:
            inspect(m, done, made)
        check()
    print(f"{len(done)} transactions, {conflicts} begun again")
    assert len(done) > 20, "they did not get anywhere"


AUDIT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from crash_bank import Bank
Bank(Path(".")).audit()
"""


def test_a_program_run_by_mnefs_tx_sees_the_books_balance(mount, cli, tmp_path):
    """T1: at the unchanged paths, while others go on."""
    m = mount(env={"G_MESSAGES_DEBUG": None})
    Bank(m.path).make()
    stop = tmp_path / "stop"
    workers = [Worker(m, n, client, stop) for n in range(2)]
    program = tmp_path / "audit.py"
    program.write_text(AUDIT.format(here=os.path.dirname(__file__)))
    try:
        for _ in range(5):
            done = cli("tx", "--", "/usr/bin/python3", "-B", program, cwd=m.path)
            assert done.returncode == 0, done
    finally:
        stop.touch()
        for worker in workers:
            worker.end(False)
    Bank(m.path).audit()
