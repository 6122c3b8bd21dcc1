# SPDX-License-Identifier: Apache-2.0
#
# test_hook_examples.py - the hooks of contrib/hooks.d do what they say

import errno
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "contrib/hooks.d"


@pytest.fixture
def m(mount, tmp_path):
    """Mounted with all examples: a copy, that nobody else can write to."""
    for program in ("sqlite3", "getfattr"):
        if not shutil.which(program):
            pytest.skip(f"no {program}")
    hooks = tmp_path / "hooks.d"
    shutil.copytree(EXAMPLES, hooks)
    hooks.chmod(0o755)
    for hook in hooks.iterdir():
        hook.chmod(0o755)
    with mount(f"hooks={hooks}", "hook_timeout=20s") as m:
        m.table.mkdir()
        yield m


def open_database(path):
    """As a program that keeps its database open, in WAL mode."""
    database = sqlite3.connect(path, isolation_level=None)
    assert database.execute("PRAGMA journal_mode=WAL").fetchone() == ("wal",)
    database.execute("PRAGMA wal_autocheckpoint=0")
    database.execute("PRAGMA synchronous=NORMAL")
    return database


def sum_in(there, tmp_path):
    """What the database of a checkpoint says, which is copied away to be opened."""
    copy = tmp_path / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in os.listdir(there):
        if name.startswith("my.db") and not name.endswith("-shm"):
            shutil.copy(there / name, copy / name)
    done = subprocess.run(
        ["sqlite3", copy / "my.db", "PRAGMA integrity_check; SELECT sum(x) FROM numbers"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split()


def test_a_database_in_use_is_whole_and_current_in_a_checkpoint(m, tmp_path):
    os.setxattr(m.table, "user.sqlite", b"yes")
    (m.table / "deep").mkdir()
    for where in (m.table, m.table / "deep"):
        database = open_database(where / "my.db")
        database.execute("CREATE TABLE numbers(x)")
        for n in range(1, 101):
            database.execute("INSERT INTO numbers VALUES(?)", (n,))
            if n in (50, 100):
                name = f"{where.name} {n}"
                m.checkpoint(name)
                there = m.checkpoints / name / where.relative_to(m.path)
                assert (where / "my.db-wal").stat().st_size == 0
                assert sum_in(there, tmp_path) == ["ok", str(n * (n + 1) // 2)]
        database.close()


def test_a_database_that_is_busy_stops_the_checkpoint(m):
    os.setxattr(m.table, "user.sqlite", b"yes")
    database = open_database(m.table / "my.db")
    database.execute("CREATE TABLE numbers(x)")
    database.execute("INSERT INTO numbers VALUES(1)")
    reader = sqlite3.connect(m.table / "my.db", isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT sum(x) FROM numbers").fetchone() == (1,)
    database.execute("INSERT INTO numbers VALUES(2)")
    with pytest.raises(OSError) as error:
        m.checkpoint("c")
    assert error.value.errno == errno.ECANCELED
    assert "my.db is busy" in (m.path / ".mnefs/log").read_text()
    reader.execute("COMMIT")
    m.checkpoint("c")
    reader.close()
    database.close()


def test_tables_that_do_not_ask_are_left_alone(m, tmp_path):
    database = open_database(m.table / "my.db")
    database.execute("CREATE TABLE numbers(x)")
    database.execute("INSERT INTO numbers VALUES(1)")
    before = (m.table / "my.db-wal").stat().st_size
    assert before > 0
    there = m.checkpoint("c")
    assert (m.table / "my.db-wal").stat().st_size == before
    assert "1" not in sum_in(there / "t", tmp_path), "so the hook is of use"
    database.close()


def test_tables_that_ask_are_in_every_checkpoint(m, cli):
    for name in ("orders", "settings", "units of measure", "other"):
        (m.path / name).mkdir()
    for name in ("settings", "units of measure"):
        os.setxattr(m.path / name, "user.checkpoint", b"always")
    os.setxattr(m.path / "other", "user.checkpoint", b"never")
    m.checkpoint("a", "orders")
    assert sorted(os.listdir(m.checkpoints / "a")) == ["orders", "settings", "units of measure"]
    assert cli("-C", m.path, "ck", "create", "b", "-t", "t").returncode == 0
    assert sorted(os.listdir(m.checkpoints / "b")) == ["settings", "t", "units of measure"]


def test_every_example_is_documented():
    docs = (Path(__file__).parent.parent / "docs/hooks.md").read_text()
    for example in EXAMPLES.iterdir():
        assert f"contrib/hooks.d/{example.name}" in docs
        assert os.access(example, os.X_OK)
