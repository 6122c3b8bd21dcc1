# SPDX-License-Identifier: Apache-2.0
#
# test_counter.py - .mnefs/counter and mnefs counter: a number added to as one step

import errno
import os
import threading

import pytest

from harness import NOBODY, as_nobody, fails, in_child


def add(fs, line):
    """The answer to a line."""
    fd = os.open(fs.path / ".mnefs/counter", os.O_RDWR)
    try:
        os.write(fd, line.encode() + b"\n")
        return int(os.pread(fd, 100, 0))
    finally:
        os.close(fd)


def test_a_counter_returns_its_new_value_and_is_made_at_need(fs):
    assert add(fs, "t/n +5") == 5
    assert add(fs, "t/n +3") == 8
    assert add(fs, "t/n -2") == 6
    assert (fs.table / "n").read_text() == "6\n"


def test_a_counter_stops_at_zero_unless_it_is_signed(fs):
    """B14: 3 - 5 is 0, and a negative first step makes 0."""
    add(fs, "t/n +3")
    assert add(fs, "t/n -5") == 0
    assert add(fs, "t/m -5") == 0
    assert add(fs, "t/s -5 signed") == -5
    assert add(fs, "t/s +7 signed") == 2


@pytest.mark.parametrize("text", ["", "x", "1x", "1 2", "1.5", "9" * 30, "\n"])
def test_a_record_that_is_no_number_is_left_alone(fs, text):
    (fs.table / "k").write_text(text)
    fd = os.open(fs.path / ".mnefs/counter", os.O_RDWR)
    with fails(errno.EINVAL):
        os.write(fd, b"t/k +1\n")
    assert os.pread(fd, 100, 0) == b"the record is no number"
    os.close(fd)
    assert (fs.table / "k").read_text() == text


def test_a_sum_that_does_not_fit_changes_nothing(fs):
    (fs.table / "k").write_text(str(2**63 - 1))
    with fails(errno.ERANGE):
        add(fs, "t/k +1")
    assert (fs.table / "k").read_text() == str(2**63 - 1)


@pytest.mark.parametrize(
    "line", ["t/n", "t/n 5", "t/n +", "t/n +x", "n +1", "t/a/b +1", "t/ +1", "+1", ""]
)
def test_a_line_that_is_not_understood_makes_nothing(fs, line):
    with fails(errno.EINVAL):
        add(fs, line)
    assert os.listdir(fs.table) == []


def test_what_is_no_file_is_no_counter(fs):
    (fs.table / "d").mkdir()
    os.symlink("x", fs.table / "l")
    with fails(errno.EISDIR):
        add(fs, "t/d +1")
    with fails(errno.EINVAL):
        add(fs, "t/l +1")
    with fails(errno.ENOENT):
        add(fs, "nosuch/n +1")
    with fails(errno.EPERM):
        add(fs, "t/.checkpoints +1")


def test_names_may_hold_blanks(fs):
    assert add(fs, "t/a name +1") == 1
    assert (fs.table / "a name").exists()


def test_a_checkpoint_keeps_the_value_of_its_moment(fs):
    """A4.10: the value before the step is what the checkpoint shows."""
    add(fs, "t/k +5")
    c = fs.checkpoint("c")
    add(fs, "t/k +1")
    add(fs, "t/new +1")
    assert (c / "t/k").read_text() == "5\n"
    assert not (c / "t/new").exists()
    assert (fs.table / "k").read_text() == "6\n"


def test_no_step_of_many_is_lost(fs):
    threads, steps = 8, 100

    def work():
        for _ in range(steps):
            add(fs, "t/n +1")

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers):
        try:
            text = (fs.table / "n").read_text()
        except FileNotFoundError:
            continue
        assert text == "" or int(text) > 0
    for worker in workers:
        worker.join()
    assert (fs.table / "n").read_text() == f"{threads * steps}\n"


def test_a_counter_survives_a_remount(mount):
    m = mount()
    (m.path / "t").mkdir()
    assert add(m, "t/n +41") == 41
    m.unmount()
    m = mount()
    assert add(m, "t/n +1") == 42


def test_rights_to_the_record_are_what_counts(open_fs):
    fs = open_fs
    os.chmod(fs.table, 0o755)
    for name, mode, group in (("mine", 0o644, 0), ("all", 0o666, 0), ("ours", 0o664, 77)):
        (fs.table / name).write_text("1")
        os.chown(fs.table / name, 0, group)
        os.chmod(fs.table / name, mode)

    def step(record):
        fd = os.open(".mnefs/counter", os.O_RDWR)
        try:
            os.write(fd, f"t/{record} +1\n".encode())
            return int(os.pread(fd, 100, 0))
        finally:
            os.close(fd)

    assert as_nobody(fs.path, lambda: step("all")) == 2
    for record in ("mine", "ours", "new"):
        with fails(errno.EACCES):
            as_nobody(fs.path, lambda record=record: step(record))
    with_group = in_child(lambda: step("ours"), cwd=fs.path, uid=NOBODY, groups=(77,))
    assert with_group == 2
    assert (fs.table / "mine").read_text() == "1"
    assert not (fs.table / "new").exists()
    os.chmod(fs.table, 0o777)
    assert as_nobody(fs.path, lambda: step("new")) == 1
    assert os.stat(fs.table / "new").st_uid == NOBODY
    os.chmod(fs.table, 0o700)
    with fails(errno.EACCES):
        as_nobody(fs.path, lambda: step("all"))


def test_the_command_adds_and_shows(fs, cli):
    assert cli("counter", "t/n", "+5", cwd=fs.path).stdout == "5\n"
    assert cli("counter", "t/n", "-2", cwd=fs.path).stdout == "3\n"
    assert cli("counter", "t/n", "-9", "--signed", cwd=fs.path).stdout == "-6\n"
    assert cli("counter", "t/n", cwd=fs.path).stdout == "-6\n"
    (fs.table / "k").write_text("x")
    result = cli("counter", "t/k", "+1", cwd=fs.path)
    assert result.returncode == 1
    assert "no number" in result.stderr
    assert cli("counter", "t/none", cwd=fs.path).returncode == 5
