# SPDX-License-Identifier: Apache-2.0
#
# test_tx_corners.py - mnefs tx: being asked, limits, deaths, other users, many at once

import errno
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from harness import NOBODY, base_environment, eventually, fails, in_child, tree
from txs import Tx, open_ones, with_table

INCREMENT = "n=$(cat t/n); echo $((n + 1)) > t/n"


pytestmark = pytest.mark.usefixtures("namespaces")


def needs(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"needs {program}")


def start(cli, fs, *words, **how):
    return subprocess.Popen(
        [cli.binary, "tx", *words],
        cwd=fs.path,
        env=base_environment(),
        text=True,
        **how,
    )


# --- --ask, --dry-run ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer, status",
    [("y\n", 0), ("Yes\n", 0), ("n\n", 1), ("\n", 1), ("", 1), ("x" * 5000, 1)],
)
def test_ask_shows_what_would_change_and_does_as_it_is_told(fs, cli, answer, status):
    (fs.table / "a").write_text("1")
    words = ("--ask", "--", "sh", "-c", "echo 2 > t/a; echo 3 > t/b")
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with start(cli, fs, *words, **pipes) as asking:
        out, err = asking.communicate(answer, timeout=30)
    assert asking.returncode == status
    assert out.splitlines() == ["~ t/a", "+ t/b"]
    assert "commit this?" in err
    assert ("not committed" in err) == (status == 1)
    assert (fs.table / "a").read_text() == ("2\n" if status == 0 else "1")
    assert open_ones(fs) == []


def test_ask_asks_nothing_when_nothing_changed_or_the_command_failed(fs, cli):
    done = cli("tx", "--ask", "--", "cat", "/dev/null", cwd=fs.path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "commit this?" not in done.stderr
    done = cli("tx", "--ask", "--", "sh", "-c", "echo 1 > t/a; exit 3", cwd=fs.path)
    assert (done.returncode, done.stdout) == (3, "")
    assert os.listdir(fs.table) == []


def test_what_is_changed_while_it_asks_is_a_conflict_that_asks_again(fs, cli):
    (fs.table / "n").write_text("0\n")
    words = ("--ask", "--", "sh", "-c", INCREMENT)
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with start(cli, fs, *words, **pipes) as asking:
        assert asking.stdout.readline() == "~ t/n\n"
        (fs.table / "n").write_text("5\n")
        asking.stdin.write("y\n")
        asking.stdin.flush()
        assert asking.stdout.readline() == "~ t/n\n"
        asking.stdin.write("y\n")
        asking.stdin.flush()
        assert asking.wait(30) == 0
    assert (fs.table / "n").read_text() == "6\n"


def test_dry_run_tells_of_moves_links_modes_and_trees_and_changes_nothing(fs, cli):
    (fs.table / "dir").mkdir()
    for name in ("a", "b", "c", "dir/x"):
        (fs.table / name).write_text(name)
    before = tree(fs.path, times=True, modes=True)
    script = """
        mv t/a t/z; ln t/b t/b2; chmod 600 t/c; ln -s b t/s; rm -r t/dir
        mkdir t/new u; echo > t/new/y; echo > t/tmp; rm t/tmp
    """
    done = cli("tx", "-n", "--", "sh", "-ec", script, cwd=fs.path)
    assert done.returncode == 0, done.stderr
    lines = set(done.stdout.splitlines())
    assert {"- t/a", "+ t/z", "+ t/b2", "~ t/c", "+ t/s"} <= lines
    assert {"- t/dir", "- t/dir/x", "+ t/new", "+ t/new/y", "+ u"} <= lines
    assert not any("tmp" in line for line in lines)
    assert tree(fs.path, times=True, modes=True) == before
    done = cli("tx", "-n", "--", "sh", "-c", "echo > t/q; exit 4", cwd=fs.path)
    assert (done.returncode, done.stdout) == (4, "")


# --- limits --------------------------------------------------------------------------------


def test_tx_idle_0_never_aborts(mount):
    fs = with_table(mount, "tx_idle=0")
    with Tx(fs) as tx:
        (tx.table / "a").write_text("x")
        time.sleep(2.5)
        assert open_ones(fs) == ["J"]
        tx.commit()
    assert (fs.table / "a").read_text() == "x"


def test_what_looks_at_it_keeps_it_from_being_idle(mount):
    fs = with_table(mount, "tx_idle=2")
    with Tx(fs) as tx:
        for _ in range(8):
            (tx.table / "a").write_text("x")
            time.sleep(0.5)
        assert open_ones(fs) == ["J"]


def test_more_than_it_may_have_is_refused_to_the_command_and_nothing_changes(mount, cli):
    fs = with_table(mount, "tx_mem=64K,tx_max=2")
    script = "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); mkdir t/$i || exit 3; done"
    done = cli("tx", "--", "sh", "-c", script, cwd=fs.path)
    assert done.returncode == 3
    assert "quota" in done.stderr.lower()
    assert os.listdir(fs.table) == []
    with Tx(fs, "one"), Tx(fs, "two"):
        done = cli("tx", "--", "true", cwd=fs.path)
        assert done.returncode == 125
        assert "tx_max" in done.stderr
    assert cli("tx", "--", "true", cwd=fs.path).returncode == 0


def test_a_write_beyond_its_memory_leaves_the_rest_as_it_was(mount):
    """EDQUOT is not the end: what was done before it can be committed."""
    fs = with_table(mount, "tx_mem=64K")
    with Tx(fs) as tx:
        made = 0
        with fails(errno.EDQUOT):
            for i in range(3000):
                (tx.table / f"{i:04}").mkdir()
                made += 1
        assert len(os.listdir(tx.table)) == made
        tx.commit()
    assert len(os.listdir(fs.table)) == made > 10


# --- deaths --------------------------------------------------------------------------------


def test_with_mnefs_itself_the_transaction_goes(fs, cli, tmp_path):
    (fs.table / "a").write_text("1")
    script = f"""
        echo 2 > t/a; touch {tmp_path}/ready
        while [ -e {tmp_path}/ready ]; do sleep 0.02; done
        cat t/a > {tmp_path}/late 2>&1; echo 3 > t/a; echo done >> {tmp_path}/late
    """
    with start(cli, fs, "--", "sh", "-c", script, stderr=subprocess.DEVNULL) as running:
        assert eventually((tmp_path / "ready").exists)
        running.kill()
        running.wait()
    assert eventually(lambda: open_ones(fs) == [])
    (tmp_path / "ready").unlink()
    late = tmp_path / "late"
    assert eventually(lambda: late.exists() and "done" in late.read_text())
    assert (fs.table / "a").read_text() == "1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_all_of_it_changes_nothing(fs, cli, tmp_path, number):
    script = f"echo 2 > t/a; touch {tmp_path}/ready; sleep 60"
    words = ("--", "sh", "-c", script)
    with start(cli, fs, *words, start_new_session=True) as running:
        assert eventually((tmp_path / "ready").exists)
        os.killpg(running.pid, number)
        status = running.wait(20)
    assert status == (128 + number if number == signal.SIGINT else -number)
    assert eventually(lambda: open_ones(fs) == [])
    assert os.listdir(fs.table) == []


def test_what_the_command_left_running_works_no_longer_in_it(fs, cli, tmp_path):
    script = f"""
        echo 1 > t/a
        (while [ ! -e {tmp_path}/go ]; do sleep 0.02; done
         echo 2 > t/a && touch {tmp_path}/worked; touch {tmp_path}/over) >/dev/null 2>&1 &
    """
    done = cli("tx", "--", "sh", "-c", script, cwd=fs.path)
    assert done.returncode == 0
    assert (fs.table / "a").read_text() == "1\n"
    (tmp_path / "go").touch()
    assert eventually((tmp_path / "over").exists)
    assert not (tmp_path / "worked").exists()
    assert (fs.table / "a").read_text() == "1\n"


# --- somebody else ---------------------------------------------------------------------------


@pytest.fixture
def public():
    """A directory that everybody can come to."""
    path = Path(tempfile.mkdtemp(prefix="mnefs-public-"))
    path.chmod(0o755)
    yield path
    for left in path.iterdir():
        left.rmdir()
    path.rmdir()


@pytest.mark.root
def test_an_ordinary_user_runs_it_in_a_user_namespace(make_mount, store, public, cli):
    binary = public / "mnefs"
    shutil.copy(cli.binary, binary)
    fs = make_mount(store, public / "mnt", "create", "allow_other")
    fs.table.mkdir()
    fs.table.chmod(0o777)
    (fs.table / "secret").write_text("x")
    (fs.table / "secret").chmod(0o600)

    def run(script, *options):
        words = [binary, "tx", *options, "--", "sh", "-ec", script]

        def work():
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            return done.returncode, done.stdout, done.stderr

        return in_child(work, cwd=fs.path, uid=NOBODY)

    try:
        status, _, said = run("echo 1 > t/a; id -u > t/who; ls t/a")
        if "user namespaces are not allowed" in said:
            pytest.skip("user namespaces are not allowed here")
        assert status == 0, said
        assert (fs.table / "a").read_text() == "1\n"
        assert (fs.table / "a").stat().st_uid == NOBODY
        assert (fs.table / "who").read_text() == f"{NOBODY}\n"
        assert run("echo 2 > t/a; exit 6")[0] == 6
        assert (fs.table / "a").read_text() == "1\n"
        assert run("cat t/secret")[0] == 1
        assert run("echo 3 > t/a", "--lock", "write t/a")[0] == 0
        assert run("true", "--lock", "write t/secret")[0] == 0  # he may replace it
        fs.table.chmod(0o755)
        assert run("true", "--lock", "write t/secret")[0] == 125
        assert (fs.table / "a").read_text() == "3\n"
        assert open_ones(fs) == []
    finally:
        binary.unlink()
        fs.unmount()


# --- many at once ----------------------------------------------------------------------------


def test_two_that_commit_to_one_repository_both_get_in(fs, cli, tmp_path):
    """git sees a repository of its own in each try; what lost is done again."""
    needs("git")
    env = {"HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"}
    setup = """
        git init -q t/repo; cd t/repo
        git config user.name n; git config user.email e; git config gc.auto 0
        echo 0 > f; git add f; git commit -qm 0
    """
    assert cli("tx", "--", "sh", "-ec", setup, cwd=fs.path, env=env).returncode == 0
    done = []

    def client(number):
        script = f"cd t/repo; echo {number} > f{number}; git add f{number}; git commit -qm {number}"
        words = ("tx", "--retries", "50", "--", "sh", "-ec", script)
        done.append(cli(*words, cwd=fs.path, env=env))

    threads = [threading.Thread(target=client, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.returncode for one in done] == [0] * 3, [one.stderr for one in done]
    git = ["git", "-c", "safe.directory=*", "-C", str(fs.table / "repo")]
    log = subprocess.run(
        [*git, "log", "--format=%s"], capture_output=True, text=True, check=True
    )
    assert sorted(log.stdout.split()) == ["0", "0", "1", "2"]
    subprocess.run([*git, "fsck", "--full"], check=True, capture_output=True)
    subprocess.run([*git, "diff", "--exit-code", "HEAD"], check=True)


def test_sqlite_from_many_clients_loses_no_row(fs, cli):
    needs("sqlite3")
    table = "CREATE TABLE a(x); PRAGMA journal_mode=DELETE"
    subprocess.run(
        ["sqlite3", fs.table / "db", table], check=True, capture_output=True
    )
    done = []

    def client(number):
        for i in range(3):
            sql = f"INSERT INTO a VALUES({number * 10 + i})"
            words = ("tx", "--lock", "write t/db", "--", "sqlite3", "t/db", sql)
            done.append(cli(*words, cwd=fs.path))

    threads = [threading.Thread(target=client, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.returncode for one in done} == {0}, [one.stderr for one in done]
    assert not any("try" in one.stderr for one in done)
    answer = subprocess.run(
        ["sqlite3", fs.table / "db", "PRAGMA integrity_check; SELECT count(*) FROM a"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.split() == ["ok", "12"]


def test_a_sync_of_a_directory_and_a_sed_over_it_at_once(fs, cli, tmp_path):
    needs("rsync", "sed", "tar")
    source = tmp_path / "source"
    source.mkdir()
    for i in range(40):
        (source / f"{i}").write_text("city Oslo\n")
    commands = (
        f"rsync -a --delete {source}/ t/",
        "sed -i s/Oslo/Bergen/ t/* 2>/dev/null || true",
        f"tar -C {source} -cf - . | tar -C t -xf -",
    )
    done = []

    def client(command):
        words = ("tx", "--retries", "100", "--", "sh", "-c", command)
        done.append(cli(*words, cwd=fs.path))

    threads = [threading.Thread(target=client, args=(one,)) for one in commands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.returncode for one in done] == [0] * 3, [one.stderr for one in done]
    assert len(os.listdir(fs.table)) == 40
    assert len({path.read_text() for path in fs.table.iterdir()}) == 1
