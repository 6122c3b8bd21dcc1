# SPDX-License-Identifier: Apache-2.0
#
# test_fragments_cli.py - mnefs table, mnefs query, and hash modules of one's own

import json
import os
import pathlib
import subprocess

import pytest

from harness import eventually

NOT_FOUND, USAGE, BUSY, EXISTS, FAILED = 5, 2, 8, 6, 1


@pytest.fixture
def run(mnefs):
    def run(m, *words, code=0):
        done = subprocess.run(
            [mnefs, "-C", m.path, *map(str, words)], capture_output=True, text=True
        )
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done.stdout if code == 0 else done.stderr

    return run


@pytest.fixture
def modules(mnefs):
    """The directory of hash modules that the build has made."""
    at = pathlib.Path(mnefs).parent / "fs-tests" / "hash"
    if not (at / "prefix.so").exists():
        pytest.skip("make check-fs builds the hash modules")
    return at


def test_a_table_is_made_as_it_shall_be(fs, run):
    run(fs, "table", "create", "u", "--fragments", 3, "--hash", "keyed", "--listing", "records")
    eventually(lambda: os.listdir(fs.path / "u" / ".frag") == ["0001", "0002", "0003"])
    rows = {r["table"]: r for r in map(json.loads, run(fs, "table", "list", "--json").splitlines())}
    assert rows["u"]["hash"] == "keyed" and rows["u"]["listing"] == "records"
    assert rows["t"]["hash"] == "phash2" and rows["t"]["fragments"] == 1
    assert "FRAGMENTS" in run(fs, "table", "list")
    run(fs, "table", "create", "u", code=EXISTS)
    assert "there is no hash module none" in run(
        fs, "table", "create", "v", "--hash", "none", code=FAILED
    )
    assert not (fs.path / "v").exists()


def test_a_table_is_shown_with_a_bar_for_each_fragment(fs, run):
    for i in range(100):
        (fs.table / f"{i}").write_text("x")
    run(fs, "table", "fragments", "t", 5, "--wait")
    assert run(fs, "table", "fragments", "t") == "5\n"
    shown = run(fs, "table", "show", "t")
    assert "records    100," in shown and "hash       phash2 (n=5,next=2,doubles=2)" in shown
    bars = [line for line in shown.splitlines() if line.startswith("000")]
    assert len(bars) == 5 and max(line.count("▇") for line in bars) == 40
    lines = [json.loads(line) for line in run(fs, "table", "show", "t", "--json").splitlines()]
    assert lines[0]["records"] == 100 == sum(line["records"] for line in lines[1:])


def test_fragments_are_added_and_taken_away_by_the_command(fs, run):
    for words, n in [(("+3",), 4), (("-1",), 3), (("auto:10",), 1), (("2",), 2)]:
        run(fs, "table", "fragments", "t", *words)
    eventually(lambda: run(fs, "table", "list", "--json").count('"fragments":2,') == 1)
    assert "not x" in run(fs, "table", "fragments", "t", "x", code=USAGE)
    assert "did you mean t?" in run(fs, "table", "show", "tt", code=NOT_FOUND)
    run(fs, "table", "set", "t", "listing", "records")
    assert (fs.path / ".mnefs/tables/t/listing").read_text() == "records\n"
    run(fs, "table", "set", "t", "color", "red", code=USAGE)


def test_only_an_empty_table_is_dropped(fs, run):
    (fs.table / "x").write_text("x")
    assert "rm -rf" in run(fs, "table", "drop", "t", code=BUSY)
    (fs.table / "x").unlink()
    run(fs, "table", "drop", "t")
    run(fs, "table", "drop", "t", code=NOT_FOUND)


@pytest.mark.parametrize("n", [1, 7])
def test_a_query_lists_the_names_that_match_in_order(fs, run, n):
    names = sorted(f"user-{i}" for i in range(150)) + ["wide ü", "x*y"]
    for name in names:
        (fs.table / name).write_text("x")
    with open(fs.table / "user-12-open", "w"):
        names = sorted([*names, "user-12-open"], key=os.fsencode)
        run(fs, "table", "fragments", "t", n, "--wait")
        for glob in ["user-12*", "*", "user-7", "*9", "user-1[0-3]", "none*", "w*", "x\\*y"]:
            got = run(fs, "query", "t", "--name", glob).splitlines()
            wanted = subprocess.run(
                ["bash", "-c", 'for n; do [[ $n == $GLOB ]] && echo "$n"; done; true', "-", *names],
                capture_output=True, text=True, env={**os.environ, "GLOB": glob},
            ).stdout.splitlines()
            assert got == wanted, glob
        assert run(fs, "query", "t", "--from", "user-3", "--before", "user-4").splitlines() == [
            x for x in names if "user-3" <= x < "user-4"
        ]
        assert run(fs, "query", "t", "--limit", 3).splitlines() == names[:3]
        assert run(fs, "query", "t", "--null").split("\0")[:-1] == names


def asked(m, mnefs, *words):
    done = subprocess.run(
        [mnefs, "-v", "-C", m.path, "query", "t", *words], capture_output=True, text=True
    )
    assert done.returncode == 0
    return int(done.stderr.split("asked ")[1].split()[0]), done.stdout.splitlines()


def test_a_query_asks_no_more_fragments_than_it_must(fs, run, mnefs):
    for i in range(50):
        (fs.table / f"n{i}").write_text("x")
    run(fs, "table", "fragments", "t", 8, "--wait")
    assert asked(fs, mnefs, "--name", "n7") == (1, ["n7"])
    assert asked(fs, mnefs, "--name", "n4?")[0] == 8


# --- modules ------------------------------------------------------------------------------


def test_a_module_keeps_names_with_a_prefix_together(mount, run, mnefs, modules):
    with mount(f"hash_modules={modules}") as m:
        m.table.mkdir()
        run(m, "table", "set", "t", "hash", "prefix /")
        m.table.rmdir()
        run(m, "table", "create", "t", "--hash", "prefix", "--fragments", 6)
        for user in range(40):
            for what in ["name", "mail", "age"]:
                (m.table / f"u{user}:{what}").write_text(f"{user} {what}")
        run(m, "table", "fragments", "t", 11, "--wait")
        used = set()
        for user in range(40):
            frags = {
                os.getxattr(m.table / f"u{user}:{what}", "mnefs.frag")
                for what in ["name", "mail", "age"]
            }
            assert len(frags) == 1
            used |= frags
        assert len(used) > 5
        assert asked(m, mnefs, "--name", "u7:*") == (1, ["u7:age", "u7:mail", "u7:name"])
        assert asked(m, mnefs, "--name", "u7*")[0] == 11
        m.checkpoint("c")
    with mount(f"hash_modules={modules}") as m:
        run(m, "table", "fragments", "t", 2, "--wait")
        assert (m.table / "u39:age").read_text() == "39 age"
        assert (m.checkpoints / "c" / "t" / "u39:age").read_text() == "39 age"
        assert len(os.listdir(m.checkpoints / "c" / "t" / ".frag")) == 11
    done = subprocess.run(
        [mnefs, "check", m.store, "--hash-modules", modules], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_without_its_module_a_table_says_so_and_loses_nothing(mount, run, mnefs, modules):
    with mount(f"hash_modules={modules}") as m:
        run(m, "table", "create", "t", "--hash", "prefix", "--fragments", 3)
        (m.path / "u").mkdir()
        (m.path / "u" / "x").write_text("x")
        for i in range(20):
            (m.table / f"{i}:x").write_text("x")
        run(m, "table", "set", "t", "listing", "records")
    with mount() as m:
        m.expect_log("hash module")
        with pytest.raises(OSError):
            (m.table / "1:x").read_text()
        with pytest.raises(OSError):
            (m.table / "new").write_text("x")
        assert (m.path / "u" / "x").read_text() == "x"
    with mount(f"hash_modules={modules}") as m:
        assert sorted(os.listdir(m.table)) == sorted(f"{i}:x" for i in range(20))
        assert (m.table / "1:x").read_text() == "x"


@pytest.mark.parametrize("lie", ["s", "l", "c", "m", "r", "0", "u"])
def test_a_module_that_lies_is_refused_and_nothing_moves(mount, run, modules, lie):
    with mount(f"hash_modules={modules}") as m:
        run(m, "table", "create", "t", "--hash", "liar", "--hash-arg", lie)
        run(m, "table", "set", "t", "listing", "records")
        for i in range(20):
            (m.table / f"{i}").write_text(f"{i}")
        run(m, "table", "fragments", "t", 3, "--wait")
        # u tells the truth once.
        n = 2 if lie == "u" else 1
        rows = [json.loads(line) for line in run(m, "table", "list", "--json").splitlines()]
        assert [row["fragments"] for row in rows] == [n]
        log = (m.path / ".mnefs" / "log").read_text()
        assert f"stays at {n} fragments: hash module liar" in log
        assert {x: (m.table / x).read_text() for x in os.listdir(m.table)} == {
            f"{i}": f"{i}" for i in range(20)
        }


def test_a_module_others_may_write_to_is_not_loaded(mount, run, modules, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "prefix.so").write_bytes((modules / "prefix.so").read_bytes())
    os.chmod(tmp_path / "m" / "prefix.so", 0o666)
    with mount(f"hash_modules={tmp_path / 'm'}") as m:
        m.expect_log("others may write to it")
        m.table.mkdir()
        assert "no hash module" in run(m, "table", "set", "t", "hash", "prefix", code=FAILED)
        assert "no hash module" in run(m, "table", "set", "t", "hash", "../m/prefix", code=FAILED)
