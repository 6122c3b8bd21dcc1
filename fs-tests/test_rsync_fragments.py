# SPDX-License-Identifier: Apache-2.0
#
# test_rsync_fragments.py - mnefs rsync of tables with fragments, in both listings

import os
import random
import shutil

import pytest

from harness import eventually, sh

RECORDS = 80


def spread(m, n, listing=None, table="t"):
    control = m.path / ".mnefs/tables" / table
    (control / "fragments").write_text(f"{n}\n")
    if listing:
        (control / "listing").write_text(f"{listing}\n")
    eventually(lambda: (control / "fragments").read_text() == f"{n}\n")
    eventually(lambda: len(os.listdir(m.path / table / ".frag")) == n)


def fill(m, table="t"):
    for n in range(RECORDS):
        (m.path / table / f"record {n}").write_text(f"{n}" * (n % 7 + 1))
    tree = m.path / table / "tree/deep"
    tree.mkdir(parents=True)
    (tree / "leaf").write_text("leaf")
    os.link(m.path / table / "record 1", m.path / table / "link")
    os.symlink("record 2", m.path / table / "symlink")


def change(m, table="t", seed=1):
    """Records come, go, change, and are renamed; others become something else."""
    rnd = random.Random(seed)
    names = [f"record {n}" for n in range(RECORDS)]
    for name in rnd.sample(names, 40):
        path = m.path / table / name
        if not path.is_file():
            continue
        what = rnd.randrange(5)
        if what == 0:
            path.unlink()
        elif what == 1:
            path.write_text("changed")
        elif what == 2:
            path.rename(m.path / table / f"new {name}")
        elif what == 3:
            path.unlink()
            path.mkdir()
            (path / "inside").write_text("inside")
        else:
            path.chmod(0o600)
    leaf = m.path / table / "tree/deep/leaf"
    if leaf.exists():
        leaf.rename(m.path / table / "tree/leaf")
    (m.path / table / f"added {seed}").write_text("added")


def differences(m, name, copy):
    return sh(f"rsync -aHXnic --delete .checkpoints/{name}/ {copy}/", m.path).stdout


@pytest.fixture
def run(fs, cli, tmp_path):
    """run(checkpoint, *words) copies; the copy must equal the checkpoint then."""

    def call(name, *words):
        done = cli("-C", fs.path, "rsync", name, f"{tmp_path}/copy/", *words)
        assert done.returncode == 0, done.stderr
        assert differences(fs, name, tmp_path / "copy") == ""

    return call


LISTINGS = [(1, "records"), (4, "fragments"), (16, "fragments"), (16, "records")]


@pytest.mark.parametrize("n, listing", LISTINGS)
@pytest.mark.parametrize("jobs", [1, 3])
def test_the_copy_equals_the_checkpoint(fs, run, tmp_path, n, jobs, listing):
    fill(fs)
    spread(fs, n, listing)
    fs.checkpoint("a")
    run("a", "-j", str(jobs))
    assert os.path.isdir(tmp_path / "copy/t/0001") == (n > 1 and listing == "fragments")
    change(fs)
    fs.checkpoint("b")
    run("b", "-j", str(jobs))


def test_more_jobs_than_fragments_share_them(fs, run):
    fill(fs)
    spread(fs, 2)
    fs.checkpoint("a")
    run("a", "-j", "9")


@pytest.mark.parametrize("n, listing", LISTINGS)
@pytest.mark.parametrize("jobs, since", [(1, "bookmark"), (3, "checkpoint")])
def test_the_copy_follows_what_changed(fs, run, cli, n, jobs, listing, since):
    fill(fs)
    spread(fs, n, listing)
    fs.checkpoint("a")
    run("a")
    change(fs)
    if since == "bookmark":
        assert cli("-C", fs.path, "ck", "bookmark", "a", "then").returncode == 0
        fs.drop("a")
    fs.checkpoint("b")
    run("b", "-j", str(jobs), "--since", "then" if since == "bookmark" else "a")


@pytest.mark.parametrize("since", ["checkpoint", "bookmark"])
@pytest.mark.parametrize(
    "before, after",
    [
        ((1, "fragments"), (4, "fragments")),
        ((4, "fragments"), (1, "fragments")),
        ((4, "fragments"), (16, "fragments")),
        ((16, "fragments"), (3, "fragments")),
        ((4, "fragments"), (4, "records")),
        ((4, "records"), (4, "fragments")),
        ((4, "records"), (16, "records")),
    ],
)
def test_it_follows_a_table_that_was_split_or_is_listed_otherwise(
    fs, run, cli, before, after, since
):
    fill(fs)
    spread(fs, *before)
    fs.checkpoint("a")
    run("a")
    change(fs)
    if since == "bookmark":
        assert cli("-C", fs.path, "ck", "bookmark", "a", "then").returncode == 0
        fs.drop("a")
    spread(fs, *after)
    fs.checkpoint("b")
    run("b", "--since", "then" if since == "bookmark" else "a")


@pytest.mark.parametrize("jobs, since", [(1, "bookmark"), (3, "checkpoint")])
def test_it_follows_tables_that_come_go_and_are_renamed(fs, run, cli, jobs, since):
    for table in ("dropped", "renamed", "made again"):
        (fs.path / table).mkdir()
        fill(fs, table)
        spread(fs, 4, table=table)
    fs.checkpoint("a")
    run("a")
    if since == "bookmark":
        assert cli("-C", fs.path, "ck", "bookmark", "a", "then").returncode == 0
        fs.drop("a")
    sh("rm -rf dropped 'made again'; mv renamed 'now so'; mkdir 'made again' new", fs.path)
    change(fs, "now so")
    (fs.path / "made again/x").write_text("x")
    fill(fs, "new")
    spread(fs, 4, table="new")
    fs.checkpoint("b")
    run("b", "-j", str(jobs), "--since", "then" if since == "bookmark" else "a")


def test_fragments_that_empty_or_fill_up_come_and_go(fs, run):
    fill(fs)
    spread(fs, 16)
    for name in os.listdir(fs.table / "0003"):
        (fs.table / name).unlink()
    fs.checkpoint("a")
    run("a")
    sh("rm -rf t/0001/* t/0007/*", fs.path)
    for n in range(100):
        (fs.table / f"fresh {n}").write_text("fresh")
    sh("rm -rf t/0007/*", fs.path)
    fs.checkpoint("b")
    assert os.listdir(fs.checkpoints / "b/t/0003")
    assert "0007" not in os.listdir(fs.checkpoints / "b/t")
    run("b", "--since", "a")


def test_many_steps_of_one_copy(fs, run):
    fill(fs)
    fs.checkpoint("0")
    run("0")
    for step, n in enumerate((3, 3, 8, 1), start=1):
        change(fs, seed=step)
        spread(fs, n)
        fs.checkpoint(f"{step}")
        run(f"{step}", "--since", f"{step - 1}", "-j", "2")


# --- the list behind it --------------------------------------------------------------------


def listed(fs, name):
    return set((fs.path / ".mnefs/changed" / name).read_bytes().decode().split("\0")) - {""}


def test_a_list_names_paths_as_they_are_listed_or_as_they_are_found(fs, cli):
    (fs.path / "flat").mkdir()
    fill(fs)
    spread(fs, 4)
    fs.checkpoint("a")
    for table in ("t", "flat"):
        (fs.path / table / "f").write_text("f")
    (fs.table / "record 5").unlink()
    (fs.table / "tree/deep/leaf").write_text("other")
    fs.checkpoint("b")
    plain = {"flat", "flat/f", "t", "t/f", "t/record 5", "t/tree/deep/leaf"}
    assert listed(fs, "a..b") == plain
    walk = {
        os.path.relpath(os.path.join(at, n), fs.checkpoints / "b")
        for at, dirs, files in os.walk(fs.checkpoints / "b")
        for n in dirs + files
    }
    shown = listed(fs, "a..b.listed")
    assert len(shown) == len(plain) and {"flat", "flat/f", "t"} < shown
    (gone,) = [path for path in shown if path.endswith("/record 5")]
    assert shown - walk == {gone}
    frag = os.getxattr(fs.checkpoints / "a/t/record 5", "mnefs.frag").decode()
    assert gone == f"t/{int(frag):04}/record 5"
    assert listed(fs, "a.listed") == shown, "to what is live"
    assert listed(fs, "b..a.listed") == shown
    assert cli("-C", fs.path, "ck", "bookmark", "b", "mark").returncode == 0
    assert not (fs.path / ".mnefs/changed/a..mark.listed").exists()
    assert (fs.path / ".mnefs/changed/mark..a.listed").exists()


def test_a_table_tells_what_it_lists_and_since_when(fs):
    def fact(path):
        word, since = os.getxattr(path, "mnefs.listing").decode().split()
        return word, int(since)

    fill(fs)
    first = fact(fs.table)
    assert first[0] == "records"
    fs.checkpoint("a")
    change(fs)
    assert fact(fs.table) == first == fact(fs.checkpoints / "a/t")
    spread(fs, 4)
    second = fact(fs.table)
    assert second[0] == "fragments" and second[1] > first[1]
    assert fact(fs.checkpoints / "a/t") == first
    (fs.path / ".mnefs/tables/t/listing").write_text("records\n")
    assert fact(fs.table)[0] == "records" and fact(fs.table)[1] > second[1]
    for path in (fs.path, fs.table / "tree", fs.table / "tree/leaf"):
        with pytest.raises(OSError):
            os.getxattr(path, "mnefs.listing")


@pytest.mark.parametrize("listing", ["records", "fragments"])
def test_each_of_several_rsyncs_works_on_fragments_of_its_own(fs, cli, tmp_path, listing):
    fill(fs)
    spread(fs, 16, listing)
    fs.checkpoint("a")
    (tmp_path / "bin").mkdir()
    (tmp_path / "lists").mkdir()
    wrapper = tmp_path / "bin/rsync"
    wrapper.write_text(
        "#!/bin/sh\n"
        'for word; do case $word in --files-from=*) cp "${word#*=}" '
        f'"{tmp_path}/lists/$$" ;; esac; done\nexec {shutil.which("rsync")} "$@"\n'
    )
    wrapper.chmod(0o755)
    env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    done = cli("-C", fs.path, "rsync", "-j", "2", "a", f"{tmp_path}/copy/", env=env)
    assert done.returncode == 0, done.stderr
    assert differences(fs, "a", tmp_path / "copy") == ""
    top = fs.checkpoints / "a/t/.frag"
    where = {name: frag for frag in os.listdir(top) for name in os.listdir(top / frag)}
    seen = {}
    for path in (tmp_path / "lists").iterdir():
        names = path.read_text().rstrip("\0").split("\0")
        frags = {where[name.rsplit("/", 1)[1]] for name in names}
        assert len(frags) == 1, "one list, one fragment"
        assert seen.setdefault(frags.pop(), path) == path, "one fragment, one list"
    assert len(seen) > 12
