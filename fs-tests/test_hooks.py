# SPDX-License-Identifier: Apache-2.0
#
# test_hooks.py - programs and processes that are told of checkpoints

import errno
import json
import os
import select
import threading
import time

import pytest

from harness import eventually

NAMES = ("10-a", "20-b", "30-c")


class Hooks:
    """A directory of hooks, and what they noted down."""

    def __init__(self, path):
        self.dir = path / "hooks"
        self.dir.mkdir()
        self.noted = path / "noted"
        self.noted.write_text("")

    def add(self, name, body="", mode=0o755):
        """It notes how it was called, then does what body says ($1 is the phase)."""
        file = self.dir / name
        file.write_text(f'#!/bin/sh\necho "{name} $*" >> "{self.noted}"\n{body}\n')
        file.chmod(mode)
        return file

    def calls(self):
        lines = self.noted.read_text().splitlines()
        self.noted.write_text("")
        return lines


@pytest.fixture
def hooks(tmp_path):
    return Hooks(tmp_path)


@pytest.fixture
def m(mount, hooks):
    with mount(f"hooks={hooks.dir}", "hook_timeout=2s") as m:
        m.table.mkdir()
        yield m


def last_log(m, text):
    lines = [x for x in (m.path / ".mnefs/log").read_text().splitlines() if text in x]
    return lines[-1] if lines else ""


def outcome(m, name):
    info = m.path / ".mnefs/checkpoints" / name / "info.json"
    return json.loads(info.read_text())["outcome"]


def test_prepare_is_called_in_reverse_and_after_in_order(m, hooks):
    for name in NAMES:
        hooks.add(name)
    m.checkpoint("c")
    assert hooks.calls() == [
        "30-c prepare c",
        "20-b prepare c",
        "10-a prepare c",
        "10-a after c ok",
        "20-b after c ok",
        "30-c after c ok",
    ]
    assert outcome(m, "c") == "checkpointed"
    with pytest.raises(FileExistsError):
        m.checkpoint("c")
    with pytest.raises(OSError):
        m.checkpoint("no:name")
    m.drop("c")
    assert hooks.calls() == [], "nobody is bothered for what cannot be"


def test_a_hook_may_write_to_the_mount_and_is_in_the_checkpoint(m, hooks):
    big = "head -c 3000000 /dev/zero"
    hooks.add("10-a", f'[ $1 = prepare ] && {big} > "$MNEFS_MOUNT/t/big"; :')
    hooks.add("20-b", 'echo "$1" > "$MNEFS_MOUNT/t/small"')
    for n in range(10):
        there = m.checkpoint(f"c{n}")
        assert (there / "t/big").stat().st_size == 3_000_000
        assert (there / "t/small").read_text() == "prepare\n"
        assert (m.table / "small").read_text() == "after\n"
        (m.table / "big").unlink()


@pytest.mark.parametrize(
    "body, said",
    [
        ('[ $1 = after ] || { echo "replica lag"; exit 7; }', 'exit 7 "replica lag"'),
        ("[ $1 = after ] || sleep 60", "late"),
        ("[ $1 = after ] || kill -SEGV $$", "signal 11"),
        ("[ $1 = after ] || { sleep 60 & sleep 60; }", "late"),
    ],
)
def test_a_hook_that_fails_makes_a_checkpoint_risky_and_a_required_one_cancels_it(
    m, hooks, body, said
):
    hooks.add("10-first")
    file = hooks.add("20-bad", body)
    m.checkpoint("c")
    assert outcome(m, "c") == "potentiallyDangerousCodeLinks"
    assert said in last_log(m, "20-bad")
    assert hooks.calls() == [
        "20-bad prepare c",
        "10-first prepare c",
        "10-first after c ok",
        "20-bad after c ok",
    ]
    file.unlink()
    hooks.add("20-bad.required", body)
    with pytest.raises(OSError) as error:
        m.checkpoint("d")
    assert error.value.errno == errno.ECANCELED
    assert os.listdir(m.checkpoints) == ["c"]
    assert hooks.calls() == [
        "20-bad.required prepare d",
        "10-first after d failed",
        "20-bad.required after d failed",
    ]
    log = last_log(m, "mkdir")
    assert "hook 20-bad.required" in log and said in log and "was not made" in log


def test_it_runs_with_a_clean_environment_and_nothing_open(mount, hooks, tmp_path):
    note = tmp_path / "note"
    hooks.add("10-a", f'[ $1 = after ] && exit; (ls -l /proc/self/fd; pwd; env) > {note}')
    with mount(f"hooks={hooks.dir}", env={"SECRET": "x", "HOME": "/nowhere"}) as m:
        m.table.mkdir()
        (m.table / "held").write_text("x")
        with open(m.table / "held"):
            m.checkpoint("c")
        text = note.read_text()
        lines = text.splitlines()
        opened = [x.split()[8] for x in lines if " -> " in x]
        assert sorted(opened) == ["0", "1", "2", "3"], text  # 3: the directory itself
        assert "/" in lines
        names = {x.split("=")[0] for x in lines if "=" in x and " -> " not in x}
        assert {"PATH", "MNEFS_MOUNT", "MNEFS_STORE", "MNEFS_HOOK"} <= names
        assert not names & {"SECRET", "G_MESSAGES_DEBUG"}
        assert f"MNEFS_MOUNT={m.path}" in lines and f"MNEFS_STORE={m.store}" in lines
        assert "HOME=/nowhere" not in lines


def test_what_others_can_change_is_not_run(m, hooks):
    hooks.add("10-open", mode=0o777)
    hooks.add("20-not-executable", mode=0o644)
    hooks.add(".hidden")
    hooks.add("30-backup~")
    hooks.add("40-good")
    m.checkpoint("c")
    assert hooks.calls() == ["40-good prepare c", "40-good after c ok"]
    assert "others than root and the owner" in last_log(m, "10-open")
    hooks.dir.chmod(0o777)
    m.checkpoint("d")
    assert hooks.calls() == []
    hooks.dir.chmod(0o755)


def test_a_hook_may_add_tables(m, hooks):
    for name in ("u", "v"):
        (m.path / name).mkdir()
        (m.path / name / "f").write_text(name)
    hooks.add("10-a", "[ $1 = prepare ] && echo 'add u' && echo 'add t'; :")
    m.checkpoint("one", "t")
    assert sorted(os.listdir(m.checkpoints / "one")) == ["t", "u"]
    m.checkpoint("all")
    assert sorted(os.listdir(m.checkpoints / "all")) == ["t", "u", "v"]
    hooks.add("10-a", "echo 'add nowhere'")
    m.checkpoint("none", "t")
    assert outcome(m, "none") == "potentiallyDangerousCodeLinks"
    assert sorted(os.listdir(m.checkpoints / "none")) == ["t"]


def test_a_rollback_is_told_in_order(m, hooks):
    m.checkpoint("c")
    (m.table / "f").write_text("now")
    for name in NAMES:
        hooks.add(name)
    with open(m.path / ".mnefs/rollback", "w") as file:
        file.write("run\tc")
    assert hooks.calls() == [f"{name} after c rolledback" for name in NAMES]
    assert "rolledBack" in last_log(m, "checkpoint c:")
    with pytest.raises(OSError):
        with open(m.path / ".mnefs/rollback", "w") as file:
            file.write("run\tnowhere")
    assert hooks.calls() == []


class Joined:
    """A process that joins, in a thread: answers as told."""

    def __init__(self, m, answers=("ready",), first=()):
        self.fd = os.open(m.path / ".mnefs/hooks/join", os.O_RDWR)
        self.answers, self.heard = answers, []
        for line in first:
            os.write(self.fd, line.encode() + b"\n")
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        try:
            while line := os.read(self.fd, 4096).decode():
                for each in line.splitlines():
                    self.heard.append(each)
                    if each.startswith("after stop"):
                        return
                    if each.startswith("prepare"):
                        self.answer()
        except OSError:
            pass

    def answer(self):
        for answer in self.answers:
            if callable(answer):
                answer()
            else:
                os.write(self.fd, answer.encode() + b"\n")

    def wait(self, line):
        until = time.monotonic() + 10
        while line not in self.heard:
            assert time.monotonic() < until, self.heard
            time.sleep(0.01)

    def close(self, m):
        if self.fd is None:
            return
        with open(m.path / ".mnefs/hooks/run", "w") as file:
            file.write("after\t\tstop\tok")
        self.thread.join()
        os.close(self.fd)
        self.fd = None


def test_a_process_is_a_hook_as_long_as_it_holds_the_file_open(m, hooks):
    hooks.add("10-file")
    inside = []
    one = Joined(m, (lambda: (m.table / "from process").write_text("x"), "ready"))
    two = Joined(m, (lambda: inside.append(hooks.calls()), "add t", "ready"))
    there = m.checkpoint("c")
    assert (there / "t/from process").exists()
    assert inside == [[]], "the last that joined is asked first"
    for hook in (one, two):
        hook.wait("after c ok")
        assert hook.heard == ["prepare c", "after c ok"]
    two.close(m)
    one.close(m)
    hooks.calls()
    m.checkpoint("d")
    assert hooks.calls() == ["10-file prepare d", "10-file after d ok"]
    assert two.heard[-1] == "after stop ok"


def test_a_process_can_poll_until_it_is_asked(m):
    fd = os.open(m.path / ".mnefs/hooks/join", os.O_RDWR)
    assert select.select([fd], [fd], [], 0) == ([], [fd], [])
    making = threading.Thread(target=m.checkpoint, args=("c",))
    making.start()
    assert select.select([fd], [], [], 10)[0]
    assert os.read(fd, 4096) == b"prepare c\n"
    assert not select.select([fd], [], [], 0)[0]
    os.write(fd, b"ready\n")
    assert select.select([fd], [], [], 10)[0]
    assert os.read(fd, 4096) == b"after c ok\n"
    making.join()
    os.close(fd)


def test_a_process_may_refuse_be_late_or_go(m):
    refusing = Joined(m, ("refuse not now",))
    m.checkpoint("c")
    assert outcome(m, "c") == "potentiallyDangerousCodeLinks"
    assert "refused: not now" in last_log(m, "before checkpoint c")
    refusing.close(m)
    required = Joined(m, ("refuse never",), first=("required",))
    with pytest.raises(OSError) as error:
        m.checkpoint("d")
    assert error.value.errno == errno.ECANCELED
    required.wait("after d failed")
    required.close(m)
    silent = Joined(m, ())
    m.checkpoint("e")
    assert outcome(m, "e") == "potentiallyDangerousCodeLinks"
    with pytest.raises(OSError):
        os.pwrite(silent.fd, b"ready\n", 0)  # write(2) would wait for the read
    silent.close(m)
    going = os.open(m.path / ".mnefs/hooks/join", os.O_RDWR)
    timer = threading.Timer(0.2, os.close, (going,))
    timer.start()
    m.checkpoint("f")
    timer.join()
    assert "it went away" in last_log(m, "before checkpoint f")


def test_a_hook_must_say_what_makes_sense(m):
    fd = os.open(m.path / ".mnefs/hooks/join", os.O_RDWR)
    for line in (b"ready\n", b"add t\n", b"nonsense\n", b"x\0\n"):
        with pytest.raises(OSError) as error:
            os.write(fd, line)
        assert error.value.errno == errno.EINVAL
    os.close(fd)
    with pytest.raises(OSError):
        os.open(m.path / ".mnefs/hooks/join", os.O_RDONLY)


def test_writers_are_not_stopped_while_hooks_prepare(m, hooks):
    there = '"$MNEFS_MOUNT/t/meanwhile"'
    hooks.add("10-waits.required", f"while [ ! -s {there} ]; do sleep 0.02; done")
    thread = threading.Thread(target=m.checkpoint, args=("c",))
    thread.start()
    while not hooks.noted.read_text():
        time.sleep(0.01)
    (m.table / "meanwhile").write_text("x")
    thread.join()
    assert (m.checkpoints / "c/t/meanwhile").exists()


def automatic(m):
    """The checkpoints made because the time had come."""
    return [n for n in os.listdir(m.checkpoints) if n.startswith("20")]


def test_automatic_checkpoints_ask_the_hooks_as_all_others_do(mount, hooks):
    hooks.add("10-a", '[ $1 = after ] || echo ready > "$MNEFS_MOUNT/t/said"')
    hooks.add("20-b", "[ $1 = after ] || { echo 'not now'; exit 1; }")
    with mount(f"hooks={hooks.dir}", "auto=hourly:3") as m:
        m.table.mkdir()
        eventually(lambda: len(hooks.noted.read_text().splitlines()) == 4)
        (name,) = automatic(m)
        assert hooks.calls() == [
            f"20-b prepare {name}",
            f"10-a prepare {name}",
            f"10-a after {name} ok",
            f"20-b after {name} ok",
        ]
        assert (m.checkpoints / name / "t/said").read_text() == "ready\n"
        assert outcome(m, name) == "potentiallyDangerousCodeLinks"


def test_a_required_hook_stops_an_automatic_checkpoint_too(mount, hooks):
    hooks.add("10-a.required", "[ $1 = after ] || { echo 'not now'; exit 1; }")
    with mount(f"hooks={hooks.dir}", "auto=hourly:3") as m:
        m.expect_log("an automatic checkpoint could not be made")
        m.table.mkdir()
        eventually(lambda: "failed" in hooks.noted.read_text())
        assert automatic(m) == []
        assert "not now" in last_log(m, "an automatic checkpoint could not be made")


def test_two_checkpoints_at_once_take_turns(m, hooks):
    hooks.add("10-slow", "sleep 0.1")
    threads = [threading.Thread(target=m.checkpoint, args=(f"{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    calls = hooks.calls()
    assert len(calls) == 8
    for before, after in zip(calls[::2], calls[1::2]):
        assert before.split()[1:] == ["prepare", after.split()[2]]


def test_unmounting_does_not_wait_for_a_hook(mount, hooks):
    hooks.add("10-slow", "sleep 30")
    m = mount(f"hooks={hooks.dir}", "hook_timeout=60s")
    m.table.mkdir()

    def make():
        with pytest.raises(OSError):
            m.checkpoint("c")

    thread = threading.Thread(target=make)
    thread.start()
    while not hooks.noted.read_text():
        time.sleep(0.01)
    began = time.monotonic()
    m.process.terminate()
    m.process.wait(20)
    assert time.monotonic() - began < 15
    m.dispose()
    thread.join()


def test_unmounting_does_not_wait_for_the_hook_of_an_automatic_checkpoint(mount, hooks):
    hooks.add("10-slow", "sleep 30")
    with mount() as m:
        m.table.mkdir()
    m = mount(f"hooks={hooks.dir}", "hook_timeout=60s", "auto=hourly:3")
    m.expect_log("an automatic checkpoint could not be made: .*the mount is ending")
    eventually(hooks.noted.read_text)
    began = time.monotonic()
    m.unmount()
    assert time.monotonic() - began < 15


def test_the_command_lists_tests_and_calls_hooks(m, hooks, cli):
    hooks.add("10-good")
    hooks.add("20-bad.required", "echo no; exit 3")
    said = cli("hook", "list", cwd=m.path)
    assert said.returncode == 0
    assert [x.split() for x in said.stdout.splitlines()[1:]] == [
        ["10-good", "file", "optional", "-"],
        ["20-bad.required", "file", "required", "-"],
    ]
    said = cli("hook", "test", cwd=m.path)
    assert said.returncode == 1
    assert 'refused after' in said.stdout and 'exit 3 "no"' in said.stdout
    assert hooks.calls() == [
        "20-bad.required prepare test",
        "10-good prepare test",
        "10-good after test ok",
        "20-bad.required after test ok",
    ]
    assert cli("hook", "test", "10-good", cwd=m.path).returncode == 0
    assert cli("hook", "test", "none", cwd=m.path).returncode == 5
    hooks.calls()
    said = cli("hook", "run", "10-good", "after", "c", "rolledback", cwd=m.path)
    assert said.returncode == 0 and hooks.calls() == ["10-good after c rolledback"]
    assert cli("hook", "run", "10-good", "after", "c", cwd=m.path).returncode == 2
    assert "exit 3" in cli("hook", "list", cwd=m.path).stdout
    assert os.listdir(m.checkpoints) == []


def test_the_exit_code_says_that_a_checkpoint_is_risky(m, hooks, cli):
    said = cli("ck", "create", "c", cwd=m.path)
    assert said.returncode == 0
    file = hooks.add("10-bad", "exit 1")
    said = cli("ck", "create", "d", cwd=m.path)
    assert said.returncode == 3 and said.stdout == "d\n"
    assert "not every hook was ready" in said.stderr
    shown = cli("ck", "show", "d", cwd=m.path)
    assert "potentiallyDangerousCodeLinks" in shown.stdout
    file.rename(hooks.dir / "10-bad.required")
    said = cli("ck", "create", "e", cwd=m.path)
    assert said.returncode == 1 and "10-bad.required refused" in said.stderr
