# SPDX-License-Identifier: Apache-2.0
#
# crash_calls.py - kill -9 at any system call of the daemon, whatever it is
#
# Not only at those that change the store (fail_calls.py): between the batch and the
# answer, with a lock held, in a read, while it is mounted or unmounted.  The writers and
# what must hold are those of crash_kill.py; faults/killer.c counts the calls of all
# threads, and kills before the n-th is made or before it returns.  Which calls, and how
# many of each there are, one run shows; then half of the kills are at the n-th call of all,
# and half at the n-th of some kind, so that rare kinds have their turn.
#
# A run that ends before is unmounted; it does not count.  --call-kills N, --seed N

import os
import random
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from crash_kill import (
    WRITERS,
    Writer,
    at_least,
    checkpoints_while,
    compare,
    make_places,
)

import harness
from harness import MountFailed

LOAD = 1.0  # seconds, if it lives so long
ANY = -1


@pytest.fixture
def killer():
    built = Path(harness.find_mnefs() or "").resolve().parent / "fs-tests/faults/killer"
    if not built.exists():
        pytest.skip("no killer: make check builds it")
    if subprocess.run([built, "-1", "0", os.devnull, "true"], check=False).returncode:
        pytest.skip("no ptrace here")
    return built


class Calls:
    """Runs of the writers, each with a place where the daemon is killed."""

    def __init__(self, killer, mount, seed, tmp_path):
        self.killer = killer
        self.mount = mount
        self.rng = random.Random(seed)
        self.file = tmp_path / "calls"
        self.counts = Counter()
        self.starts = [0] * WRITERS
        self.killed = Counter()  # at which call

    def environment(self):
        quiet = {"G_MESSAGES_DEBUG": None}
        if harness.is_sanitized():  # who is traced already cannot look for leaks
            quiet["ASAN_OPTIONS"] = "detect_leaks=0"
        return quiet

    def choose(self):
        """A kind of call, and which of them."""
        if not self.counts:
            return ANY, 0
        kind = ANY
        if self.rng.random() < 0.5:
            kind = self.rng.choice(sorted(self.counts))
        most = self.counts.total() if kind == ANY else self.counts[kind]
        return kind, self.rng.randint(1, most)

    def up(self, kind, nth):
        after = ["-a"] if self.rng.random() < 0.5 else []
        under = [self.killer, *after, kind, nth, self.file]
        self.file.unlink(missing_ok=True)
        return self.mount(env=self.environment(), under=map(str, under))

    def take_counts(self):
        for line in self.file.read_text().splitlines():
            word, number = line.split()
            if word == "killed":
                self.killed[int(number)] += 1
                return True
            kind = int(word)
            self.counts[kind] = max(self.counts[kind], int(number))
        return False

    def load(self, m, round_):
        """Until it is dead, or for some time, and then it is unmounted."""
        writers = [Writer(m.path, n, self.starts[n]) for n in range(WRITERS)]
        end = time.monotonic() + (self.rng.uniform(0.2, LOAD) if round_ else LOAD)
        made = checkpoints_while(
            lambda: m.is_alive() and time.monotonic() < end, m, round_
        )
        for writer in writers:
            writer.stop()
        acknowledged = [writer.acknowledged() for writer in writers]
        m.unmount(check=False)
        m.check_log()
        assert m.process.returncode in (0, -9)
        return made, acknowledged

    def round(self, round_):
        """One life; was it ended?  And what must be there."""
        kind, nth = self.choose()
        made, acknowledged = [], [-1] * WRITERS
        try:
            made, acknowledged = self.load(self.up(kind, nth), round_)
        except MountFailed as failed:
            assert failed.returncode == -9, failed
        with self.mount(env=self.environment()) as m:
            lasts = compare(m, made, at_least(acknowledged, self.starts))
        self.starts = [last + 1 for last in lasts]
        return self.take_counts()


@pytest.mark.timeout(5000)
def test_killed_at_any_call_it_has_what_was_fsynced_and_a_prefix_of_the_rest(
    killer, mount, check, request, tmp_path
):
    """D1, D2"""
    seed = request.config.getoption("--seed")
    seed = random.getrandbits(30) if seed is None else seed
    print(f"--seed={seed}")
    with mount(env={"G_MESSAGES_DEBUG": None}) as m:
        make_places(m)
    calls = Calls(killer, mount, seed, tmp_path)
    kills = request.config.getoption("--call-kills")
    assert not calls.round(0), "nobody was to kill it"
    assert len(calls.counts) > 20, "the killer sees nothing"
    rounds = 0
    while calls.killed.total() < kills:
        rounds += 1
        calls.round(rounds)
        check()
        assert rounds < 20 + 5 * kills, "the calls are never reached"
    print(f"{rounds} rounds, killed at {dict(calls.killed.most_common())}")
