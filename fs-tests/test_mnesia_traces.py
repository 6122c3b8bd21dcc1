# SPDX-License-Identifier: Apache-2.0
#
# test_mnesia_traces.py - real Mnesia's checkpoints, replayed as file operations
#
# data/trace*.jsonl were recorded from Mnesia (OTP 25): writes and deletes in several
# activity contexts, nested transactions, checkpoints, and now and then a `view`: what
# the main table and every checkpoint hold.  A record {key, value} is a file.  Operations
# of a committed transaction are done one after the other at its commit; those of an
# aborted one, and of an aborted inner one, never.
#
# The recordings keep clear of what Mnesia does wrong (update_counter retains the new
# value; a commit under way changes the checkpoint after activation): a plain dict that
# is copied at activation agrees with every view, which is the first test here.  The
# promises behind those bugs have tests of their own in test_checkpoints.py.

import json
import os
from pathlib import Path

import pytest

TRACES = sorted((Path(__file__).parent / "data").glob("trace*.jsonl"))


def load(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def file_name(text):
    """Percent-escaped where a file name, or a name of ours, cannot be so."""
    name = text.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
    if name in (".", "..", ".checkpoints", ".tx", ".mnefs", ".by", ".frag"):
        name = "%2E" + name[1:]
    return name


def plain(op):
    """The writes and deletes that an operation comes to."""
    if op["op"] != "tx":
        yield op
    elif op["end"] == "commit":
        for inner in op["body"]:
            yield from plain(inner)


class Dicts:
    """Mnesia as it should be: copies at activation."""

    def __init__(self):
        self.table, self.checkpoints = {}, {}

    def write(self, key, value):
        self.table[key] = value

    def delete(self, key):
        self.table.pop(key, None)

    def read(self, key):
        return self.table.get(key)

    def clear(self):
        self.table.clear()

    def activate(self, name):
        if name in self.checkpoints:
            return False
        self.checkpoints[name] = dict(self.table)
        return True

    def deactivate(self, name):
        return self.checkpoints.pop(name, None) is not None

    def views(self):
        return dict(self.table), {n: dict(v) for n, v in self.checkpoints.items()}


class Files:
    """The same, of files."""

    def __init__(self, fs):
        self.fs = fs
        self.names = {}

    def path(self, key):
        name = file_name(key)
        self.names[name] = key
        return self.fs.table / name

    def write(self, key, value):
        self.path(key).write_text(value)

    def delete(self, key):
        self.path(key).unlink(missing_ok=True)

    def read(self, key):
        try:
            return self.path(key).read_text()
        except FileNotFoundError:
            return None

    def clear(self):
        for name in os.listdir(self.fs.table):
            os.unlink(self.fs.table / name)

    def activate(self, name):
        self.names[file_name(name)] = name
        try:
            self.fs.checkpoint(file_name(name))
        except FileExistsError:
            return False
        return True

    def deactivate(self, name):
        try:
            self.fs.drop(file_name(name))
        except FileNotFoundError:
            return False
        return True

    def view(self, top):
        return {self.names[n]: (top / n).read_text() for n in os.listdir(top)}

    def views(self):
        checkpoints = {
            self.names[n]: self.view(self.fs.checkpoints / n / "t")
            for n in os.listdir(self.fs.checkpoints)
        }
        return self.view(self.fs.table), checkpoints


def replay(trace, on, between=lambda on: None):
    views = 0
    for line in trace:
        op = line.get("op")
        where = f"line {line['i']}: {line}"
        if op in ("write", "delete", "tx"):
            for one in plain(line):
                if one["op"] == "write":
                    on.write(one["k"], one["v"])
                else:
                    on.delete(one["k"])
        elif op == "delete_object":
            if on.read(line["k"]) == line["v"]:
                on.delete(line["k"])
        elif op == "clear_table":
            on.clear()
        elif op == "activate":
            assert on.activate(line["name"]) == (line["result"] == "ok"), where
        elif op == "deactivate":
            assert on.deactivate(line["name"]) == (line["result"] == "ok"), where
        elif op == "read":
            value = on.read(line["k"])
            assert ([] if value is None else [value]) == line["res"], where
        elif op == "view":
            main, checkpoints = on.views()
            assert main == line["main"], where
            expected = {n: c["view"] for n, c in line["checkpoints"].items()}
            assert checkpoints == expected, where
            views += 1
        between(on)
    return views


def test_there_are_ten_traces_with_their_views():
    assert len(TRACES) == 10
    assert sum(line.get("op") == "view" for t in TRACES for line in load(t)) == 245


@pytest.mark.parametrize("path", TRACES, ids=lambda p: p.stem)
def test_a_dict_copied_at_activation_agrees_with_mnesia(path):
    assert replay(load(path), Dicts()) > 10


@pytest.mark.parametrize("path", TRACES, ids=lambda p: p.stem)
def test_tables_and_checkpoints_show_what_mnesia_showed(fs, path):
    assert replay(load(path), Files(fs)) > 10


def test_a_trace_goes_on_over_remounts_and_kills(mount, check):
    trace = load(TRACES[8])
    m = mount()
    m.table.mkdir()
    on = Files(m)
    count = 0
    for start in range(0, len(trace), 30):
        count += replay(trace[start : start + 30], on)
        # a new checkpoint makes all before it last; it is not one of the trace's
        m.checkpoint("guard")
        m.crash() if start % 60 else m.unmount()
        m = on.fs = mount()
        m.drop("guard")
    assert count > 10
    m.unmount()
    check()
