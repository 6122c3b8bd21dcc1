# SPDX-License-Identifier: Apache-2.0
#
# test_events.py - .mnefs/events and mnefs watch: what happens, in the order of commits

import errno
import json
import os
import select
import signal
import subprocess
import threading
import time
from urllib.parse import quote

import pytest

from harness import fails

PATIENCE = 20  # seconds until an event counts as lost


class Listener:
    """An open event file, read line by line."""

    def __init__(self, fs, query=""):
        name = "events?" + query if query else "events"
        self.fd = os.open(fs.path / ".mnefs" / name, os.O_RDONLY)
        self.rest = b""
        self.first = self.next()

    def next(self):
        """The next event."""
        timer = threading.Timer(PATIENCE, os.kill, (os.getpid(), signal.SIGALRM))
        timer.start()
        try:
            while b"\n" not in self.rest:
                got = os.read(self.fd, 65536)
                assert got, "the events ended"
                self.rest += got
        finally:
            timer.cancel()
        line, self.rest = self.rest.split(b"\n", 1)
        return json.loads(line)

    def until(self, wanted, **fields):
        """All events up to the first of that kind, which is the last of them."""
        seen = []
        while True:
            event = self.next()
            seen.append(event)
            if event["event"] == wanted and fields.items() <= event.items():
                return seen

    def close(self):
        os.close(self.fd)


@pytest.fixture
def listen(fs):
    listeners = []

    def start(query=""):
        listeners.append(Listener(fs, query))
        return listeners[-1]

    yield start
    for listener in listeners:
        listener.close()


def mark(fs, text="mark"):
    """A user's event: what came before it was told before it."""
    (fs.path / ".mnefs/events").write_text(text + "\n")


def told(listener):
    """What was told until the mark, as (event, path)."""
    return [(e["event"], e.get("path")) for e in listener.until("user")[:-1]]


def test_every_change_of_a_record_is_told_with_its_path(fs, listen):
    events = listen()
    (fs.table / "a").write_text("1")
    (fs.table / "a").write_text("2")
    (fs.table / "d").mkdir()
    (fs.table / "d/f").write_text("x")
    os.symlink("a", fs.table / "l")
    os.rename(fs.table / "d", fs.table / "e")
    (fs.table / "e/f").unlink()
    os.chmod(fs.table / "e", 0o700)
    (fs.table / "e").rmdir()
    mark(fs)
    assert told(events) == [
        ("write", "t/a"),
        ("write", "t/a"),
        ("write", "t/d"),
        ("write", "t/d/f"),
        ("write", "t/l"),
        ("delete", "t/d"),
        ("write", "t/e"),
        ("delete", "t/e/f"),
        ("write", "t/e"),
        ("delete", "t/e"),
    ]


def test_a_rename_is_one_commit_and_a_write_says_whether_it_created(fs, listen):
    (fs.table / "a").write_text("1")
    events = listen()
    os.rename(fs.table / "a", fs.table / "b")
    (fs.table / "b").write_text("22")
    mark(fs)
    gone, come, again = events.until("user")[:-1]
    assert gone["seq"] == come["seq"] < again["seq"]
    assert come["created"] and not again["created"]
    assert gone["record"] == come["record"] == os.stat(fs.table / "b").st_ino


def test_details_are_the_versions_before_and_after(fs, listen):
    (fs.table / "a").write_text("1")
    events = listen("table=t&detailed=1&system=1")
    (fs.table / "a").write_text("22")
    (fs.table / "a").unlink()
    mark(fs)
    write, delete = events.until("user")[:-1]
    assert (write["old"]["size"], write["new"]["size"]) == (1, 2)
    assert write["old"]["seq"] < write["new"]["seq"] == write["seq"]
    assert delete["old"]["size"] == 2
    assert delete["new"] is None


@pytest.mark.parametrize("checkpoint", [False, True])
def test_events_are_the_same_with_and_without_a_checkpoint(fs, listen, checkpoint):
    (fs.table / "a").write_text("1")
    if checkpoint:
        fs.checkpoint("c")
    events = listen("table=t&system=1&detailed=1")
    (fs.table / "a").write_text("22")
    (fs.table / "b").write_text("333")
    (fs.table / "a").unlink()
    mark(fs)
    seen = [
        (e["event"], e["path"], (e["old"] or {}).get("size"))
        for e in events.until("user")[:-1]
    ]
    assert seen == [("write", "t/a", 1), ("write", "t/b", None), ("delete", "t/a", 2)]


def test_a_subscription_hears_only_of_its_tables(fs, listen):
    odd = "odd &=?%name"
    for name in ("u", odd):
        (fs.path / name).mkdir()
    one = listen("table=u&system=1")
    two = listen(f"table=t&table={quote(odd)}&system=1")
    for table in ("t", "u", odd):
        (fs.path / table / "x").write_text("")
    mark(fs)
    assert told(one) == [("write", "u/x")]
    assert told(two) == [("write", "t/x"), ("write", odd + "/x")]


def test_nothing_is_told_of_what_was_not_changed(fs, listen):
    (fs.table / "a").write_text("1")
    events = listen()
    with fails(errno.ENOENT):
        os.unlink(fs.table / "nothing")
    with fails(errno.EEXIST):
        os.mkdir(fs.table / "a")
    (fs.table / "a").read_text()
    mark(fs)
    assert told(events) == []


def test_tables_and_checkpoints_that_come_and_go_are_told(fs, listen):
    events = listen("system=1")
    (fs.path / "u").mkdir()
    fs.checkpoint("c")
    os.rename(fs.checkpoints / "c", fs.checkpoints / "d")
    fs.drop("d")
    (fs.path / "u").rmdir()
    mark(fs)
    seen = events.until("user")[:-1]
    assert [(e["event"], e.get("checkpoint") or e.get("table")) for e in seen] == [
        ("create_table", "u"),
        ("checkpoint_activated", "c"),
        ("checkpoint_renamed", "d"),
        ("checkpoint_deactivated", "d"),
        ("delete_table", "u"),
    ]
    assert [e["seq"] for e in seen] == sorted(e["seq"] for e in seen)


def test_names_that_are_no_utf8_can_be_had_back(fs, listen):
    name = b"caf\xe9 \"quoted\" \x01\n"
    events = listen()
    with open(os.fsencode(fs.table) + b"/" + name, "wb"):
        pass
    path = events.until("write")[-1]["path"]
    assert os.fsencode(path) == b"t/" + name


def test_a_message_of_the_log_is_an_event_and_so_is_what_users_write(fs, listen):
    events = listen("system=1")
    with fails(errno.EINVAL):
        os.mkdir(fs.checkpoints / "a:b")
    assert "':'" in events.until("info")[-1]["text"]
    mark(fs, "one\ntwo")
    assert [e["text"] for e in events.until("user", text="two")] == ["one", "two"]


def test_four_writers_are_told_completely_and_in_the_order_of_their_commits(fs, listen):
    events = listen()
    count = 300

    def work(n):
        for i in range(count):
            (fs.table / f"{n}-{i}").write_text("x")

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    mark(fs)
    seen = events.until("user")[:-1]
    seqs = [e["seq"] for e in seen]
    assert seqs == sorted(seqs)
    paths = [e["path"] for e in seen]
    assert sorted(paths) == sorted(f"t/{n}-{i}" for n in range(4) for i in range(count))
    for n in range(4):
        mine = [p for p in paths if p.startswith(f"t/{n}-")]
        assert mine == [f"t/{n}-{i}" for i in range(count)]


def test_since_resumes_where_the_last_event_was_heard(fs, listen):
    listen()  # as long as somebody listens, events are kept
    (fs.table / "a").write_text("1")
    first = listen()
    since = first.first["seq"]
    (fs.table / "b").write_text("1")
    (fs.table / "c").write_text("1")
    again = listen(f"all=1&system=1&since={since}")
    assert again.first["event"] == "subscribed"
    mark(fs)
    assert told(again) == [("write", "t/b"), ("write", "t/c")]


def test_since_is_answered_from_a_checkpoint_when_nobody_listened(fs, listen):
    for name in ("same", "changed", "gone"):
        (fs.table / name).write_text("1")
    fs.checkpoint("c")
    info = json.loads((fs.path / ".mnefs/checkpoints/c/info.json").read_text())
    (fs.table / "changed").write_text("22")
    (fs.table / "gone").unlink()
    (fs.table / "new").write_text("1")
    events = listen(f"table=t&since={info['seq']}")
    seen = [events.first] + events.until("subscribed")[:-1]
    assert all(e["replayed"] for e in seen)
    assert sorted((e["event"], e["path"]) for e in seen) == [
        ("delete", "t/gone"),
        ("write", "t/changed"),
        ("write", "t/new"),
    ]
    (fs.table / "after").write_text("1")
    assert events.next()["path"] == "t/after"


def test_since_without_a_checkpoint_says_from_where_something_is_missing(fs, listen):
    (fs.table / "a").write_text("1")
    events = listen("table=t&since=1")
    assert events.first["event"] == "overflow"
    assert events.first["resume"] == 1
    assert events.next()["event"] == "subscribed"


def test_a_reader_that_is_too_slow_is_told_where_to_resume_and_delays_nobody(fs, listen):
    deep = fs.table.joinpath(*["d" * 250] * 6)
    deep.mkdir(parents=True)
    slow = listen()
    last = slow.first["seq"]
    for _ in range(4_000):  # more than the 8 MiB that are kept
        os.close(os.open(deep / "f", os.O_CREAT | os.O_WRONLY))
        os.unlink(deep / "f")
    mark(fs)
    seen = slow.until("user")
    overflow = [i for i, e in enumerate(seen) if e["event"] == "overflow"]
    assert overflow, "everything was kept"
    heard = [last] + [e["seq"] for e in seen[: overflow[0]]]
    assert seen[overflow[0]]["resume"] == max(heard)
    after = [e["seq"] for e in seen[overflow[0] + 1 :]]
    assert after == sorted(after)


def test_a_read_that_waits_can_be_interrupted_and_killed(fs):
    path = fs.path / ".mnefs/events?system=1"
    process = subprocess.Popen(["cat", path], stdout=subprocess.PIPE)
    assert b"subscribed" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == -signal.SIGINT
    process.stdout.close()


def test_without_waiting_a_read_says_that_there_is_nothing(fs):
    fd = os.open(fs.path / ".mnefs/events", os.O_RDONLY | os.O_NONBLOCK)
    assert b"subscribed" in os.read(fd, 65536)
    with fails(errno.EAGAIN):
        os.read(fd, 65536)
    os.close(fd)


def readable(fd, seconds=0):
    return bool(select.select([fd], [], [], seconds)[0])


def test_poll_says_when_there_is_something_to_read(fs, listen):
    events = listen("table=t")
    assert not readable(events.fd)
    mark(fs)  # is not for it
    os.mkdir(fs.path / "other")
    (fs.path / "other/f").write_text("x")
    assert not readable(events.fd, 0.3)
    for n in range(3):
        timer = threading.Timer(0.1, (fs.table / f"f{n}").write_text, ("x",))
        timer.start()
        assert readable(events.fd, PATIENCE)
        timer.join()
        assert events.next()["path"] == f"t/f{n}"
        assert not readable(events.fd)


def test_many_threads_poll_one_open_file(fs, listen):
    events = listen("system=1")
    seen = []
    threads = [
        threading.Thread(target=lambda: seen.append(readable(events.fd, PATIENCE)))
        for _ in range(10)
    ]
    for thread in threads:
        thread.start()
        readable(events.fd)  # does not wait, and takes nothing from those that do
    time.sleep(0.1)
    mark(fs)
    for thread in threads:
        thread.join(PATIENCE)
    assert seen == [True] * 10


def test_polls_that_wait_end_when_the_daemon_stops(mount):
    m = mount()
    fd = os.open(m.path / ".mnefs/events", os.O_RDONLY)
    os.read(fd, 65536)
    thread = threading.Thread(target=readable, args=(fd, PATIENCE))
    thread.start()
    time.sleep(0.1)
    os.kill(m.process.pid, signal.SIGTERM)
    thread.join(PATIENCE / 2)
    assert not thread.is_alive()
    os.close(fd)
    assert m.process.wait(PATIENCE) == 0


def test_records_and_other_files_are_always_ready(fs):
    (fs.table / "f").write_text("x")
    fs.checkpoint("c")
    for path in (fs.table / "f", fs.checkpoints / "c/t/f", fs.path / ".mnefs/status"):
        fd = os.open(path, os.O_RDONLY)
        poll = select.poll()
        poll.register(fd, select.POLLIN | select.POLLOUT)
        assert poll.poll(PATIENCE * 1000) == [(fd, select.POLLIN | select.POLLOUT)]
        os.close(fd)


def test_many_can_wait_while_others_work(fs, listen):
    listeners = [listen("system=1") for _ in range(40)]
    seen = []

    def wait(listener):
        seen.append(listener.until("user")[-1]["text"])

    threads = [threading.Thread(target=wait, args=(each,)) for each in listeners]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    fs.checkpoint("c")  # needs the same threads
    fd = os.open(fs.table / "f", os.O_CREAT | os.O_WRONLY)
    os.fsync(fd)
    os.close(fd)
    mark(fs)
    for thread in threads:
        thread.join(PATIENCE)
    assert seen == ["mark"] * 40


def test_however_many_wait_others_get_on(fs, listen):
    """Over io_uring they would hold all entries of the ring: some are told to ask again."""
    listeners = [listen("system=1") for _ in range(150)]
    threads = [threading.Thread(target=each.until, args=("user",)) for each in listeners]
    for thread in threads:
        thread.start()
    for i in range(10):
        (fs.table / f"{i}").write_text("x")
    fs.checkpoint("c")
    assert len(os.listdir(fs.checkpoints / "c" / "t")) == 10
    mark(fs)
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)


def test_small_reads_lose_nothing(fs, listen):
    events = listen()
    (fs.table / "a").write_text("1")
    line = b""
    while not line.endswith(b"\n"):
        line += os.read(events.fd, 3)
    assert json.loads(line)["path"] == "t/a"


def test_waiting_readers_find_the_end_when_the_daemon_stops(mount):
    m = mount()
    fd = os.open(m.path / ".mnefs/events", os.O_RDONLY)
    lines = b""
    os.kill(m.process.pid, signal.SIGTERM)
    while True:
        ready, _, _ = select.select([fd], [], [], PATIENCE)
        assert ready
        try:
            got = os.read(fd, 65536)
        except OSError as error:  # the connection went first
            assert error.errno in (errno.ENOTCONN, errno.ECONNABORTED, errno.ESHUTDOWN)
            break
        if not got:
            break
        lines += got
    os.close(fd)
    assert m.process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    "query", ["", "x=1", "table=", "detailed=1", "system=2", "since=x&all=1", "system"]
)
def test_a_query_that_asks_for_nothing_or_nonsense_does_not_exist(fs, query):
    with fails(errno.ENOENT):
        os.open(fs.path / ".mnefs" / f"events?{query}", os.O_RDONLY)


def test_watch_shows_events_as_they_come(fs, mnefs):
    process = subprocess.Popen(
        [mnefs, "-C", fs.path, "watch", "t", "--detailed"], stdout=subprocess.PIPE
    )
    assert json.loads(process.stdout.readline())["event"] == "subscribed"
    (fs.table / "a").write_text("1")
    event = json.loads(process.stdout.readline())
    assert event["path"] == "t/a"
    assert event["new"]["size"] == 1
    process.terminate()
    process.wait(PATIENCE)
    process.stdout.close()


def test_watch_ends_with_whoever_reads_it(fs, mnefs):
    process = subprocess.Popen([mnefs, "-C", fs.path, "watch"], stdout=subprocess.PIPE)
    assert json.loads(process.stdout.readline())["event"] == "subscribed"
    process.stdout.close()
    assert process.wait(PATIENCE) == -signal.SIGPIPE  # though nothing happens


def test_the_debug_level_is_changed_at_run_time(fs):
    ctl = fs.path / ".mnefs/ctl"
    for level in ("trace", "debug", "verbose", "none"):
        ctl.write_text(f"debug {level}\n")
        (fs.table / level).write_text("x")
    assert "request CREATE".lower() in fs.log_text().lower()
    with fails(errno.EINVAL):
        ctl.write_text("debug loud\n")
