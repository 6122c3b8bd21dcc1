# SPDX-License-Identifier: Apache-2.0
#
# crash_bitrot.py - bytes of a store's files are other than they were written
#
# A store with tables, logs, segments, a checkpoint and history is made once.  Then, for
# every kind of file and every way of damage:
#
#	mounting works, or fails with a sentence;
#	what can be read is what was written, and what cannot is EIO (D3): of a segment
#	the damaged file alone;
#	`mnefs check` says that something is wrong, unless nothing is;
#	`mnefs check --repair` makes a store that mounts, with the rest in it, and after
#	it `check` names nothing but file data that is lost.

import contextlib
import errno
import os
import random
import re
import shutil

import pytest

import harness

SMALL = {"MNE_DEBUG": "unit=65536", "G_MESSAGES_DEBUG": None}

# (name, how often by default, which files)
KINDS = [
    ("log", 6, r"kv/\d+\.log$"),
    ("table", 10, r"kv/\d+\.ldb$"),
    ("manifest", 6, r"kv/MANIFEST-\d+$"),
    ("current", 4, r"kv/CURRENT$"),
    ("segment", 8, r"blob/.*\.seg$"),
    ("mnefs", 3, r"MNEFS$"),
    ("lock", 2, r"LOCK$"),
]


class Content:
    """What was written: every content that a path ever had, and the last one."""

    def __init__(self):
        self.random = random.Random(4711)
        self.ever = {}
        self.last = {}
        self.then = {}

    def bytes(self, name, size):
        head = b"%s %d " % (name.encode(), len(self.ever.get(name, [])))
        return head + self.random.randbytes(size)

    def put(self, m, name, size):
        data = self.bytes(name, size)
        (m.table / name).write_bytes(data)
        self.ever.setdefault(name, []).append(data)
        self.last[name] = data

    def remove(self, m, name):
        (m.table / name).unlink()
        del self.last[name]


def fill(m, content):
    sizes = [50, 700, 3000, 9000, 40_000, 150_000]
    m.table.mkdir()
    for name in ("d", "d/e"):
        (m.table / name).mkdir()
    for n in range(120):
        content.put(m, f"f{n:03d}", sizes[n % 3])
    for n in range(24):
        content.put(m, f"d/g{n:02d}", sizes[n % len(sizes)])
    content.put(m, "d/e/deep", 2000)
    os.link(m.table / "f000", m.table / "link")
    content.ever["link"] = content.ever["f000"]
    content.last["link"] = content.last["f000"]
    os.setxattr(m.table / "f001", "user.big", b"x" * 3000)
    m.checkpoint("c")
    content.then = dict(content.last)
    for n in range(1, 60):
        content.put(m, f"f{n:03d}", sizes[n % 4])
    for n in range(12):
        content.put(m, f"d/g{n:02d}", sizes[-1 - n % len(sizes)])
    for n in range(60, 70):
        content.remove(m, f"f{n:03d}")
    harness.fsync_path(m.table)


@pytest.fixture(scope="module")
def rotten(tmp_path_factory):
    """A place for the store that is made once, and what is in it."""
    return tmp_path_factory.mktemp("bitrot") / "base", Content()


@pytest.fixture
def base(rotten, make_mount, tmp_path):
    store, content = rotten
    if not store.exists():
        m = make_mount(store, tmp_path / "mnt", "create", env=SMALL)
        fill(m, content)
        m.unmount()
        # once more: what the first run left in its log is in tables now
        m = make_mount(store, tmp_path / "mnt", env=SMALL)
        for n in range(70, 80):
            content.put(m, f"f{n:03d}", 700)
        m.unmount()
    return store, content


# --- damage ----------------------------------------------------------------------------


def flip(data, rng):
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def clear(data, rng):
    at = rng.randrange(len(data)) // 512 * 512
    data[at : at + 512] = bytes(len(data[at : at + 512]))


def scramble(data, rng):
    at = rng.randrange(len(data))
    data[at : at + 64] = rng.randbytes(len(data[at : at + 64]))


def shorten(data, rng):
    del data[rng.randrange(len(data)) :]


WAYS = [flip, flip, clear, scramble, shorten]


def damage(store, pattern, rng):
    """What was done to which file."""
    files = sorted(
        path
        for path in store.rglob("*")
        if re.search(pattern, str(path.relative_to(store))) and path.stat().st_size
    )
    path = rng.choice(files)
    data = bytearray(path.read_bytes())
    way = rng.choice(WAYS)
    way(data, rng)
    path.write_bytes(data)
    return f"{way.__name__} in {path.relative_to(store)}"


# --- looking ---------------------------------------------------------------------------


def read(path):
    """The bytes; None: there is nothing; False: EIO."""
    try:
        return path.read_bytes()
    except OSError as error:
        if error.errno == errno.EIO:
            return False
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        raise


def names_below(top):
    """All names that can be listed, and whether all could."""
    names, whole = [], True

    def failed(error):
        nonlocal whole
        assert error.errno in (errno.EIO, errno.ENOENT), error
        whole = whole and error.errno != errno.EIO

    for here, _, files in os.walk(top, onerror=failed):
        names += [os.path.relpath(os.path.join(here, file), top) for file in files]
    return names, whole


def look(m, content):
    """(missing, broken) names; whatever else is read is right."""
    missing, broken = set(), set()
    for where, top, last in (
        ("", m.table, content.last),
        ("c/", m.checkpoints / "c/t", content.then),
    ):
        names, whole = names_below(top)
        if not whole:
            broken.add(where)
        for name in set(names) | set(last):
            data = read(top / name)
            if data is False:
                broken.add(where + name)
            elif data is None:
                missing.add(where + name)
            elif not os.path.basename(name).startswith("lost-"):
                assert data in content.ever[name], f"{where}{name}: {data[:20]}"
                if data != last.get(name):
                    missing.add(f"{where}{name} as of last")
    return missing, broken


def is_sentence(said):
    return any(
        line.startswith("mnefs: ") and len(line.split()) > 3 for line in said.splitlines()
    )


def try_mount(make_mount, store, tmp_path, content):
    """None when it is refused, else what look() says."""
    try:
        m = make_mount(store, tmp_path / "mnt", env=SMALL)
    except harness.MountFailed as failed:
        assert failed.returncode is not None and 0 < failed.returncode < 70, failed
        assert is_sentence(failed.said), failed.said
        return None
    m.expect_log(".")
    try:
        seen = look(m, content)
    except BaseException:
        m.dispose()
        raise
    m.unmount(check=False)
    assert m.process.returncode in (0, 1)
    return seen


def run_check(cli, store, *options):
    done = cli("check", *options, store, env={"MNE_DEBUG": SMALL["MNE_DEBUG"]})
    assert done.returncode in (0, 1, 2, 4), done
    if done.returncode in (1, 2):
        assert is_sentence(done.stderr), done
    return done


def lost_data_only(done):
    return done.returncode == 0 or all(
        line.startswith("frames: ") or "findings" in line
        for line in done.stdout.splitlines()
    )


# --- the test --------------------------------------------------------------------------


def examine(kind, pattern, rng, base, tmp_path, make_mount, cli):
    store, content = base
    victim, other = tmp_path / "victim", tmp_path / "other"
    for path in (victim, other):
        shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(store, victim)
    what = damage(victim, pattern, rng)
    shutil.copytree(victim, other)
    with explained(what):
        found = run_check(cli, other)
        seen = try_mount(make_mount, other, tmp_path, content)
        # a log that ends early is what a loss of power leaves
        if seen is None or seen[1] or (seen[0] and kind != "log"):
            assert found.returncode != 0, f"check saw nothing, but {seen}"
        if seen and kind != "log":
            assert not seen[0], f"what cannot be read is not there: {seen[0]}"
        if kind == "segment":
            assert seen and not seen[0], seen
            assert len(seen[1]) <= 2 or not what.startswith("flip"), seen
        repaired = run_check(cli, victim, "--repair")
        if kind == "mnefs" and "has format" in repaired.stderr:
            return what, seen, found
        assert repaired.returncode in (0, 4), repaired
        again = run_check(cli, victim)
        assert again.returncode in (0, 4) and lost_data_only(again), (repaired, again)
        after = try_mount(make_mount, victim, tmp_path, content)
        assert after is not None, "it does not mount after the repair"
        missing, broken = after
        assert again.returncode == 4 or not broken, (broken, again)
        if kind not in ("log", "table"):
            assert not missing, (missing, repaired)
        live = [name for name in missing if not name.startswith("c/")]
        assert len(live) < 75 or what.startswith("shorten"), live
    return what, seen, found, after, repaired


@contextlib.contextmanager
def explained(what):
    try:
        yield
    except (AssertionError, OSError, harness.MountFailed) as error:
        raise AssertionError(f"{what}: {error}") from error


@pytest.mark.timeout(3000)
@pytest.mark.parametrize(("kind", "times", "pattern"), KINDS, ids=[k[0] for k in KINDS])
def test_what_rots_is_never_shown_and_the_rest_comes_back(
    kind, times, pattern, base, tmp_path, make_mount, cli, request
):
    times *= request.config.getoption("--rot")
    for n in range(times):
        rng = random.Random(f"{kind}/{n}")
        print(n, *examine(kind, pattern, rng, base, tmp_path, make_mount, cli), sep="\n  ")
