# SPDX-License-Identifier: Apache-2.0
#
# crash_power_clients.py - the power goes while several clients wait for their fsyncs
#
# Their fsyncs share barriers (see crash_power.py for one client and all that a store
# holds).  Each client makes one file after another, some of them by O_DSYNC, and removes
# old ones; it marks in the journal what it begins, and what was acknowledged.  On each
# disk that may be left every client finds what was acknowledged, whole, and of what came
# after a prefix (D1, D2); also when a sync fails in between.

import os
import random
import shutil
import threading

import harness
import powerloss
import pytest
from crash_power import ROOM, SMALL, require_sound, shim  # noqa: F401

CLIENTS = 5
FILES = 40  # of each client
KEPT = 6
SIZES = [10, 300, 3000, 20_000, 140_000]


def content(client, number):
    rng = random.Random(f"{client}/{number}")
    return rng.randbytes(rng.choice(SIZES))


def put(path, data, synced_writes):
    flags = os.O_CREAT | os.O_WRONLY | (os.O_DSYNC if synced_writes else 0)
    fd = os.open(path, flags, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        if not synced_writes:
            os.fsync(fd)
    finally:
        os.close(fd)


def run_client(table, mark, client, failed):
    for number in range(FILES):
        mark(f"begin {client} {number}")
        try:
            if number >= KEPT:
                (table / f"{client}.{number - KEPT}").unlink()
            data = content(client, number)
            put(table / f"{client}.{number}", data, number % 4 == 3)
        except OSError:
            failed.set()
            return
        mark(f"ack {client} {number}")


def run_clients(m, mark, meanwhile):
    failed = threading.Event()
    threads = [
        threading.Thread(target=run_client, args=(m.table, mark, client, failed))
        for client in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    meanwhile(threads)
    for thread in threads:
        thread.join()
    return failed.is_set()


def limits(marks):
    """Of each client the last acknowledged and the last begun file; -1: none."""
    acknowledged, begun = [-1] * CLIENTS, [-1] * CLIENTS
    for mark in marks:
        word, client, number = mark.split()
        {"ack": acknowledged, "begin": begun}[word][int(client)] = int(number)
    return acknowledged, begun


def verify(table, client, least, most):
    files = {}
    for name in os.listdir(table):
        owner, number = name.split(".")
        if int(owner) == client:
            files[int(number)] = (table / name).read_bytes()
    newest = max(files, default=-1)
    assert least <= newest <= most, (client, newest, least, most)
    for number, data in files.items():
        whole = content(client, number)
        synced_writes = number % 4 == 3  # each is a commit
        assert data == whole or (
            number == most and least < most and synced_writes and whole.startswith(data)
        ), (client, number, len(data), len(whole))
    # The next one's begins with a removal.
    oldest = max(0, newest - KEPT + 1)
    wanted = set(range(oldest, newest + 1))
    assert set(files) in (wanted, wanted - {oldest} if newest < most else wanted), (
        client,
        sorted(files),
        least,
        most,
    )


def examine(disk, rng, tmp_path, make_mount, cli):
    acknowledged, begun = limits(disk.marks)
    cut = tmp_path / "cut"
    shutil.rmtree(cut, ignore_errors=True)
    disk.lose_power(rng, cut)
    with make_mount(cut, tmp_path / "mnt", env=SMALL) as m:
        for expected in (r"what follows is dropped", "cut back", "CURRENT"):
            m.expect_log(expected)
        for client in range(CLIENTS):
            verify(m.table, client, acknowledged[client], begun[client])
    require_sound(cli, cut)


def examine_all(records, seed, count, *fixtures):
    tried = 0
    for n, (moment, rng, disk) in enumerate(powerloss.cuts_of(records, count, seed)):
        if "begin" not in " ".join(disk.marks):
            continue
        tried += 1
        try:
            examine(disk, rng, *fixtures)
        except (AssertionError, OSError, harness.MountFailed) as error:
            raise AssertionError(
                f"cut {n} at record {moment} of {len(records)}: {error}"
            ) from error
    assert tried > 0


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("failing", [None, "kv", "blob"])
@pytest.mark.parametrize("debug", [SMALL, ROOM], ids=["plain", "room"])
def test_of_each_of_several_clients_all_is_there_that_was_acknowledged(
    make_mount, shim, tmp_path, cli, request, debug, failing  # noqa: F811
):
    seed = 31 + request.config.getoption("--power-seed")
    store, journal = tmp_path / "store", tmp_path / "journal"
    broken = tmp_path / "broken"
    env = {**debug, **powerloss.environment(shim, store, journal)}
    env["POWERLOSS_EIO"] = str(broken)
    mark = powerloss.Marker(journal)
    rng = random.Random(seed)

    def meanwhile(threads):
        if failing:
            threads[0].join(timeout=rng.uniform(0.05, 0.4))
            broken.write_text(failing + "/")
            harness.eventually(lambda: not all(t.is_alive() for t in threads))
            broken.unlink()

    m = make_mount(store, tmp_path / "mnt", "create", "sync=1", env=env)
    m.table.mkdir()
    harness.fsync_path(m.path)
    harness.fsync_path(m.table)
    if failing:
        m.expect_log(".")
    run_clients(m, mark, meanwhile)
    m.crash()
    mark.close()
    count = max(4, request.config.getoption("--power-cuts") // 6)
    examine_all(
        powerloss.records_of(journal), seed, count, tmp_path, make_mount, cli
    )
