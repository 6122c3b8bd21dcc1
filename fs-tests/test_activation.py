# SPDX-License-Identifier: Apache-2.0
#
# test_activation.py - what mnefs ck create is asked for, and ck show tells: the arguments
# and the answers of mnesia_checkpoint

import json
import os

import pytest

from harness import as_nobody, in_child

OK, FAILED, USAGE, NOT_FOUND, EXISTS, NOT_PERMITTED = 0, 1, 2, 5, 6, 7


@pytest.fixture
def ck(fs, cli):
    for name in ("a", "b", "c"):
        (fs.path / name).mkdir()
    return lambda *words: cli("-C", fs.path, "ck", *words)


def info(fs, name):
    path = fs.path / f".mnefs/checkpoints/{name}/info.json"
    return json.loads(path.read_text())


@pytest.mark.parametrize("option", ["-t", "--min", "--max"])
def test_any_subset_of_the_tables_can_be_covered(fs, ck, option):
    for n, tables in enumerate((["a"], ["b", "c"], ["c", "a", "t"])):
        words = [word for table in tables for word in (option, table)]
        done = ck("create", f"c{n}", *words)
        assert done.returncode == OK, done.stderr
        assert sorted(os.listdir(fs.checkpoints / f"c{n}")) == sorted(tables)


def test_each_wrong_list_of_tables_is_its_own_error(fs, ck):
    for words, status, sentence in (
        (["-t", "a", "-t", "a"], USAGE, "table a is given twice"),
        (["--min", "a", "-t", "a"], USAGE, "table a is given twice"),
        (["--max", "a", "--max", "a"], USAGE, "table a is given twice"),
        (["--min", "a", "--max", "a"], USAGE, "both --min and --max"),
        (["-t", ""], USAGE, "no tables"),
        (["-t", "none"], NOT_FOUND, "there is no table none"),
        (["-t", "a", "-t", "none"], NOT_FOUND, "there is no table none"),
        (["--max", "none"], NOT_FOUND, "there is no table none"),
    ):
        done = ck("create", "x", *words)
        assert done.returncode == status, (words, done.stderr)
        assert sentence in done.stderr, (words, done.stderr)
        assert os.listdir(fs.checkpoints) == []


def test_the_daemon_checks_the_lists_itself(fs, ck):
    for line, sentence in (
        ("activate\tx\ttable\ta\ttable\ta", "given twice"),
        ("activate\tx\tmin\ta\tmax\ta", "both min and max"),
        ("activate\tx\ttable\tnone", "there is no table none"),
        ("activate\tx\ttable", "table of what"),
        ("activate\tx\tcolor\tred", "no color"),
        ("activate\tx\tpinned\tmaybe", "yes or no"),
        ("activate\tx\texpires\tsoon", "no expiry"),
        ("activate\tx\tnote\t" + "x" * 1025, "1024 bytes"),
    ):
        fd = os.open(fs.path / ".mnefs/ctl", os.O_RDWR)
        with pytest.raises(OSError):
            os.write(fd, line.encode())
        assert sentence in os.pread(fd, 1000, 0).decode()
        os.close(fd)
    assert os.listdir(fs.checkpoints) == []


def test_without_a_name_one_is_invented_and_printed(fs, ck):
    names = {ck("create").stdout.strip() for _ in range(4)}
    names |= {ck("create", "--pin", "-t", "a", "-t", "b").stdout.strip()}
    assert len(names) == 5 and names == set(os.listdir(fs.checkpoints))
    assert ck("create", min(names)).returncode == EXISTS
    assert ck("create", min(names), "--pin").returncode == EXISTS


def test_a_note_a_pin_and_an_expiry_come_with_it(fs, ck):
    done = ck("create", "x", "--note", "before the move", "--pin", "--expires", "7d")
    assert done.returncode == OK, done.stderr
    seen = info(fs, "x")
    assert seen["note"] == "before the move" and seen["pinned"] is True
    assert 6.9 < (seen["expires"] - seen["time"]) / 86400 < 7.1
    shown = ck("show", "x").stdout
    assert "before the move" in shown and "expires" in shown and "pinned   yes" in shown
    for words in (["--note", "two\nlines"], ["--expires", "soon"]):
        done = ck("create", "y", *words)
        assert done.returncode == USAGE and done.stderr, words
    assert os.listdir(fs.checkpoints) == ["x"]


def test_arguments_for_several_nodes_are_checked_and_kept(fs, ck):
    done = ck(
        *["create", "x", "--max", "a", "--min", "b", "--ram-overrides-dump", "no"],
        *["--allow-remote", "no"],
    )
    assert done.returncode == OK, done.stderr
    rows = (fs.path / ".mnefs/checkpoints/x/tables").read_text().splitlines()
    copies = {row.split("\t")[0]: row.split("\t")[3] for row in rows}
    assert copies == {"a": "max", "b": "min"}
    seen = info(fs, "x")
    assert seen["of_dump"] is True and seen["local_only"] is True
    for option in ("--ram-overrides-dump", "--allow-remote"):
        done = ck("create", "y", option, "maybe")
        assert done.returncode == USAGE and "yes or no" in done.stderr


def test_they_survive_a_remount(mount, cli):
    with mount() as m:
        (m.path / "a").mkdir()
        cli("-C", m.path, "ck", "create", "x", "--max", "a", "--note", "n", "--pin")
        before = info(m, "x")
        m.crash()
    with mount() as m:
        after = info(m, "x")
        assert after == before


def test_the_cookie_of_a_name_that_is_made_again_differs(fs, ck):
    ck("create", "x")
    first = info(fs, "x")["cookie"]
    fs.drop("x")
    ck("create", "x")
    assert info(fs, "x")["cookie"] != first
    assert info(fs, "x")["cookie"] in ck("show", "x").stdout


def test_show_tells_what_each_table_retains(fs, ck):
    for name in ("a", "b"):
        for n in range(10):
            (fs.path / name / str(n)).write_bytes(b"x" * 1000)
    ck("create", "x")

    def rows():
        text = (fs.path / ".mnefs/checkpoints/x/tables").read_text()
        return {line.split("\t")[0]: line.split("\t")[1:] for line in text.splitlines()}

    assert all(row[:2] == ["0", "0"] for row in rows().values())
    for n in range(4):
        (fs.path / "a" / str(n)).write_bytes(b"y" * 1000)
    (fs.path / "b/0").unlink()
    values, size = (int(field) for field in rows()["a"][:2])
    assert values >= 4 and size >= 4000
    assert int(rows()["b"][1]) >= 1000 and rows()["t"][1] == "0"
    assert rows()["a"][2:] == ["min", "yes", "local"]
    shown = ck("show", "x").stdout
    assert "RETAINED" in shown and "NODE" in shown


@pytest.mark.root
def test_a_member_of_the_group_may_pin_and_note_his_own(open_fs, cli):
    os.chown(open_fs.checkpoints, -1, 4242)
    (open_fs.path / "b").mkdir()

    def run(*words):
        def child():
            done = cli("ck", "create", *words, cwd=".")
            assert done.returncode == OK, done.stderr

        return in_child(child, cwd=open_fs.path, uid=65534, groups=[4242])

    run("one", "--note", "mine", "--pin", "--expires", "1d")
    run("two", "-t", "t", "--note", "mine")
    assert info(open_fs, "one")["note"] == "mine" and info(open_fs, "one")["pinned"]
    assert info(open_fs, "two")["tables"] == ["t"]

    def refused():
        done = cli("ck", "create", "x", "-t", "t", "-t", "b", cwd=".")
        assert done.returncode == NOT_PERMITTED

    as_nobody(open_fs.path, refused)
