# SPDX-License-Identifier: Apache-2.0
#
# test_tx_locks.py - locks of transactions, through `.ctl`
#
# Among transactions only (T3).  With a lock comes the present: transactions that lock
# first what they read and write never conflict.

import errno
import os
import signal
import subprocess
import threading
import time

import pytest

from harness import as_nobody, eventually, fails, sh
from txs import Tx, open_ones, with_table


class Asking(threading.Thread):
    """A lock that is waited for."""

    def __init__(self, tx, line):
        super().__init__()
        self.tx, self.line, self.error = tx, line, None
        self.start()
        assert eventually(lambda: self.tx.values("waits") or not self.is_alive())

    def run(self):
        try:
            self.tx.tell(self.line)
        except OSError as error:
            self.error = error.errno

    def result(self):
        self.join(30)
        assert not self.is_alive()
        return self.error


@pytest.fixture
def two(fs):
    (fs.table / "a").write_text("0")
    (fs.table / "b").write_text("0")
    with Tx(fs, "old") as old, Tx(fs, "young") as young:
        yield old, young


def add(tx, name, number):
    path = tx.table / name
    path.write_text(str(int(path.read_text()) + number))


# --- who gets it ---------------------------------------------------------------------------


def test_readers_share_and_other_records_are_free(two):
    old, young = two
    old.tell("lock read t/a")
    young.tell("lock read t/a")
    young.tell("lock write t/b")
    old.tell("lock write global:any name, really")
    assert old.values("lock") == ["read t/a", "write global:any name, really"]
    assert young.values("lock") == ["read t/a", "write t/b"]


def test_who_waited_sees_what_the_one_before_has_committed(fs, two):
    old, young = two
    assert (young.table / "a").read_text() == "0"
    assert os.listdir(young.table) == ["a", "b"]
    old.tell("lock write t/b")
    young_asks = Asking(young, "lock write t/b\n")
    assert young.values("waits") == ["write t/b"]
    assert young.values("behind") == ["old"]
    add(old, "b", 5)
    old.commit()
    assert young_asks.result() is None
    assert young.values("lock") == ["write t/b"]
    add(young, "b", 1)
    young.commit()
    assert (fs.table / "b").read_text() == "6"


def test_what_was_read_before_the_lock_and_changed_since_is_a_conflict(fs, two):
    old, young = two
    assert (young.table / "a").read_text() == "0"
    old.tell("lock write t/a")
    asks = Asking(young, "lock write t/a")
    add(old, "a", 1)
    old.commit()
    assert asks.result() == errno.ECANCELED
    assert dict(young.status())["state"] == "conflict"
    assert young.conflicts() == ["t/a"]
    assert young.values("lock") == []
    assert (fs.table / "a").read_text() == "1"


def test_a_lock_in_the_middle_keeps_what_was_done_before_it(fs, two):
    """Entries that others make meanwhile are counted beside one's own."""
    old, young = two
    (young.table / "mine").write_text("m")
    (young.table / "dir").mkdir()
    (young.path / "u").mkdir()
    old.tell("lock write t/b")
    (old.table / "theirs").write_text("t")
    (old.table / "theirs2").mkdir()
    add(old, "b", 1)
    asks = Asking(young, "lock write t/b")
    old.commit()
    assert asks.result() is None
    assert sorted(os.listdir(young.table)) == [
        *("a", "b", "dir", "mine"),
        *("theirs", "theirs2"),
    ]
    assert (young.table / "theirs").read_text() == "t"
    assert young.table.stat().st_nlink == 4
    add(young, "b", 1)
    young.commit()
    assert sorted(os.listdir(fs.table)) == ["a", "b", "dir", "mine", "theirs", "theirs2"]
    assert fs.table.stat().st_nlink == 4
    assert (fs.table / "b").read_text() == "2"
    assert sorted(os.listdir(fs.path)) == ["t", "u"]


def test_a_file_open_in_the_transaction_goes_on_after_the_lock(fs, two):
    old, young = two
    with open(young.table / "big", "wb") as file:
        file.write(b"x" * 300_000)
        file.flush()
        with open(young.table / "a", "rb") as other:
            old.tell("lock write t/b")
            asks = Asking(young, "lock write t/b")
            add(old, "b", 1)
            old.commit()
            assert asks.result() is None
            assert other.read() == b"0"
        file.write(b"y" * 300_000)
    young.commit()
    assert (fs.table / "big").read_bytes() == b"x" * 300_000 + b"y" * 300_000


def test_an_older_one_waits_and_a_younger_one_dies(two):
    old, young = two
    young.tell("lock write t/a")
    old.tell("lock write t/b")
    asks = Asking(old, "lock read t/a")
    number, sentence = young.why_not("lock read t/b")
    assert number == errno.ECANCELED
    assert "t/b" in sentence and "old" in sentence
    assert dict(young.status())["state"] == "conflict"
    assert young.conflicts() == ["lock read t/b"]
    assert young.values("behind") == ["old"]
    assert young.values("lock") == []  # others need not wait for its end
    assert asks.result() is None
    with fails(errno.ECANCELED, errno.ESTALE):
        young.commit()


def test_an_upgrade_waits_for_the_other_readers(two):
    old, young = two
    old.tell("lock read t/a")
    young.tell("lock read t/a")
    asks = Asking(old, "lock write t/a")
    assert young.why_not("lock write t/a")[0] == errno.ECANCELED
    assert asks.result() is None
    assert old.values("lock") == ["write t/a"]


def test_a_table_stands_against_its_records(two):
    old, young = two
    young.tell("lock write t/a")
    asks = Asking(old, "lock read t")
    young.tell("lock write t/b")  # old waits for it anyway
    young.commit()
    assert asks.result() is None


def test_who_asks_again_has_it(two):
    old, _ = two
    for _ in range(2):
        old.tell("lock write t")
    old.tell("lock read t/x")
    assert old.values("lock") == ["write t"]


def test_several_locks_of_one_write_are_granted_together(two):
    old, young = two
    old.tell("lock write t/b")
    asks = Asking(young, "lock write t/a\nlock write t/b\n")
    old.tell("lock write t/a")
    old.commit()
    assert asks.result() is None
    assert young.values("lock") == ["write t/a", "write t/b"]


def test_one_that_was_restarted_is_as_old_as_before(fs):
    with Tx(fs, "first") as first, Tx(fs, "second") as second:
        age = first.values("born")[0]
        first.abort()
        with Tx(fs, "again") as again:
            assert again.why_not(f"born {int(again.values('born')[0]) + 1}")[0] == (
                errno.EINVAL
            )
            again.tell(f"born {age}")
            assert again.values("born") == [age]
            again.tell("lock write t/a")
            assert again.why_not(f"born {age}")[0] == errno.EBUSY
            second.tell("lock write t/b")
            asks = Asking(again, "lock write t/b")
            assert second.why_not("lock write t/a")[0] == errno.ECANCELED
            assert asks.result() is None


# --- when it is released -------------------------------------------------------------------


@pytest.mark.parametrize("end", ["commit", "rmdir", "idle", "owner", "conflict"])
def test_with_its_transaction_a_lock_goes(mount, end):
    fs = with_table(mount, "tx_idle=2" if end == "idle" else "tx_idle=0")
    (fs.table / "a").write_text("0")
    holder = Tx(fs, "holder")
    fd = os.open(holder.path / ".ctl", os.O_RDWR)
    if end == "owner":
        os.write(fd, b"own")
    os.write(fd, b"lock write t/a")
    if end == "conflict":
        add(holder, "a", 1)
        (fs.table / "a").write_text("9")
    with Tx(fs, "waiter") as waiter:
        asks = Asking(waiter, "lock read t/a")
        assert waiter.values("behind") == ["holder"]
        if end == "commit":
            os.write(fd, b"commit")
        elif end == "rmdir":
            holder.abort()
        elif end == "conflict":
            with fails(errno.ECANCELED):
                os.write(fd, b"commit")
        if end != "idle":
            os.close(fd)
        assert asks.result() is None
        waiter.tell("lock read t/b")
        if end == "idle":
            os.close(fd)
    fs.expect_log("transaction holder was not used")


def test_an_inner_one_takes_locks_for_the_outermost(fs, two):
    old, young = two
    with Tx(fs, "inner", at=old.path) as inner:
        inner.tell("lock write t/a")
        assert old.values("lock") == inner.values("lock") == ["write t/a"]
        inner.abort()
    asks = Asking(young, "lock write t/a")
    old.commit()
    assert asks.result() is None


def test_a_deadlock_inside_is_the_failure_of_the_outermost(fs, two):
    old, young = two
    with Tx(fs, "inner", at=young.path) as inner:
        old.tell("lock write t/a")
        inner.tell("lock write t/b")
        assert inner.why_not("lock write t/a")[0] == errno.ECANCELED
    assert dict(young.status())["state"] == "conflict"


def test_without_the_lock_in_time_it_goes_on(mount):
    fs = with_table(mount, "tx_lock_timeout=1")
    with Tx(fs, "holder") as holder, Tx(fs, "waiter") as waiter:
        holder.tell("lock write t/a")
        number, sentence = waiter.why_not("lock write t/a")
        assert number == errno.ETIMEDOUT
        assert "t/a" in sentence and "holder" in sentence
        assert dict(waiter.status())["state"] == "open"
        waiter.tell("timeout 0")
        asks = Asking(waiter, "lock write t/a")
        time.sleep(1.5)
        assert asks.is_alive()
        holder.commit()
        assert asks.result() is None


def test_who_does_not_want_to_wait_need_not(two):
    old, young = two
    old.tell("lock write t/a")
    assert young.why_not("lock write t/a", os.O_NONBLOCK)[0] == errno.EAGAIN
    young.tell("lock write t/b", os.O_NONBLOCK)
    assert young.values("lock") == ["write t/b"]


def test_who_waits_is_not_idle(mount):
    fs = with_table(mount, "tx_idle=1", "tx_lock_timeout=0")
    with Tx(fs, "holder") as holder:
        holder.tell("lock write t/a")
        asks = Asking(Tx(fs, "waiter"), "lock write t/a")
        for _ in range(6):
            time.sleep(0.5)
            (holder.table / "x").write_text("x")
        assert sorted(open_ones(fs)) == ["holder", "waiter"]
        holder.commit()
        assert asks.result() is None
    fs.expect_log("transaction waiter was not used")


@pytest.mark.parametrize("value", ["soon", "-1", "", "60x", "99999999"])
def test_a_timeout_that_is_none_is_refused_at_the_mount(cli, store, tmp_path, value):
    done = cli(store, tmp_path, "-o", f"create,tx_lock_timeout={value}")
    assert done.returncode not in (0, 125)
    assert "tx_lock_timeout" in done.stderr


# --- waiting keeps nobody --------------------------------------------------------------------


def waiting_shell(fs, name, line):
    script = f"mkdir .tx/{name}; exec 9<>.tx/{name}/.ctl; echo own >&9; echo '{line}' >&9"
    return subprocess.Popen(["bash", "-c", script], cwd=fs.path)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_who_waits_can_be_interrupted(fs, how):
    with Tx(fs, "holder") as holder:
        holder.tell("lock write t/a")
        with waiting_shell(fs, "w", "lock write t/a") as shell:
            status = fs.path / ".tx" / "w" / ".status"
            assert eventually(lambda: status.exists() and "waits" in status.read_text())
            shell.send_signal(how)
            shell.wait(20)
        assert eventually(lambda: open_ones(fs) == ["holder"])


def test_who_waits_is_aborted_by_rmdir(two):
    old, young = two
    old.tell("lock write t/a")
    asks = Asking(young, "lock write t/a")
    young.abort()
    assert asks.result() == errno.ESTALE


def test_the_daemon_stops_though_many_wait(mount):
    fs = with_table(mount)
    holder = Tx(fs, "holder")
    holder.tell("lock write t/a")
    asking = [Asking(Tx(fs, f"w{i}"), "lock write t/a") for i in range(20)]
    fs.process.terminate()
    gone = {errno.EINTR, errno.ESHUTDOWN, errno.ECONNABORTED, errno.ENOTCONN}
    assert {one.result() for one in asking} <= gone
    fs.unmount()


def test_t3_neither_a_lock_nor_a_wait_for_one_keeps_plain_reads_and_writes(fs, two):
    old, young = two
    sh("flock -n t/a flock -n .tx/young/t/a flock -n .tx/old/t/a true", fs.path)
    old.tell("lock write t/a\nlock write t")
    asks = [Asking(young, "lock write t/a")]
    more = [Tx(fs, f"w{i}") for i in range(30)]
    asks += [Asking(tx, "lock write t/a") for tx in more]
    assert (fs.table / "a").read_text() == "0"
    (fs.table / "a").write_text("plain")
    (fs.table / "new").mkdir()
    (fs.path / "v").mkdir()
    os.rename(fs.table / "b", fs.table / "c")
    fs.checkpoint("c1")
    sh("flock -n t/a flock -n .tx/w1/t/a flock -n .tx/old/t/a true", fs.path)
    assert (fs.path / ".mnefs" / "status").read_text()
    with Tx(fs, "other") as other:
        (other.table / "x").write_text("x")
        other.commit()
    for tx in more:
        tx.abort()
    old.abort()
    # what young looked at was changed by a plain write, which knows of no lock
    assert asks.pop(0).result() == errno.ECANCELED
    assert [one.result() for one in asks] == [errno.ESTALE] * len(more)


# --- what is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, number",
    [
        ("lock", errno.EINVAL),
        ("lock t/a", errno.EINVAL),
        ("lock some t/a", errno.EINVAL),
        ("lock write ", errno.EINVAL),
        ("lock write t/a/b", errno.EINVAL),
        ("lock write global:", errno.EINVAL),
        ("lock write nosuch/a", errno.ENOENT),
        ("lock write t/a\nlock write nosuch", errno.ENOENT),
        ("timeout soon", errno.EINVAL),
        ("timeout -1", errno.EINVAL),
        ("born 0", errno.EINVAL),
        ("born young", errno.EINVAL),
    ],
)
def test_a_line_that_makes_no_sense_changes_nothing(two, line, number):
    old, _ = two
    assert old.why_not(line)[0] == number
    assert old.values("lock") == []
    assert dict(old.status())["state"] == "open"


@pytest.mark.root
def test_who_may_not_change_it_may_not_lock_it(open_fs):
    for name, mode in (("closed", 0o600), ("seen", 0o644), ("open", 0o666)):
        (open_fs.table / name).write_text("x")
        (open_fs.table / name).chmod(mode)
    open_fs.table.chmod(0o711)

    def work():
        os.mkdir(".tx/mine")

        def ask(line):
            with open(".tx/mine/.ctl", "w", buffering=1) as ctl:
                ctl.write(line)

        for line in (
            *("lock read t/closed", "lock write t/seen", "lock write t/none"),
            *("lock read t", "lock write t"),
        ):
            with fails(errno.EACCES):
                ask(line)
        ask("lock read t/seen")
        ask("lock write t/open")
        ask("lock write global:any")
        os.rmdir(".tx/mine")

    as_nobody(open_fs.path, work)


# --- no conflict then --------------------------------------------------------------------

COUNT = """
set -e
cd "$1"
for i in $(seq "$2"); do
    tx=.tx/$$-$i
    mkdir $tx
    echo 'lock write t/n' > $tx/.ctl
    n=$(cat $tx/t/n)
    echo $((n + 1)) > $tx/t/n
    echo commit > $tx/.ctl
done
"""


@pytest.mark.parametrize("processes, rounds", [(2, 25), (10, 6)])
def test_with_locks_processes_never_conflict(fs, processes, rounds):
    (fs.table / "n").write_text("0\n")
    words = ["sh", "-c", COUNT, "sh", str(fs.path), str(rounds)]
    running = [subprocess.Popen(words) for _ in range(processes)]
    assert [one.wait(60) for one in running] == [0] * processes
    assert (fs.table / "n").read_text() == f"{processes * rounds}\n"


def transfer(fs, name, born, first, second):
    """Both accounts, one after the other.  False: it must begin again."""
    with Tx(fs, name) as tx:
        if born:
            tx.tell(f"born {born}")
        born = tx.values("born")[0]
        for account, number in ((first, -1), (second, 1)):
            try:
                tx.tell(f"lock write t/{account}")
            except OSError as error:
                assert error.errno == errno.ECANCELED
                conflicts = tx.conflicts()
                assert conflicts == [f"lock write t/{account}"], conflicts
                return False, born
            add(tx, str(account), number)
        tx.commit()
        return True, born


def test_transfers_that_lock_as_they_go_lose_nothing_and_all_get_through(fs):
    """Deadlocks are broken, and nothing but a lock is ever a reason to begin again."""
    accounts, clients, rounds = 3, 6, 12
    for i in range(accounts):
        (fs.table / str(i)).write_text("100")
    restarts = []
    errors = []

    def client(number):
        for i in range(rounds):
            first = (number + i) % accounts
            second = (first + 1 + i % (accounts - 1)) % accounts
            done, born = False, None
            while not done:
                done, born = transfer(fs, f"c{number}", born, first, second)
                restarts.append(not done)

    def run(number):
        try:
            client(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert not errors and not any(thread.is_alive() for thread in threads)
    total = sum(int((fs.table / str(i)).read_text()) for i in range(accounts))
    assert total == 100 * accounts
    assert restarts.count(False) == clients * rounds
