# SPDX-License-Identifier: Apache-2.0
#
# model_checkpoints.py - a state machine that does anything, against a dict that knows
#
# The model is a tree of plain objects; a checkpoint is a deep copy of it.  Hypothesis
# chooses what happens next.  After kill -9 the store must be in a state that is allowed:
#
#	killed after fsync	exactly the state of the model
#	killed at any time	a state that the model had since the last fsync or the
#				last checkpoint, or has now: a prefix of the commits
#
# Runs for --model-seconds (default 60); with --model-shrink it looks for the shortest
# way to a failure (which takes minutes) instead of showing the first one.

import copy
import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
import pytest

from harness import RENAME_EXCHANGE, find_mnefs, fsync_path, renameat2

TABLES = ["t", "u"]
NAMES = ["a", "b", "c", "d"]
SIZES = [0, 1, 7, 1000, 3000, 5000, 70_000, 300_000]
STEPS = 150
XATTRS = ["user.one", "user.two"]


class Enough(KeyboardInterrupt):
    """The time is up: hypothesis lets this through."""


class File:
    def __init__(self):
        self.data = b""  # never changed in place: copies are cheap
        self.xattrs = {}


class Dir:
    def __init__(self):
        self.entries = {}
        self.xattrs = {}


def freeze(node):
    """A value that compares."""
    xattrs = tuple(sorted(node.xattrs.items()))
    if isinstance(node, File):
        return ("file", node.data, xattrs)
    inside = {name: freeze(child) for name, child in node.entries.items()}
    return ("dir", tuple(sorted(inside.items())), xattrs)


def flatten(root):
    """What a list of paths is about: path -> what is there, of directories not what is in
    them."""
    flat = {}

    def visit(path, node):
        flat[path] = (node.data if isinstance(node, File) else None, dict(node.xattrs))
        if isinstance(node, Dir):
            for name, child in node.entries.items():
                visit(f"{path}/{name}".lstrip("/"), child)

    for name, table in root.entries.items():
        visit(name, table)
    return flat


def follow(listed, copy_, to):
    """As rsync does with a list: every path of it becomes what it is in `to`."""
    for path in listed:
        if path == ".":
            continue
        if path not in to or to[path][0] is not None:
            for below in [p for p in copy_ if p.startswith(path + "/")]:
                del copy_[below]
        if path in to:
            copy_[path] = to[path]
        else:
            copy_.pop(path, None)


def frozen_disk(path):
    """The same of what is on the mount."""
    names = os.listxattr(path) if not path.name.startswith(".") else []
    xattrs = tuple(sorted((n, os.getxattr(path, n)) for n in names))
    if path.is_dir():
        inside = {name: frozen_disk(path / name) for name in os.listdir(path)}
        return ("dir", tuple(sorted(inside.items())), xattrs)
    data = path.read_bytes()
    assert len(data) == path.stat().st_size
    return ("file", data, xattrs)


def describe(value, depth=0):
    """Short enough to read in a failure."""
    kind, inside, xattrs = value
    if kind == "file":
        return f"{len(inside)} bytes {inside[:8]!r} {xattrs or ''}"
    lines = [
        "  " * depth + f"{name}: {describe(child, depth + 1)}" for name, child in inside
    ]
    return f"dir {xattrs or ''}\n" + "\n".join(lines)


# Where something is done: the n-th thing there is, or a name in the n-th directory, or
# (so that errors are met, too) any path at all.
numbers = st.integers(0, 63)
names = st.sampled_from(NAMES)
tables = st.sampled_from(TABLES)
anywhere = st.tuples(tables, st.lists(names, min_size=1, max_size=3).map("/".join))
existing = st.one_of(numbers, numbers, numbers, numbers, anywhere)
places = st.one_of(
    st.tuples(numbers, names), st.tuples(numbers, names), existing, anywhere
)
sizes = st.sampled_from(SIZES)


class Machine(RuleBasedStateMachine):
    mount = None  # set by the test: path of the store -> Mount
    top = None
    check = None
    deadline = None
    number = changes = 0
    first_failure = None

    @initialize()
    def start(self):
        if time.monotonic() > type(self).deadline:
            raise Enough
        type(self).number += 1
        self.here = Path(self.top) / f"store-{self.number}"
        self.root = Dir()
        self.checkpoints = {}
        self.bookmarks = {}
        self.byte = 0
        self.m = None
        self.since = 0
        self.history = []
        self.up()
        for name in TABLES:
            (self.m.path / name).mkdir()
            self.root.entries[name] = Dir()
        self.durable()
        fsync_path(self.m.path / "t")

    def up(self):
        self.m = type(self).mount(self.here)

    # what a prefix may be

    def state(self):
        return (
            freeze(self.root),
            {n: freeze(c) for n, c in self.checkpoints.items()},
        )

    def durable(self):
        """What is so now is so after any crash: fsync, a new checkpoint, unmount."""
        self.allowed = []
        self.remember()

    def note(self, frame):
        """For a failure that does not come again: what happened, in short."""
        known = {k: v for k, v in frame.f_locals.items() if isinstance(v, (str, int))}
        self.history.append(f"{frame.f_code.co_name} {known}")

    def fail(self, text):
        """Hypothesis runs a failure again, and if it is a race, forgets the first one."""
        history = "\n".join(self.history[-60:])
        if not type(self).first_failure:
            type(self).first_failure = f"{text}\nwhat changed before:\n{history}"
        raise AssertionError(text)

    def changed(self):
        self.note(sys._getframe(1))
        self.since += 1
        type(self).changes += 1
        self.remember()

    def remember(self):
        self.allowed.append((copy.deepcopy(self.root), dict(self.checkpoints)))

    # the tree

    def all_paths(self, kind):
        """Of this kind of node, in order: (table, path); of directories, tables, too."""
        found = []

        def visit(table, path, node):
            if isinstance(node, kind) and (path or kind is Dir):
                found.append((table, path))
            if isinstance(node, Dir):
                for name in sorted(node.entries):
                    visit(table, f"{path}/{name}".lstrip("/"), node.entries[name])

        for table in TABLES:
            visit(table, "", self.root.entries[table])
        return found

    def resolve(self, where, kind=(File, Dir)):
        """(table, path) of what a rule was given."""
        if isinstance(where, int):
            there = [place for place in self.all_paths(kind) if place[1]]
            return there[where % len(there)] if there else ("t", "a")
        first, second = where
        if isinstance(first, str):
            return first, second
        inside = self.all_paths(Dir)
        table, path = inside[first % len(inside)]
        return table, f"{path}/{second}".lstrip("/")

    def near(self, table, to, always=False):
        """resolve(), mostly in this table."""
        other, path = self.resolve(to)
        is_chosen = isinstance(to, tuple) and isinstance(to[0], str) and not always
        return (other if is_chosen else table), path

    def find(self, table, path):
        """(parent, name, node or None), or None if there is no such parent."""
        node = self.root.entries[table]
        *middle, name = path.split("/")
        for part in middle:
            node = node.entries.get(part)
            if not isinstance(node, Dir):
                return None
        return node, name, node.entries.get(name)

    def disk(self, table, path=""):
        return self.m.path / table / path

    def do(self, expected, action):
        """action() must end with this errno; 0: well."""
        try:
            action()
        except OSError as error:
            got = error.errno
        else:
            got = 0
        if not isinstance(expected, tuple):
            expected = (expected,)
        names = [errno.errorcode.get(e, e) for e in expected]
        if got not in expected:
            self.note(sys._getframe(1))
            self.fail(f"expected {names}, got {errno.errorcode.get(got, got)}")
        return got == 0

    def missing(self, table, path):
        """What a path without a parent answers."""
        node = self.root.entries[table]
        for part in path.split("/")[:-1]:
            node = node.entries.get(part)
            if node is None:
                return errno.ENOENT
            if isinstance(node, File):
                return errno.ENOTDIR
        raise AssertionError

    def content(self, size):
        self.byte = self.byte % 250 + 1
        return bytes([self.byte]) * size

    # files

    @rule(where=places, size=sizes)
    def write(self, where, size):
        table, path = self.resolve(where)
        found = self.find(table, path)
        data = self.content(size)

        def act():
            self.disk(table, path).write_bytes(data)

        if not found:
            return self.do(self.missing(table, path), act)
        parent, name, node = found
        if isinstance(node, Dir):
            return self.do(errno.EISDIR, act)
        self.do(0, act)
        if node is None:
            node = parent.entries[name] = File()
        node.data = data
        self.changed()

    def node_at(self, table, path, kind):
        found = self.find(table, path)
        return found[2] if found and isinstance(found[2], kind) else None

    @rule(where=existing, size=sizes)
    def append(self, where, size):
        table, path = self.resolve(where, File)
        node = self.node_at(table, path, File)
        if not node:
            return
        data = self.content(size)
        with open(self.disk(table, path), "ab", buffering=0) as file:
            file.write(data)
        node.data += data
        self.changed()

    @rule(where=existing, at=sizes, size=sizes)
    def overwrite(self, where, at, size):
        table, path = self.resolve(where, File)
        node = self.node_at(table, path, File)
        if not node or not size:
            return
        data = self.content(size)
        with open(self.disk(table, path), "r+b", buffering=0) as file:
            os.pwrite(file.fileno(), data, at)
        before = node.data.ljust(at, b"\0")
        node.data = before[:at] + data + before[at + size :]
        self.changed()

    @rule(where=existing, size=sizes)
    def truncate(self, where, size):
        table, path = self.resolve(where, File)
        node = self.node_at(table, path, File)
        if not node:
            return
        os.truncate(self.disk(table, path), size)
        node.data = node.data[:size].ljust(size, b"\0")
        self.changed()

    @rule(where=existing, size=sizes)
    def checkpoint_while_writing(self, where, size):
        """The file is in the checkpoint as it was before, or not at all."""
        table, path = self.resolve(where, File)
        node = self.node_at(table, path, File)
        if not node or "w" in self.checkpoints:
            return
        data = self.content(size)
        fd = os.open(self.disk(table, path), os.O_WRONLY | os.O_TRUNC)
        try:
            os.write(fd, data)
            self.m.checkpoint("w")
        finally:
            os.close(fd)
        self.checkpoints["w"] = copy.deepcopy(self.root)
        self.durable()
        node.data = data
        self.changed()

    # names

    @rule(where=places)
    def mkdir(self, where):
        table, path = self.resolve(where)
        found = self.find(table, path)

        def act():
            self.disk(table, path).mkdir()

        if not found:
            return self.do(self.missing(table, path), act)
        parent, name, node = found
        if self.do(errno.EEXIST if node else 0, act):
            parent.entries[name] = Dir()
            self.changed()

    @rule(where=existing)
    def rmdir(self, where):
        table, path = self.resolve(where, Dir)
        found = self.find(table, path)

        def act():
            self.disk(table, path).rmdir()

        if not found:
            return self.do(self.missing(table, path), act)
        parent, name, node = found
        expected = 0
        if node is None:
            expected = errno.ENOENT
        elif isinstance(node, File):
            expected = errno.ENOTDIR
        elif node.entries:
            expected = errno.ENOTEMPTY
        if self.do(expected, act):
            del parent.entries[name]
            self.changed()

    @rule(where=existing)
    def unlink(self, where):
        table, path = self.resolve(where, File)
        found = self.find(table, path)

        def act():
            self.disk(table, path).unlink()

        if not found:
            return self.do(self.missing(table, path), act)
        parent, name, node = found
        expected = 0
        if node is None:
            expected = errno.ENOENT
        elif isinstance(node, Dir):
            expected = errno.EISDIR
        if self.do(expected, act):
            del parent.entries[name]
            self.changed()

    @rule(where=existing)
    def rm_r(self, where):
        table, path = self.resolve(where, Dir)
        node = self.node_at(table, path, Dir)
        if not node:
            return
        shutil.rmtree(self.disk(table, path))
        parent, name, _ = self.find(table, path)
        del parent.entries[name]
        # many commits, the states between which the model does not know
        fsync_path(self.m.path / "t")
        self.durable()

    @rule(where=existing, to=places)
    def rename(self, where, to):
        table, old = self.resolve(where)
        other, new = self.near(table, to)
        source, target = self.find(table, old), self.find(other, new)
        if not source or not target or source[2] is None:
            return

        def act():
            os.rename(self.disk(table, old), self.disk(other, new))

        if table != other:
            # the kernel looks first whether the kinds agree
            return self.do((errno.EXDEV, errno.ENOTDIR, errno.EISDIR), act)
        expected = 0
        node, there = source[2], target[2]
        if new.startswith(old + "/"):
            expected = (errno.EINVAL,)
        elif old.startswith(new + "/"):
            expected = (errno.ENOTEMPTY, errno.EEXIST)
        elif there is not None and there is not node:
            if isinstance(node, Dir) and isinstance(there, File):
                expected = errno.ENOTDIR
            elif isinstance(node, File) and isinstance(there, Dir):
                expected = errno.EISDIR
            elif isinstance(there, Dir) and there.entries:
                expected = (errno.ENOTEMPTY, errno.EEXIST)
        if expected and isinstance(node, File) and expected == (errno.EINVAL,):
            expected = errno.ENOTDIR
        if expected and not isinstance(expected, tuple):
            expected = (expected,)
        if expected and old.startswith(new + "/") and isinstance(node, File):
            expected = (*expected, errno.EISDIR)
        if self.do(expected, act) and there is not node:
            del source[0].entries[source[1]]
            target[0].entries[target[1]] = node
            self.changed()

    @rule(where=existing, to=existing)
    def exchange(self, where, to):
        table, old = self.resolve(where)
        other, new = self.resolve(to)
        if table != other:
            return
        a, b = self.find(table, old), self.find(table, new)
        if not a or not b or a[2] is None or b[2] is None:
            return
        if (new + "/").startswith(old + "/") or (old + "/").startswith(new + "/"):
            return
        renameat2(self.disk(table, old), self.disk(table, new), RENAME_EXCHANGE)
        a[0].entries[a[1]], b[0].entries[b[1]] = b[2], a[2]
        self.changed()

    @rule(where=existing, to=places)
    def link(self, where, to):
        table, old = self.resolve(where, File)
        _, new = self.near(table, to, always=True)
        source, target = self.find(table, old), self.find(table, new)
        if not source or not target or not isinstance(source[2], File):
            return

        def act():
            os.link(self.disk(table, old), self.disk(table, new))

        if self.do(errno.EEXIST if target[2] else 0, act):
            target[0].entries[target[1]] = source[2]
            self.changed()

    @rule(where=existing, name=st.sampled_from(XATTRS), size=sizes)
    def setxattr(self, where, name, size):
        table, path = self.resolve(where)
        found = self.find(table, path)
        if not found or not found[2]:
            return
        value = self.content(min(size, 5000))
        os.setxattr(self.disk(table, path), name, value)
        found[2].xattrs[name] = value
        self.changed()

    @rule(where=existing, name=st.sampled_from(XATTRS))
    def removexattr(self, where, name):
        table, path = self.resolve(where)
        found = self.find(table, path)
        if not found or not found[2]:
            return

        def act():
            os.removexattr(self.disk(table, path), name)

        if self.do(0 if name in found[2].xattrs else errno.ENODATA, act):
            del found[2].xattrs[name]
            self.changed()

    # checkpoints

    @rule(name=st.sampled_from(["1", "2", "3", "4", "5"]))
    def checkpoint(self, name):
        expected = errno.EEXIST if name in self.checkpoints else 0
        if self.do(expected, lambda: self.m.checkpoint(name)):
            self.checkpoints[name] = copy.deepcopy(self.root)
            self.durable()

    @rule(name=st.sampled_from(["one"]), table=tables)
    def checkpoint_of_one_table(self, name, table):
        expected = errno.EEXIST if name in self.checkpoints else 0
        if self.do(expected, lambda: self.m.checkpoint(name, table)):
            only = copy.deepcopy(self.root)
            only.entries = {table: only.entries[table]}
            self.checkpoints[name] = only
            self.durable()

    @rule(name=st.sampled_from(["1", "2", "3", "4", "5", "w", "one"]))
    def drop(self, name):
        expected = 0 if name in self.checkpoints else errno.ENOENT
        if self.do(expected, lambda: self.m.drop(name)):
            del self.checkpoints[name]
            self.changed()

    @rule(old=st.sampled_from(["1", "2"]), new=st.sampled_from(["3", "4"]))
    def rename_checkpoint(self, old, new):
        if old not in self.checkpoints:
            return
        there = new in self.checkpoints
        expected = (errno.EEXIST, errno.ENOTEMPTY) if there else 0

        def act():
            os.rename(self.m.checkpoints / old, self.m.checkpoints / new)

        if self.do(expected, act):
            self.checkpoints[new] = self.checkpoints.pop(old)
            self.changed()

    @rule(table=tables, n=st.integers(1, 9))
    def fragments(self, table, n):
        """How records are spread shows nowhere when they are listed flat (C8)."""
        at = self.m.path / ".mnefs" / "tables" / table
        (at / "listing").write_text("records")
        (at / "fragments").write_text(f"{n}")

    @rule(number=numbers, table=st.sampled_from([None, *TABLES]))
    def rollback(self, number, table):
        if not self.checkpoints:
            return
        name = sorted(self.checkpoints)[number % len(self.checkpoints)]
        then = copy.deepcopy(self.checkpoints[name])
        tables = [table] if table else list(then.entries)
        answer = []

        def act():
            with open(self.m.path / ".mnefs/rollback", "r+b", buffering=0) as file:
                file.write("\t".join(["run", name, *([table] if table else [])]).encode())
                answer.append(os.pread(file.fileno(), 4096, 0).decode().split()[1])

        if not self.do(0 if set(tables) <= set(then.entries) else errno.ENOENT, act):
            return
        left = copy.deepcopy(self.root)
        left.entries = {name: left.entries[name] for name in tables}
        self.checkpoints[answer[0]] = left
        for each in tables:
            self.root.entries[each] = then.entries[each]
        self.durable()
        self.since += 1
        type(self).changes += 1

    # what changed, and the way back

    def moments(self):
        """Everything a list can start from or lead to: name -> tree."""
        return {**self.checkpoints, **self.bookmarks}

    @precondition(lambda self: self.checkpoints)
    @rule(number=numbers, name=st.sampled_from(["m1", "m2"]))
    def bookmark(self, number, name):
        of = sorted(self.checkpoints)[number % len(self.checkpoints)]
        (self.m.path / ".mnefs/bookmarks").write_text(f"replace\t{of}\t{name}\n")
        self.bookmarks[name] = copy.deepcopy(self.checkpoints[of])
        self.durable()

    @rule(name=st.sampled_from(["m1", "m2"]))
    def drop_bookmark(self, name):
        def act():
            (self.m.path / ".mnefs/bookmarks").write_text(f"drop\t{name}\n")

        if self.do(0 if name in self.bookmarks else errno.ENOENT, act):
            del self.bookmarks[name]
            # A crash may bring it back; it would be replaced before it is looked at.
            fsync_path(self.m.path / "t")
            self.durable()

    @precondition(lambda self: self.checkpoints or self.bookmarks)
    @rule(number=numbers, other=numbers)
    def changed_list(self, number, other):
        moments = self.moments()
        names = sorted(moments)
        a = names[number % len(names)]
        b = [*names, ""][other % (len(names) + 1)]
        if a == b:
            return
        text = (self.m.path / ".mnefs/changed" / f"{a}..{b}").read_bytes()
        listed = [os.fsdecode(path) for path in text.split(b"\0")[:-1]]
        copy_, to = flatten(moments[a]), flatten(moments[b] if b else self.root)
        follow(listed, copy_, to)
        if copy_ != to:
            wrong = {p for p in {*copy_, *to} if copy_.get(p) != to.get(p)}
            self.fail(f"the list {a}..{b} leaves {sorted(wrong)[:5]} as they were")
        if len(set(listed)) != len(listed):
            self.fail(f"the list {a}..{b} has a path twice")

    @precondition(lambda self: self.checkpoints)
    @rule(number=numbers, where=numbers)
    def restore(self, number, where):
        name = sorted(self.checkpoints)[number % len(self.checkpoints)]
        then = self.checkpoints[name]
        paths = [p for p in sorted(flatten(then)) if "/" in p]
        if not paths:
            return
        table, path = paths[where % len(paths)].split("/", 1)
        live = self.find(table, path)
        if not live:
            return  # directories above it would have to come back, too
        node = then.entries[table]
        for part in path.split("/"):
            node = node.entries[part]
        said = subprocess.run(
            [find_mnefs(), "-C", self.m.path, "restore", "-q", "--from", name]
            + [f"{table}/{path}"],
            capture_output=True,
            text=True,
        )
        if said.returncode != 0:
            self.fail(f"restore of {table}/{path} from {name}: {said.stderr}")
        live[0].entries[live[1]] = copy.deepcopy(node)
        fsync_path(self.m.path / "t")
        self.durable()
        self.since += 1
        type(self).changes += 1

    @precondition(lambda self: len(self.checkpoints) > 8)
    @rule(number=numbers)
    def drop_any(self, number):
        name = sorted(self.checkpoints)[number % len(self.checkpoints)]
        self.m.drop(name)
        del self.checkpoints[name]
        self.changed()

    # ends and beginnings

    @precondition(lambda self: self.since >= 4)
    @rule()
    def compare(self):
        self.since = 0
        state, checkpoints = self.state()
        self.demand(state, self.m.path, "the live tables")
        present = sorted(os.listdir(self.m.checkpoints))
        if present != sorted(checkpoints):
            self.fail(f"checkpoints {present}, expected {sorted(checkpoints)}")
        for name, then in checkpoints.items():
            self.demand(then, self.m.checkpoints / name, f"checkpoint {name}")

    def demand(self, expected, path, what):
        difference = self.differs(expected, path)
        if difference:
            self.fail(f"{what}: {difference}")

    def differs(self, expected, path):
        """None, or what is different, for people."""
        found = ("dir", tuple(sorted(self.tables_of(path).items())), ())
        expected = (expected[0], expected[1], ())
        if found == expected:
            return None
        return f"\nexpected {describe(expected)}\nfound {describe(found)}"

    def tables_of(self, path):
        return {name: frozen_disk(path / name) for name in os.listdir(path)}

    @precondition(lambda self: self.since >= 6)
    @rule()
    def remount(self):
        self.since = 0
        self.note(sys._getframe())
        self.m.unmount()
        self.up()
        self.durable()
        self.compare()

    @rule(table=tables)
    def fsync(self, table):
        fsync_path(self.m.path / table)
        self.durable()

    @precondition(lambda self: self.since >= 6)
    @rule()
    def kill_after_fsync(self):
        self.since = 0
        self.note(sys._getframe())
        fsync_path(self.m.path / "t")
        self.durable()
        self.m.crash()
        self.up()
        self.compare()

    @precondition(lambda self: self.since >= 4)
    @rule()
    def kill_at_any_time(self):
        self.since = 0
        self.note(sys._getframe())
        self.m.crash()
        self.up()
        names = set(os.listdir(self.m.checkpoints))
        for root, checkpoints in reversed(self.allowed):
            if names != set(checkpoints) or self.differs(freeze(root), self.m.path):
                continue
            self.root, self.checkpoints = copy.deepcopy(root), dict(checkpoints)
            break
        else:
            found = self.differs(freeze(self.root), self.m.path)
            self.fail(
                f"after kill the store is in none of {len(self.allowed)} allowed states;"
                f" checkpoints {sorted(names)}; against the last one: {found}"
            )
        self.compare()
        # What was read after a crash stays so, but is not durable before a barrier.
        self.durable()

    @precondition(lambda self: self.since >= 15)
    @rule()
    def check_store(self):
        self.since = 0
        self.note(sys._getframe())
        self.m.unmount()
        type(self).check(self.here)
        self.up()
        self.durable()

    def teardown(self):
        if getattr(self, "m", None) is None:
            return
        try:
            self.compare()
            self.m.unmount()
            type(self).check(self.here)
        finally:
            self.m.dispose()
            shutil.rmtree(self.here, ignore_errors=True)


@pytest.mark.timeout(100_000)
def test_any_sequence_of_operations_agrees_with_the_model(
    make_mount, check, tmp_path, request
):
    seconds = request.config.getoption("--model-seconds")
    Machine.mount = staticmethod(
        lambda store: make_mount(
            store,
            tmp_path / "mnt",
            "create",
            # of every other store, rollbacks in many batches
            env={
                "G_MESSAGES_DEBUG": None,
                "MNE_DEBUG": "rollback-batch=2000" if Machine.number % 2 else None,
            },
        )
    )
    Machine.check = staticmethod(check)
    Machine.top = tmp_path
    Machine.deadline = time.monotonic() + seconds
    phases = [Phase.generate]
    if request.config.getoption("--model-shrink"):
        phases.append(Phase.shrink)
        Machine.deadline = float("inf")
    how = settings(
        max_examples=100,  # of which the first ten are small
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        print_blob=True,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    try:
        while True:
            run_state_machine_as_test(Machine, settings=how)
            if Phase.shrink in phases:
                break
    except Enough:
        pass
    except Exception as error:
        raise AssertionError(f"the first time: {Machine.first_failure}") from error
    assert not Machine.first_failure, Machine.first_failure
    print(f"{Machine.number} stores, {Machine.changes} changes")
    assert Machine.number > 1
