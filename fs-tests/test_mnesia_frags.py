# SPDX-License-Identifier: Apache-2.0
#
# test_mnesia_frags.py - what Mnesia's own tests of fragmented tables look at, as far as it
# has a counterpart here, through a mount
#
# The names of the tests say which it is; docs/testing.md lists all of them.  Where records
# are is computed here, from the description of erlang:phash2/1 and of linear hashing.

import errno
import itertools
import json
import os
import pathlib
import random
import threading

import pytest

from harness import eventually, fails, sh

MASK = 0xFFFFFFFF
USAGE, FAILED = 2, 1


# --- where Mnesia would put a name -----------------------------------------------------------


def mix(a, b, c):
    """Bob Jenkins' mix of 1996."""
    shifts = itertools.cycle([13, -8, 13, 12, -16, 5, 3, -10, 15])
    for _ in range(3):
        for _ in range(3):
            shift = next(shifts)
            a = (a - b - c) & MASK
            a ^= (c >> shift) if shift > 0 else (c << -shift) & MASK
            a, b, c = b, c, a
    return a, b, c


def phash2(name):
    a = b = 0x9E3779B9
    c = 13 * a & MASK
    if not name:
        return c
    whole = len(name) // 12 * 12
    for at in range(0, whole, 12):
        words = [int.from_bytes(name[at + i : at + i + 4], "little") for i in (0, 4, 8)]
        a, b, c = mix(a + words[0] & MASK, b + words[1] & MASK, c + words[2] & MASK)
    rest = name[whole:]
    a = a + int.from_bytes(rest[:4], "little") & MASK
    b = b + int.from_bytes(rest[4:8], "little") & MASK
    c = c + len(name) + (int.from_bytes(rest[8:], "little") << 8) & MASK
    return mix(a, b, c)[2]


def fragment_of(name, n):
    doubles = n.bit_length() - 1
    number = phash2(os.fsencode(name)) % (2 << doubles) + 1
    return number if number <= n else number - (1 << doubles)


# --- helpers ----------------------------------------------------------------------------------


def control(m, name, table="t"):
    return m.path / ".mnefs/tables" / table / name


def spread(m, n, table="t"):
    control(m, "fragments", table).write_text(f"{n}\n")

    def is_done():
        info = json.loads(control(m, "fragments.json", table).read_text().splitlines()[0])
        return info["fragments"] == n and info["step_to"] == 0

    eventually(is_done)


def sizes(m, table="t"):
    lines = control(m, "fragments.json", table).read_text().splitlines()
    return [json.loads(line)["records"] for line in lines[1:]]


def by_fragment(m, table="t"):
    top = m.path / table / ".frag"
    return {int(frag): os.listdir(top / frag) for frag in sorted(os.listdir(top))}


def assert_placed(m, names, n):
    """Every record is where Mnesia has it, and nowhere else."""
    wanted = {k: sorted(x for x in names if fragment_of(x, n) == k) for k in range(1, n + 1)}
    assert by_fragment(m) == wanted
    assert sizes(m) == [len(wanted[k]) for k in range(1, n + 1)]


@pytest.fixture
def modules(mnefs):
    at = pathlib.Path(mnefs).parent / "fs-tests/hash"
    if not (at / "prefix.so").exists():
        pytest.skip("make check-fs builds the hash modules")
    return at


class Tx:
    def __init__(self, m, name):
        self.path = m.path / ".tx" / name
        self.path.mkdir()

    def commit(self):
        fd = os.open(self.path / ".ctl", os.O_WRONLY)
        try:
            os.write(fd, b"commit")
        finally:
            os.close(fd)


# --- the tests --------------------------------------------------------------------------------


def test_nice_single_exact_sizes_up_and_down_again(fs):
    names = [f"{n}" for n in range(1, 13)]
    for name in names:
        (fs.table / name).write_text(name)
    seen = []
    for n in (1, 2, 3, 4, 5, 8, 13, 20):
        spread(fs, n)
        assert_placed(fs, names, n)
        seen.append((n, sizes(fs)))
    for n, before in reversed(seen):
        spread(fs, n)
        assert sizes(fs) == before, "shrinking is the exact inverse"
    control(fs, "listing").write_text("records")
    spread(fs, 2)
    assert sizes(fs) == seen[1][1], "listing records moves none"
    sh("rm -rf t && mkdir t", fs.path)
    assert sizes(fs) == [0] and control(fs, "fragments").read_text() == "1\n"


def test_nice_multi_a_table_hashed_by_a_prefix_follows_another(mount, cli, modules):
    """Mnesia's foreign_key: what belongs together has one fragment number."""
    m = mount(f"hash_modules={modules}")
    for table in ("users", "mails"):
        done = cli("-C", m.path, "table", "create", table, "--hash", "prefix")
        assert done.returncode == 0, done.stderr
    for user in range(30):
        (m.path / f"users/u{user}:").write_text("a user")
        for mail in range(3):
            (m.path / f"mails/u{user}:{mail}").write_text("a mail")
    for n in (1, 2, 3, 4, 9, 2, 1):
        for table in ("users", "mails"):
            spread(m, n, table)
        users, mails = by_fragment(m, "users"), by_fragment(m, "mails")
        for number, names in users.items():
            assert sorted({x.split(":")[0] + ":" for x in mails[number]}) == sorted(names)
        assert sizes(m, "mails") == [3 * size for size in sizes(m, "users")]


def test_nice_access_everything_works_on_400_records_in_20_fragments(fs, cli):
    spread(fs, 20)
    names = [f"{n}" for n in range(1, 401)]
    for name in names:
        (fs.table / name).write_text(name)
    assert_placed(fs, names, 20)
    info, *each = map(json.loads, control(fs, "fragments.json").read_text().splitlines())
    assert info["records"] == 400 == sum(frag["records"] for frag in each)
    assert info["fragments"] == 20 == len(each) and info["hash"] == "phash2"
    assert all(frag["bytes"] > 0 for frag in each if frag["records"])
    # fold
    total = sum(int((fs.table / name).read_text()) for name in names)
    assert total == 400 * 401 // 2
    assert sh("cat t/*/* | wc -c", fs.path).stdout.split() == [str(sum(map(len, names)))]
    # select in chunks of 10
    (fs.table / "one more").write_text("401")
    got, after = [], None
    while True:
        words = ["--limit", "10", *(["--from", after] if after else [])]
        page = cli("-C", fs.path, "query", "t", *words).stdout.splitlines()
        if after:
            assert page[0] == after
        got += page[1 if after else 0 :]
        if len(page) < 10:
            break
        after = page[-1]
    assert got == sorted([*names, "one more"]) and len(got) == 401
    # read, write, delete, by any path
    (fs.table / "7").write_text("changed")
    frag = f"{fragment_of('7', 20):04}"
    assert (fs.table / frag / "7").read_text() == "changed"
    (fs.table / frag / "7").unlink()
    with fails(errno.ENOENT):
        (fs.table / "7").read_text()
    assert sum(sizes(fs)) == 400


def test_iter_access_the_order_is_that_of_the_fragments_also_where_some_are_empty(fs, cli):
    names = [f"name {n}" for n in range(40)]
    for name in names:
        (fs.table / name).write_text("x")
    spread(fs, 30)
    assert 0 in sizes(fs)
    walked = []
    for frag in sorted(os.listdir(fs.table)):
        inside = os.listdir(fs.table / frag)
        assert inside and inside == sorted(inside)
        walked += inside
    assert walked == [x for part in by_fragment(fs).values() for x in part]
    assert sorted(walked) == sorted(names)
    control(fs, "listing").write_text("records")
    assert os.listdir(fs.table) == sorted(names), "first and next over all of them, merged"
    words = ("-C", fs.path, "query", "t")
    assert cli(*words, "--limit", "1").stdout.split("\n")[0] == "name 0"
    assert cli(*words, "--from", "name 9").stdout == "name 9\n"
    sh("rm -rf t/*", fs.path)
    assert sizes(fs) == [0] * 30 and os.listdir(fs.table) == []


@pytest.mark.parametrize(
    "words",
    [
        ("--fragments", "0"),
        ("--fragments", "-1"),
        ("--fragments", "a"),
        ("--fragments", "10000"),
        ("--fragments", "auto:0"),
        ("--fragments",),
        ("--listing", "both"),
        ("--hash", "no-such-module"),
        ("--hash", "phash2", "--hash-arg", "no argument is taken"),
        ("--no-such-property", "1"),
        ("too", "many", "words"),
    ],
)
def test_evil_create_a_property_that_cannot_be_makes_no_table(fs, cli, words):
    done = cli("-C", fs.path, "table", "create", "u", *words)
    assert done.returncode in (USAGE, FAILED), done
    assert done.stderr.startswith("mnefs: ")
    assert os.listdir(fs.path) == ["t"]


def test_evil_change_a_step_that_cannot_be_changes_nothing(mount, modules):
    with mount(f"hash_modules={modules}") as m:
        m.table.mkdir()
        control(m, "hash").write_text("prefix")
        for n in range(50):
            (m.table / f"{n}:x").write_text(f"{n}")
        spread(m, 3)
        before = by_fragment(m)
    with mount() as m:  # the module is missing
        m.expect_log("hash module")
        for wish in ("4", "+1", "-1"):
            with fails(errno.EIO):
                control(m, "fragments").write_text(wish)
        assert control(m, "fragments").read_text() == "3\n"
    with mount(f"hash_modules={modules}") as m:
        assert by_fragment(m) == before
        spread(m, 4)
        assert sum(sizes(m)) == 50


def test_evil_combine_one_transaction_over_tables_with_and_without_fragments(fs):
    (fs.path / "plain").mkdir()
    spread(fs, 7)
    tx = Tx(fs, "J")
    for n in range(40):
        (tx.path / f"t/{n}").write_text(f"{n}")
        (tx.path / f"plain/{n}").write_text(f"{n}")
    assert sum(sizes(fs)) == 0 and os.listdir(fs.path / "plain") == []
    tx.commit()
    assert_placed(fs, [f"{n}" for n in range(40)], 7)
    assert len(os.listdir(fs.path / "plain")) == 40


def test_evil_loop_a_transaction_sees_its_own_writes_in_listings_of_fragments(fs):
    for n in range(60):
        (fs.table / f"{n}").write_text("before")
    spread(fs, 5)
    tx = Tx(fs, "J")
    wanted = {f"{n}": "before" for n in range(60)}
    rnd = random.Random(4)
    for step in range(80):
        name = f"{rnd.randrange(90)}"
        if name in wanted and rnd.random() < 0.4:
            (tx.path / "t" / name).unlink()
            del wanted[name]
        else:
            (tx.path / "t" / name).write_text(f"{step}")
            wanted[name] = f"{step}"
        if step % 10 == 0:
            found = sh("find t -type f -printf '%f\\n'", tx.path).stdout.split()
            assert sorted(found) == sorted(wanted)
    assert {name: (tx.path / "t" / name).read_text() for name in wanted} == wanted
    assert len(sh("find t -type f", fs.path).stdout.split()) == 60
    tx.commit()
    assert_placed(fs, list(wanted), 5)


def test_evil_delete_a_table_goes_while_it_is_being_split(fs, check):
    for n in range(500):
        (fs.table / f"{n}").write_text("x")
    control(fs, "fragments").write_text("64")
    sh("while ! rm -rf t 2>/dev/null; do :; done", fs.path)
    assert os.listdir(fs.path) == []
    fs.table.mkdir()
    assert sizes(fs) == [0]
    fs.unmount()
    check()


def test_consistency_money_is_kept_while_fragments_come_and_go(fs, check):
    """TPC-B, small: transfers in transactions; every checkpoint holds the same sum."""
    accounts, start = 40, 100
    for n in range(accounts):
        (fs.table / f"account {n}").write_text(f"{start}")
    done = threading.Event()
    moved, failures = [0, 0, 0], []

    def transfer(worker):
        rnd = random.Random(worker)
        try:
            while not done.is_set():
                one, other = rnd.sample(range(accounts), 2)
                tx = Tx(fs, f"{worker}")
                for n, sign in ((one, -1), (other, 1)):
                    path = tx.path / f"t/account {n}"
                    path.write_text(f"{int(path.read_text()) + sign}")
                try:
                    tx.commit()
                    moved[worker] += 1
                except OSError as error:
                    if error.errno != errno.ECANCELED:
                        raise
                    tx.path.rmdir()
        except (OSError, ValueError, AssertionError) as error:
            failures.append(error)

    def total(top):
        found = sh("find . -type f -exec cat {} + -exec echo \\; | tr -d '\\n'", top)
        assert found.returncode == 0
        return sum(int((top / f"account {n}").read_text()) for n in range(accounts))

    threads = [threading.Thread(target=transfer, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for step, n in enumerate((2, 5, 16, 7, 1)):
        spread(fs, n)
        fs.checkpoint(f"{step}")
        assert total(fs.checkpoints / f"{step}/t") == accounts * start
    done.set()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert total(fs.table) == accounts * start and min(moved) > 0, moved
    for step in range(5):
        assert total(fs.checkpoints / f"{step}/t") == accounts * start
    fs.unmount()
    check()
