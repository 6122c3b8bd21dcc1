# SPDX-License-Identifier: Apache-2.0
#
# test_ctl.py - the control files in .mnefs

import errno
import json
import os
import re

import pytest

from harness import fails, sh

FILES = ("version", "status", "log", "stats", "metrics", "ctl")
READABLE = tuple(name for name in FILES if name != "ctl")


@pytest.fixture
def ctl(fs):
    return fs.path / ".mnefs"


def test_the_control_files_are_listed_in_their_directory(ctl):
    assert set(FILES) <= set(os.listdir(ctl))


@pytest.mark.parametrize("name", READABLE)
def test_the_control_file_can_be_read_by_cat_dd_and_tail(ctl, name):
    text = (ctl / name).read_text()
    assert text.endswith("\n") or text == ""
    for command in (f"cat {name}", f"dd if={name} bs=7 status=none", f"tail -1 {name}"):
        sh(command, ctl)
    with open(ctl / name, "rb", buffering=0) as file:
        whole = b""
        while got := file.read(5):
            whole += got
        assert os.pread(file.fileno(), 10, 10_000_000) == b""
    assert whole.count(b"\n") >= text.count("\n") - 2


@pytest.mark.parametrize("name", READABLE)
def test_control_files_that_only_tell_cannot_be_changed(ctl, name):
    for attempt in (
        lambda: os.open(ctl / name, os.O_WRONLY),
        lambda: os.unlink(ctl / name),
        lambda: os.rename(ctl / name, ctl / "x"),
        lambda: os.chmod(ctl / name, 0o777),
    ):
        with fails(errno.EPERM, errno.EACCES, errno.EROFS):
            attempt()


def test_nothing_can_be_made_in_the_control_directory(ctl):
    for attempt in (
        lambda: os.open(ctl / "x", os.O_CREAT | os.O_WRONLY),
        lambda: os.mkdir(ctl / "x"),
        lambda: os.symlink("x", ctl / "x"),
        lambda: os.setxattr(ctl, "user.a", b"x"),
    ):
        with fails(errno.EPERM, errno.EACCES, errno.EROFS, errno.EOPNOTSUPP):
            attempt()


def test_version_is_one_line_and_the_programs(ctl, cli):
    text = (ctl / "version").read_text()
    assert text.count("\n") == 1
    number = re.search(r"\d+\.\d+[\w.+-]*", text).group()
    assert number in cli("version").stdout


def test_status_counts_tables_checkpoints_and_commits(fs, ctl):
    def status():
        lines = (ctl / "status").read_text().splitlines()
        return dict(line.split(" ", 1) for line in lines if " " in line)

    before = status()
    (fs.path / "other").mkdir()
    (fs.table / "f").write_text("x")
    fs.checkpoint("c")
    after = status()
    assert int(after["tables"]) == int(before["tables"]) + 1
    assert int(after["checkpoints"]) == int(before["checkpoints"]) + 1
    assert int(after["seq"]) > int(before["seq"])


def test_metrics_are_prometheus_text(fs, ctl):
    (fs.table / "f").write_text("x")
    text = (ctl / "metrics").read_text()
    sample = re.compile(
        r"[a-zA-Z_:][a-zA-Z0-9_:]*(\{([a-zA-Z_]\w*=\"(\\.|[^\"\\])*\",?)*\})? "
        r"(-?[0-9.]+([eE][+-]?\d+)?|NaN|[+-]Inf)( \d+)?"
    )
    comment = re.compile(r"# (HELP|TYPE) [a-zA-Z_:][\w:]* .+")
    samples = 0
    for line in text.splitlines():
        if line.startswith("#"):
            assert comment.fullmatch(line), line
        elif line:
            assert sample.fullmatch(line), line
            assert line.startswith("mnefs_"), line
            samples += 1
    assert samples >= 5
    types = re.findall(r"# TYPE (\S+)", text)
    assert len(types) == len(set(types))


def test_stats_count_errors_by_name(fs, ctl):
    with fails(errno.EINVAL):
        os.mkdir(fs.checkpoints / "a:b")
    stats = (ctl / "stats").read_text()
    assert re.search(r"(?im)CKPT_NAME\b.*[1-9]", stats), stats


def test_json_twins_parse(ctl):
    for name in os.listdir(ctl):
        if name.endswith(".json"):
            for line in (ctl / name).read_text().splitlines():
                if line.strip():
                    json.loads(line)


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b"\0\0\0",
        b"\xff" * 100,
        b"x" * 4000,
        b"checkpoint\n",
        b"checkpoint\t\n",
        b"checkpoint\ta:b\tt\n",
        b"%s%s%n\n",
    ],
)
def test_a_control_line_that_makes_no_sense_is_refused(fs, ctl, line):
    fd = os.open(ctl / "ctl", os.O_WRONLY)
    try:
        with fails(errno.EINVAL, errno.ENOENT, errno.E2BIG, errno.ENAMETOOLONG):
            os.write(fd, line)
            os.close(os.dup(fd))
            raise OSError(0, "accepted")
    finally:
        os.close(fd)
    assert fs.is_alive()
    assert os.listdir(fs.checkpoints) == []


def test_ten_thousand_bad_lines_hurt_nobody(fs, ctl):
    for n in range(2000):
        try:
            with open(ctl / "ctl", "wb", buffering=0) as file:
                file.write(os.urandom(n % 200 + 1))
        except OSError:
            pass
    (fs.table / "f").write_text("alive")
    assert (ctl / "log").stat() is not None
    assert len((ctl / "log").read_bytes().splitlines()) <= 10_000


def test_the_log_is_text_whatever_the_names_were(fs, ctl):
    top = os.fsencode(fs.checkpoints)
    with fails(errno.EINVAL):
        os.mkdir(top + b"/a\nb\x1b[31m:\xff")
    lines = (ctl / "log").read_bytes().splitlines()
    assert not any(c < 32 and c != 9 for line in lines for c in line)


def test_reading_the_log_does_not_change_it(ctl, fs):
    with fails(errno.EINVAL):
        os.mkdir(fs.checkpoints / "a:b")
    first = (ctl / "log").read_text()
    assert (ctl / "log").read_text() == first


@pytest.mark.root
def test_an_ordinary_user_may_read_but_not_command(open_fs):
    from harness import as_nobody

    def work():
        with open(".mnefs/version") as file:
            assert file.read()
        with fails(errno.EACCES, errno.EPERM):
            os.open(".mnefs/ctl", os.O_WRONLY)

    as_nobody(open_fs.path, work)


def test_the_answer_to_a_command_is_read_from_the_handle_it_was_written_to(ctl):
    fd = os.open(ctl / "ctl", os.O_RDWR)
    try:
        with fails(errno.ENOENT):
            os.write(fd, b"drop nosuch\n")
        assert b"nosuch" in os.pread(fd, 1000, 0)
        os.write(fd, b"sync\n")
        assert os.pread(fd, 1000, 0) == b""
    finally:
        os.close(fd)


def test_each_checkpoint_has_a_directory_of_facts(fs, ctl):
    fs.checkpoint("one")
    assert os.listdir(ctl / "checkpoints") == ["one"]
    facts = json.loads((ctl / "checkpoints/one/info.json").read_text())
    assert facts["name"] == "one"
    fs.drop("one")
    assert os.listdir(ctl / "checkpoints") == []
    assert not (ctl / "checkpoints/one").exists()


def test_n5_what_can_be_read_is_key_value_lines_or_json(ctl):
    for line in (ctl / "status").read_text().splitlines():
        assert re.fullmatch(r"[a-z_]+ .*", line), line
    assert isinstance(json.loads((ctl / "status.json").read_text()), dict)
