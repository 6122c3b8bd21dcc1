# SPDX-License-Identifier: Apache-2.0
#
# test_space.py - what checkpoints keep: USED, FREES, df; and what dropping gives back

import json
import os
import random

import pytest

from harness import eventually

QUIET = {"G_MESSAGES_DEBUG": None}


def write(path, data):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def checkpoints(m):
    lines = (m.path / ".mnefs/checkpoints.json").read_text().splitlines()
    return {it["name"]: it for it in map(json.loads, lines)}


def status(m):
    return json.loads((m.path / ".mnefs/status.json").read_text())


def settle(m):
    """Until the background has done all there is to do."""
    (m.path / ".mnefs/ctl").write_text("sync\nreclaim\n")
    eventually(lambda: status(m)["reclaim_backlog"] == 0)


def weight(m):
    """Everything that is kept, live or not: bytes in segments, and of retained keys."""
    now = status(m)
    return now["live_bytes"], now["history_bytes"] + now["history_pending_bytes"]


def test_a_checkpoint_of_what_does_not_change_takes_nothing(fs):
    write(fs.table / "a", b"x" * 100_000)
    fs.checkpoint("c")
    assert checkpoints(fs)["c"]["used"] == checkpoints(fs)["c"]["frees"] == 0


def test_used_is_what_it_sees_and_frees_what_it_alone_keeps(fs):
    for n in range(20):
        write(fs.table / f"{n}", bytes([n]) * 50_000)
    fs.checkpoint("one")
    for n in range(10):
        write(fs.table / f"{n}", bytes([n]) * 50_001)
    fs.checkpoint("two")
    for n in range(20):
        os.unlink(fs.table / f"{n}")
    settle(fs)
    now = checkpoints(fs)
    # one sees the 10 first versions alone, and with two the 10 that were never changed
    assert 1_000_000 <= now["one"]["used"] < 1_020_000
    assert 500_000 <= now["one"]["frees"] < 510_000
    assert 1_000_000 <= now["two"]["used"] < 1_020_000
    assert 500_000 <= now["two"]["frees"] < 510_000
    assert 1_500_000 <= status(fs)["history_bytes"] < 1_530_000
    fs.drop("one")
    now = checkpoints(fs)
    assert now["two"]["frees"] == now["two"]["used"]
    settle(fs)
    fs.drop("two")
    settle(fs)
    assert weight(fs) == (0, 0)


def test_what_dropping_gives_back_is_what_frees_said_over_random_histories(mount, check):
    random_ = random.Random(7)
    m = mount(env=QUIET)
    m.table.mkdir()
    (m.path / "u").mkdir()
    names, count = [], 0
    for step in range(60):
        for _ in range(random_.randrange(1, 12)):
            path = m.path / random_.choice("tu") / str(random_.randrange(15))
            if path.exists() and random_.random() < 0.3:
                os.unlink(path)
            else:
                size = random_.choice([0, 10, 3000, 5000, 200_000])
                write(path, random_.randbytes(size))
        if random_.random() < 0.4:
            count += 1
            names.append(f"c{count}")
            m.checkpoint(names[-1], random_.choice([None, None, "t", "u"]))
        if step % 20 == 19:
            m.unmount()
            m = mount(env=QUIET)
        if len(names) > 5:
            settle(m)
            name = names.pop(random_.randrange(len(names)))
            frees = checkpoints(m)[name]["frees"]
            _, before = weight(m)
            m.drop(name)
            settle(m)
            _, after = weight(m)
            assert before - after == frees, f"step {step}, {name}"
    while names:
        settle(m)
        name = names.pop(random_.randrange(len(names)))
        frees = checkpoints(m)[name]["frees"]
        _, before = weight(m)
        m.drop(name)
        settle(m)
        assert before - weight(m)[1] == frees
    assert weight(m)[1] == 0
    m.unmount()
    check()


def test_the_counts_survive_kill_9(mount, check):
    m = mount(env=QUIET)
    m.table.mkdir()
    for n in range(300):
        write(m.table / f"{n}", bytes(5000))
    m.checkpoint("a")
    m.checkpoint("b")
    for n in range(200):
        write(m.table / f"{n}", bytes(6000))
    settle(m)
    before = checkpoints(m)
    m.crash()
    m = mount(env=QUIET)
    assert checkpoints(m) == before
    m.drop("a")
    m.crash()
    m = mount(env=QUIET)
    settle(m)
    now = checkpoints(m)
    assert now["b"]["frees"] == now["b"]["used"] == before["b"]["used"]
    m.unmount()
    check()


def test_df_has_a_row_for_the_store_and_one_for_the_history(fs):
    write(fs.table / "a", os.urandom(5_000_000))
    fs.checkpoint("c")
    write(fs.table / "a", b"")
    settle(fs)
    store, history = os.statvfs(fs.path), os.statvfs(fs.checkpoints)
    in_it = os.statvfs(fs.checkpoints / "c/t")
    used = (history.f_blocks - history.f_bfree) * history.f_frsize
    assert 5_000_000 <= used < 5_010_000 + history.f_frsize
    assert in_it.f_blocks - in_it.f_bfree == history.f_blocks - history.f_bfree
    assert abs(history.f_bavail - store.f_bavail) * store.f_frsize < 1 << 28
    assert os.statvfs(fs.table).f_blocks == store.f_blocks


def test_stock_df_shows_both_rows(fs, tmp_path):
    write(fs.table / "a", os.urandom(5_000_000))
    fs.checkpoint("c")
    write(fs.table / "a", b"")
    settle(fs)
    with os.popen(f"df -B1 --output=used,target {fs.path} {fs.checkpoints}") as df:
        rows = [line.split() for line in df.read().splitlines()[1:]]
    assert len(rows) == 2 and rows[0][1] == rows[1][1] == str(fs.path)
    assert 5_000_000 <= int(rows[1][0]) < 5_020_000


def test_the_command_shows_used_and_frees(fs, cli):
    write(fs.table / "a", b"x" * 2_000_000)
    fs.checkpoint("c")
    write(fs.table / "a", b"")
    settle(fs)
    done = cli("-C", fs.path, "ck", "list")
    heading, row = done.stdout.splitlines()
    assert heading.split()[:5] == ["NAME", "CREATED", "SEQ", "USED", "FREES"]
    assert row.count("1.9 MiB") == 2
    done = cli("-C", fs.path, "ck", "show", "c")
    assert "frees    1.9 MiB" in done.stdout
    assert "history" in cli("-C", fs.path, "df").stdout
    assert json.loads(cli("-C", fs.path, "--json", "df").stdout)["history_bytes"] > 2e6
