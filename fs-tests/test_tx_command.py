# SPDX-License-Identifier: Apache-2.0
#
# test_tx_command.py - mnefs tx: any program in a transaction, at the paths it knows

import os
import shutil
import subprocess
import threading

import pytest

from harness import tree


@pytest.fixture
def tx(fs, cli, namespaces):
    def run(*words, options=(), check=None):
        done = cli("tx", *options, "--", *words, cwd=fs.path)
        assert os.listdir(fs.path / ".tx") == []
        assert check is None or done.returncode == check, done.stderr
        return done

    return run


def sh(tx, script, **how):
    return tx("sh", "-e", "-c", script, **how)


def test_exit_0_commits_all_and_anything_else_nothing(fs, tx):
    done = sh(tx, "echo 1 > t/a; echo 2 > t/b; cat t/a", check=0)
    assert done.stdout == "1\n"
    assert "committed" in done.stderr
    assert sorted(os.listdir(fs.table)) == ["a", "b"]
    sh(tx, "echo 3 > t/a; rm t/b; exit 42", check=42)
    assert (fs.table / "a").read_text() == "1\n"
    assert (fs.table / "b").exists()
    assert tx("sh", "-c", "echo 3 > t/a; kill -9 $$").returncode == 128 + 9
    assert (fs.table / "a").read_text() == "1\n"


def test_nobody_else_sees_it_meanwhile(fs, tx):
    script = f"echo 1 > t/a; test -e t/a; ls {fs.path}/t; cat /proc/{os.getpid()}/stat"
    assert "a\n" in sh(tx, script, check=0).stdout
    done = sh(tx, f"echo 1 > t/b; nsenter --mount=/proc/{os.getpid()}/ns/mnt true || :")
    assert done.returncode == 0


def test_the_full_path_leads_into_the_transaction_too(fs, tx):
    sh(tx, f"echo 1 > {fs.path}/t/a; cat t/a; mkdir {fs.path}/u", check=0)
    assert (fs.path / "u").is_dir() and (fs.table / "a").exists()


def test_dry_run_shows_what_it_would_do(fs, tx):
    (fs.table / "a").write_text("1")
    (fs.table / "b").write_text("1")
    script = "echo 2 > t/a; rm t/b; mkdir t/d; echo x > t/d/x; mkdir u"
    done = sh(tx, script, options=["--dry-run"], check=0)
    assert done.stdout.splitlines() == ["~ t/a", "- t/b", "+ t/d", "+ t/d/x", "+ u"]
    assert sorted(os.listdir(fs.table)) == ["a", "b"]


def test_own_failures_have_the_numbers_of_env(fs, tx):
    assert tx("/does/not/exist").returncode == 127
    assert tx("/etc/passwd").returncode == 126
    assert tx("true", options=["--retries", "many"]).returncode == 125


def conflicting(fs, tx, tmp_path, times, retries):
    """A command during whose first tries somebody else changes what it read."""
    (fs.table / "n").write_text("0")
    script = f"""
        n=$(cat t/n); echo $((n + 1)) > t/n
        echo x >> {tmp_path}/tries
        touch {tmp_path}/ready
        while ! test -e {tmp_path}/go; do sleep 0.02; done
        rm {tmp_path}/go
    """
    done = []
    options = ["--retries", str(retries)]
    runner = threading.Thread(
        target=lambda: done.append(sh(tx, script, options=options))
    )
    runner.start()
    for i in range(retries + 1):
        while not (tmp_path / "ready").exists() and runner.is_alive():
            pass
        if not runner.is_alive():
            break
        (tmp_path / "ready").unlink()
        if i < times:
            (fs.table / "n").write_text(str(10 * (i + 1)))
        (tmp_path / "go").touch()
        if i >= times:
            break
    runner.join()
    return done[0]


def test_a_conflict_runs_it_again(fs, tx, tmp_path):
    done = conflicting(fs, tx, tmp_path, times=2, retries=5)
    assert done.returncode == 0
    assert (fs.table / "n").read_text() == "21\n"
    assert "conflict on t/n" in done.stderr and "try 2 of 6" in done.stderr


def test_after_all_tries_it_gives_up_with_75(fs, tx, tmp_path):
    done = conflicting(fs, tx, tmp_path, times=9, retries=2)
    assert done.returncode == 75
    assert (tmp_path / "tries").read_text().count("x") == 3
    assert (fs.table / "n").read_text() == "30"


def needs(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"needs {program}")


def test_sed_in_place(fs, tx):
    for i in range(20):
        (fs.table / f"{i}").write_text("city Oslo\n")
    sh(tx, "sed -i s/Oslo/Bergen/ t/*", check=0)
    assert {path.read_text() for path in fs.table.iterdir()} == {"city Bergen\n"}


def test_git(fs, tx):
    needs("git")
    script = """
        export HOME=/nonexistent GIT_CONFIG_NOSYSTEM=1
        git init -q t/repo; cd t/repo
        git config user.name n; git config user.email e
        for i in 1 2 3; do echo $i > f$i; git add f$i; git commit -qm $i; done
        git gc -q
    """
    sh(tx, script, check=0)
    repo = fs.table / "repo"
    env = dict(os.environ, GIT_CONFIG_COUNT="1")
    env.update(GIT_CONFIG_KEY_0="safe.directory", GIT_CONFIG_VALUE_0="*")
    for words in (["fsck", "--full"], ["diff", "--exit-code"]):
        subprocess.run(["git", *words], cwd=repo, env=env, check=True, timeout=30)
    sh(tx, "cd t/repo; git -c safe.directory='*' rm -q f1; exit 1", check=1)
    assert (repo / "f1").exists()


def test_rsync_and_tar(fs, tx, tmp_path):
    needs("rsync", "tar")
    source = tmp_path / "source"
    for i in range(30):
        (source / f"d{i % 3}").mkdir(parents=True, exist_ok=True)
        (source / f"d{i % 3}" / f"{i}").write_bytes(os.urandom(i * 1000))
    sh(tx, f"rsync -a {source}/ t/ && rsync -a --delete {source}/d0/ t/d1/", check=0)
    assert tree(fs.table / "d1") == tree(source / "d0")
    sh(tx, f"mkdir t/out; tar -C {source} -cf - . | tar -C t/out -xf -", check=0)
    assert tree(fs.table / "out") == tree(source)


def test_sqlite(fs, tx):
    needs("sqlite3")
    make = "CREATE TABLE a(x); INSERT INTO a VALUES(1),(2);"
    sh(tx, f'sqlite3 t/db "{make}"', check=0)
    sh(tx, 'sqlite3 t/db "INSERT INTO a VALUES(3)"; exit 1', check=1)
    done = subprocess.run(
        ["sqlite3", fs.table / "db", "PRAGMA integrity_check; SELECT sum(x) FROM a"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["ok", "3"]


def test_make(fs, tx):
    needs("make")
    (fs.table / "Makefile").write_text("all: b\nb: a\n\tcp a b\na:\n\techo 1 > a\n")
    sh(tx, "make -s -C t", check=0)
    assert (fs.table / "b").read_text() == "1\n"
    again = sh(tx, "make -C t all", check=0).stdout
    assert "Nothing to be done" in again or "up to date" in again


def test_a_bank_keeps_its_sum_in_every_checkpoint(fs, cli, check, store):
    """Transfers between accounts by several clients, checkpoints meanwhile, then a kill:
    the sum holds in each (T1, C1, D1)."""
    accounts, per_client = 8, 15
    for i in range(accounts):
        (fs.table / f"{i}").write_text("100")

    def transfer(client, round_):
        tx = fs.path / ".tx" / f"c{client}"
        tx.mkdir()
        a, b = (client + round_) % accounts, (3 * client + round_ + 1) % accounts
        if a != b:
            x = int((tx / "t" / f"{a}").read_text())
            y = int((tx / "t" / f"{b}").read_text())
            (tx / "t" / f"{a}").write_text(str(x - 7))
            (tx / "t" / f"{b}").write_text(str(y + 7))
        try:
            (tx / ".ctl").write_text("commit")
            return True
        except OSError:
            tx.rmdir()
            return False

    def client(number):
        for round_ in range(per_client):
            while not transfer(number, round_):
                pass

    clients = [threading.Thread(target=client, args=(i,)) for i in range(4)]
    for each in clients:
        each.start()
    names = []
    while any(each.is_alive() for each in clients):
        names.append(f"c{len(names)}")
        fs.checkpoint(names[-1])

    def sum_in(top):
        return sum(int((top / f"{i}").read_text()) for i in range(accounts))

    assert names
    for name in names:
        assert sum_in(fs.checkpoints / name / "t") == 100 * accounts, name
    assert sum_in(fs.table) == 100 * accounts
