# SPDX-License-Identifier: Apache-2.0
#
# test_expiry.py - checkpoints that come and go by themselves, through a mount
#
# MNE_DEBUG=clock=N lets the daemon believe that it is N seconds later.

import errno
import json
import os
import re
import time

import pytest

from harness import MountFailed, eventually, fails

HOUR, DAY = 3600, 24 * 3600
RULES = "auto=hourly:24,daily:7"


def checkpoints(m):
    lines = (m.path / ".mnefs/checkpoints.json").read_text().splitlines()
    return [json.loads(line) for line in lines]


def names(m):
    return [it["name"] for it in checkpoints(m)]


def ahead(seconds):
    return {"MNE_DEBUG": f"clock={seconds}"}


def until_next_look(m):
    """The clock looks once a second."""
    time.sleep(1.3)
    return names(m)


@pytest.fixture(autouse=True)
def not_at_the_turn_of_an_hour():
    left = HOUR - time.time() % HOUR
    if left < 40:
        time.sleep(left + 1)


def test_automatic_checkpoints_are_named_by_the_time_and_expire(mount):
    m = mount(RULES)
    m.table.mkdir()
    (m.table / "a").write_text("1")
    eventually(lambda: names(m))
    (made,) = checkpoints(m)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d{4}Z", made["name"])
    assert made["note"] == "automatic: hourly daily"
    assert made["all"] and not made["pinned"]
    midnight = time.time() // DAY * DAY
    assert made["expires"] == midnight + 7 * DAY
    assert until_next_look(m) == [made["name"]]
    assert (m.checkpoints / made["name"] / "t").is_dir()
    assert RULES in (m.path / ".mnefs/status").read_text()
    assert made["name"] in (m.path / ".mnefs/log").read_text()


def test_no_tables_no_automatic_checkpoint(mount):
    m = mount(RULES)
    assert until_next_look(m) == []


def test_after_days_unmounted_one_is_made_and_what_expired_is_dropped(mount, check):
    with mount() as m:
        m.table.mkdir()
        (m.table / "a").write_text("1")
    with mount("auto=hourly:3") as m:
        eventually(lambda: names(m))
        (first,) = names(m)
        m.checkpoint("by hand")
    with mount("auto=hourly:3", env=ahead(HOUR)) as m:
        # nothing has changed: the one there is stands for this hour, too
        eventually(lambda: checkpoints(m)[0]["expires"] > time.time() + 2 * HOUR)
        assert names(m) == [first, "by hand"]
        (m.table / "a").write_text("2")
    with mount("auto=hourly:3", env=ahead(5 * DAY)) as m:
        eventually(lambda: first not in names(m))
        assert len(names(m)) == 2
        new = names(m)[1]
        assert (m.checkpoints / new / "t/a").read_text() == "2"
        assert (m.checkpoints / "by hand/t/a").read_text() == "1"
        with fails(errno.ENOENT):
            os.stat(m.checkpoints / first)
    check()


def test_a_reader_of_an_expired_checkpoint_gets_estale(mount):
    with mount() as m:
        m.table.mkdir()
        (m.table / "a").write_text("x" * 100_000)
    with mount("auto=hourly:1") as m:
        eventually(lambda: names(m))
        (name,) = names(m)
        m.checkpoint("keeps the value")
        (m.table / "a").write_text("y")
    # expires at the end of this hour, and the daemon looks once a second: so read first
    left = int(HOUR - time.time() % HOUR)
    with mount(env=ahead(left - 7)) as m:
        top = os.open(m.checkpoints / name, os.O_RDONLY)
        file = os.open(m.checkpoints / name / "t/a", os.O_RDONLY)
        assert os.read(file, 10) == b"x" * 10
        eventually(lambda: name not in names(m))
        with fails(errno.ESTALE):
            os.pread(file, 10, 0)
        with fails(errno.ESTALE):
            os.listdir(top)
        with fails(errno.ESTALE):
            os.open("t/a", os.O_RDONLY, dir_fd=top)
        os.close(file)
        os.close(top)


def test_read_only_nothing_comes_and_nothing_goes(mount):
    with mount("auto=hourly:1") as m:
        m.table.mkdir()
        eventually(lambda: names(m))
        before = names(m)
    with mount("ro", "auto=hourly:1", create=False, env=ahead(3 * DAY)) as m:
        assert until_next_look(m) == before


@pytest.mark.parametrize(
    "option", ["auto=", "auto=hourly", "auto=hourly:0", "auto=minutely:3", "auto=hourly:x"]
)
def test_other_rules_are_refused(mount, option):
    with pytest.raises(MountFailed) as failed:
        mount(option)
    assert failed.value.returncode == 2


def test_the_word_auto_alone_is_fstabs(mount):
    with mount("auto") as m:
        m.table.mkdir()
        assert until_next_look(m) == []


# --- expiry by hand, pins and holds ------------------------------------------------------


def test_what_expires_is_shown_and_set(mount, cli):
    m = mount()
    m.table.mkdir()
    assert cli("-C", m.path, "ck", "create", "week", "--expires", "7d").returncode == 0
    m.checkpoint("stays")
    (week, stays) = checkpoints(m)
    assert abs(week["expires"] - time.time() - 7 * DAY) < 30
    assert "expires" not in stays
    heading, first, second = cli("-C", m.path, "ck", "list").stdout.splitlines()
    at = heading.index("EXPIRES")
    assert first[at:].startswith("in 7d") and second[at:].startswith("-")
    assert "(in 7d)" in cli("-C", m.path, "ck", "show", "week").stdout


def test_what_is_due_waits_for_its_pin_and_its_holders(mount):
    with mount() as m:
        m.table.mkdir()
        for name in ("plain", "pinned", "held"):
            m.checkpoint(name)
            (m.path / ".mnefs/checkpoints" / name / "expires").write_text("1h")
        (m.path / ".mnefs/checkpoints/pinned/pinned").write_text("yes")
    with mount(env=ahead(HOUR - 7)) as m:
        with open(m.path / ".mnefs/hold/held"):
            eventually(lambda: "plain" not in names(m))
            assert until_next_look(m) == ["pinned", "held"]
        eventually(lambda: names(m) == ["pinned"])
        (m.path / ".mnefs/checkpoints/pinned/pinned").write_text("no")
        eventually(lambda: names(m) == [])
