# SPDX-License-Identifier: Apache-2.0
#
# test_cli_mistakes.py - what the command says to who made a mistake: one clear sentence,
# the exit code of the manual, and nothing that explains something else

import os
import re
import time

import pytest

OK, FAILED, USAGE, NOT_FOUND, EXISTS, NOT_PERMITTED = 0, 1, 2, 5, 6, 7
DIFFERENT, WRAPPER = 4, 125


@pytest.fixture
def said(fs, cli):
    """said(words, code) is what it says on stderr."""

    def run(*words, code, cwd=fs.path):
        done = cli(*words, cwd=cwd)
        assert done.returncode == code, done
        assert done.stderr.count("mnefs: ") == 1 or code in (OK, DIFFERENT), done.stderr
        return done.stderr

    return run


def fail_and_log(fs):
    """Something fails, and the last line of the log says so."""
    fs.checkpoint("pinned")
    (fs.path / ".mnefs/checkpoints/pinned/pinned").write_text("yes")
    with pytest.raises(OSError):
        (fs.checkpoints / "pinned").rmdir()
    assert "pinned" in (fs.path / ".mnefs/log").read_text().splitlines()[-1]
    time.sleep(0.1)


def test_what_failed_before_explains_nothing(fs, said):
    fail_and_log(fs)
    assert "pinned" not in said("ck", "bookmark", "nope", code=NOT_FOUND)
    said("ck", "bookmark", "pinned", code=OK)
    assert "unpin" not in said("ck", "bookmark", "pinned", code=EXISTS)
    assert "unpin" not in said("ck", "unbookmark", "nope", code=NOT_FOUND)
    (fs.table / "a").write_text("a")
    fs.checkpoint("c")
    (fs.table / "a").write_text("b")
    assert "unpin" not in said("restore", "t/a", "--to", "/nonexistent", code=NOT_FOUND)
    assert "unpin" not in said("changed", "", code=NOT_FOUND)


def test_what_has_just_failed_is_explained(mount, cli):
    with mount("tx_max=1") as m:
        (m.path / ".tx/open").mkdir()
        done = cli("tx", "--", "true", cwd=m.path)
        assert done.returncode == WRAPPER
        assert "tx_max" in done.stderr or "open" in done.stderr.splitlines()[1]
        (m.path / ".tx/open").rmdir()


def test_a_name_of_two_moments_is_no_missing_one(fs, said):
    fs.checkpoint("a")
    fs.checkpoint("b")
    said("ck", "bookmark", "a", "b", code=OK)
    for words in (["diff", "b"], ["changed", "b"], ["changed", "a", "b"]):
        assert "different moments" in said(*words, code=FAILED)


def test_a_diff_of_what_is_not_there_is_no_success(fs, said):
    (fs.table / "a").write_text("a")
    (fs.table / "gone").write_text("gone")
    fs.checkpoint("monday")
    fs.checkpoint("tuesday")
    assert "mondya" in said("diff", "monday", "mondya", code=NOT_FOUND)
    assert "mondya" in said("diff", "monday", "mondya", "--exit-code", code=NOT_FOUND)
    assert "t/nope" in said("diff", "monday", "tuesday", "t/nope", code=NOT_FOUND)
    said("diff", "monday", "t", code=OK)
    said("diff", "monday", "t/a", "--exit-code", code=OK)
    said("diff", "monday", "tuesday", "t/gone", code=OK)
    (fs.table / "gone").unlink()
    said("diff", "monday", "t/gone", "--exit-code", code=DIFFERENT)
    said("ck", "bookmark", "monday", "mark", code=OK)
    said("diff", "mark", "t/gone", "--exit-code", code=DIFFERENT)


def test_what_is_no_record_has_no_history(said):
    for command in ("history", "restore"):
        assert "no record" in said(command, ".mnefs/log", code=USAGE)
        assert "no record" in said(command, ".mnefs", code=USAGE)


def test_where_to_restore_to_is_what_is_complained_about(fs, said, tmp_path):
    (fs.table / "a").write_text("a")
    fs.checkpoint("c")
    (tmp_path / "file").touch()
    nowhere = tmp_path / "nowhere"
    assert str(nowhere) in said("restore", "t/a", "--to", nowhere, code=NOT_FOUND)
    assert "Not a directory" in said("restore", "t/a", "--to", tmp_path / "file", code=FAILED)
    said("restore", "t/a", "--from", "c", "--to", tmp_path, code=OK)
    assert (tmp_path / "a").read_text() == "a"


@pytest.mark.parametrize("limit", ["x", "-1", "0", "1x", ""])
def test_a_limit_of_a_query_is_a_number(fs, said, limit):
    (fs.table / "a").touch()
    assert "--limit" in said("query", "t", "--limit", limit, code=USAGE)


@pytest.mark.parametrize(
    "words",
    [
        ["t"],
        ["t/"],
        ["/etc/passwd"],
        ["t/n/m", "+1"],
        ["t/x\ny", "+1"],
        ["t/n", "5"],
        ["t/n", "+"],
        ["t/n", "+1x"],
    ],
)
def test_a_counter_is_called_by_table_record_and_step(said, words):
    assert "Error" not in said("counter", *words, code=USAGE)


def test_a_counter_that_is_not_there_and_one_that_is_no_number(fs, said):
    (fs.table / "text").write_text("text")
    assert "there is no record t/nope" in said("counter", "t/nope", code=NOT_FOUND)
    said("counter", "t/text", code=FAILED)
    assert "no number" in said("counter", "t/text", "+1", code=FAILED)


@pytest.mark.parametrize(
    "option, value",
    [
        ("--fragments", "0"),
        ("--fragments", "10000"),
        ("--fragments", "foo"),
        ("--fragments", "auto:0"),
        ("--listing", "foo"),
        ("--commit", "never"),
        ("--commit", "0"),
        ("--hash-arg", "word"),
    ],
)
def test_a_table_that_cannot_be_like_that_is_wrong_usage(fs, said, option, value):
    said("table", "create", "x", option, value, code=USAGE)
    assert not (fs.path / "x").exists()


def test_a_table_that_exists_and_one_that_cannot(said):
    assert "already" in said("table", "create", "t", code=EXISTS)
    for name in (".mnefs", ".checkpoints", ".tx"):
        done = said("table", "create", name, code=NOT_PERMITTED)
        assert "reserved" in done


def test_a_checkpoint_name_that_is_too_long(said):
    assert "255" in said("ck", "create", "x" * 256, code=USAGE)
    said("ck", "create", "x" * 255, code=OK)


def test_a_transaction_that_changed_nothing_says_so(fs, said):
    assert said("tx", "--", "true", code=OK) == "mnefs: nothing changed\n"
    assert re.match(r"mnefs: committed \d+ changes at seq \d+\n", said("tx", "--", "touch", "t/a", code=OK))


def test_the_name_of_a_transaction_is_what_is_complained_about(said):
    assert "own" not in said("tx", "--name", "x" * 300, "--", "true", code=WRAPPER)


def test_what_is_no_store_is_not_to_be_repaired(cli, tmp_path):
    (tmp_path / "dir").mkdir()
    (tmp_path / "dir/file").write_text("mine")
    for words in (["check", tmp_path / "dir"], ["check", "--repair", tmp_path / "dir"]):
        done = cli(*words)
        assert done.returncode == FAILED
        assert "repair" not in done.stderr
    assert os.listdir(tmp_path / "dir") == ["file"]
    done = cli("init", tmp_path / "dir")
    assert done.returncode == FAILED
    assert "empty directory" in done.stderr


def test_a_store_that_lost_its_marker_is_to_be_repaired(cli, tmp_path):
    assert cli("init", tmp_path / "s").returncode == OK
    (tmp_path / "s/MNEFS").write_text("other")
    assert "--repair" in cli("check", tmp_path / "s").stderr


def test_options_stand_before_the_command_that_is_run(cli):
    for command in ("tx", "rsync"):
        usage = cli("help", command).stdout.splitlines()[0]
        assert usage.index("[OPTIONS]") < usage.index("-- ")
    assert cli("help", "df").stdout.splitlines()[0] == "usage: mnefs df"


def test_help_names_no_control_command_that_there_is_not(fs, cli):
    text = cli("help", "paths").stdout
    listed = re.search(r" ctl +takes commands: ([a-z, \n]+?)\n +[.]", text)[1]
    log = fs.path / ".mnefs/log"
    for command in re.findall(r"[a-z]+", listed):
        try:
            (fs.path / ".mnefs/ctl").write_text(command)
        except OSError:
            assert "usage" in log.read_text().splitlines()[-1], command
