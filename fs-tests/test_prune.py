# SPDX-License-Identifier: Apache-2.0
#
# test_prune.py - mnefs checkpoint prune, through a mount

import json
import os

import pytest

USAGE, PARTIAL = 2, 3


@pytest.fixture
def five(fs):
    for n in range(5):
        (fs.table / "a").write_text(str(n))
        fs.checkpoint(f"c{n}")
    return fs


def names(m):
    return sorted(os.listdir(m.checkpoints))


def test_the_newest_are_kept_and_the_others_dropped(five, cli):
    done = cli("-C", five.path, "ck", "prune", "--keep-last", "2")
    assert done.returncode == 0, done
    assert done.stdout.splitlines() == ["dropped c0", "dropped c1", "dropped c2"]
    assert names(five) == ["c3", "c4"]
    assert (five.checkpoints / "c3/t/a").read_text() == "3"


def test_of_one_hour_one_is_kept(five, cli):
    done = cli("-C", five.path, "ck", "prune", "--keep-hourly", "24", "--keep-daily", "7")
    assert done.returncode == 0, done
    # at the turn of an hour there are two
    assert names(five)[-1] == "c4" and len(names(five)) <= 2


def test_dry_run_drops_nothing_and_says_why(five, cli):
    done = cli("-C", five.path, "ck", "prune", "--keep-last=1", "--keep-weekly=3", "-n")
    assert done.returncode == 0, done
    assert names(five) == [f"c{n}" for n in range(5)]
    lines = done.stdout.splitlines()
    assert lines[0] == "would drop c0"
    assert lines[-1] == "would keep c4 (last, weekly)"


def test_json_has_an_object_for_each(five, cli):
    done = cli("-C", five.path, "--json", "ck", "prune", "--keep-last", "1", "-n")
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert [it["action"] for it in objects] == ["would drop"] * 4 + ["keep"]
    assert objects[-1] == {"name": "c4", "action": "keep", "why": "last"}


def test_without_a_rule_nothing_is_dropped(five, cli):
    for words in ([], ["--keep-last", "0"], ["--keep-daily", "x"], ["--keep-daily", "-3"]):
        done = cli("-C", five.path, "ck", "prune", *words)
        assert done.returncode == USAGE, words
        assert done.stderr.startswith("mnefs: ")
    assert len(names(five)) == 5


def test_no_checkpoints_nothing_to_do(fs, cli):
    done = cli("-C", fs.path, "ck", "prune", "--keep-daily", "7")
    assert (done.returncode, done.stdout) == (0, "")


def test_names_with_blanks_and_odd_bytes_are_dropped_too(fs, cli):
    for name in ("a b", "-n", "ü", "new\\line", 'quo"te', b"\xff\xfe"):
        os.mkdir(os.path.join(os.fsencode(fs.checkpoints), os.fsencode(name)))
    fs.checkpoint("last")
    done = cli("-C", fs.path, "ck", "prune", "--keep-last", "1")
    assert done.returncode == 0, done
    assert names(fs) == ["last"]


def test_pinned_and_held_ones_stay(five, cli):
    (five.path / ".mnefs/checkpoints/c0/pinned").write_text("yes")
    with open(five.path / ".mnefs/hold/c1"):
        done = cli("-C", five.path, "ck", "prune", "--keep-last", "1", "-n")
        lines = done.stdout.splitlines()
        assert lines[0] == "would keep c0 (pinned)"
        assert lines[1].startswith("would keep c1 (held by ")
        done = cli("-C", five.path, "ck", "prune", "--keep-last", "1")
        assert done.returncode == 0, done
        assert names(five) == ["c0", "c1", "c4"]
