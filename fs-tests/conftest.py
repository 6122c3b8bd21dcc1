# SPDX-License-Identifier: Apache-2.0
#
# conftest.py - fixtures and options of the tests that go through a mount
#
#	store	the path of a store that does not exist yet
#	mount	mount(*options, env={…}) -> Mount: several mounts of that store, in turn
#	fs	the plain case: mounted, with one table `t` in it
#	d	a place for files: the table itself, and a directory inside it
#	cli	cli("ck", "list", cwd=…) -> what the command said
#	check	check() demands that `mnefs check` finds the store clean
#
# With MNEFS_REFERENCE=1 in the environment `fs` and `d` are a plain directory and
# everything else is skipped: so the tests of plain POSIX behaviour are themselves
# tested, against the kernel's own filesystems.  MNEFS_REFERENCE=/some/dir says where.

import itertools
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import harness  # noqa: E402

# The reaper steps in before pytest-timeout does: see harness.py.
REAP_BEFORE = 10


def pytest_addoption(parser):
    group = parser.getgroup("mnefs")
    group.addoption(
        "--require-fuse",
        action="store_true",
        help="no FUSE or no mnefs is a failure, not a reason to skip",
    )
    group.addoption(
        "--wrapper",
        default="",
        help="run the daemon under this, e.g. 'valgrind -q --error-exitcode=99'",
    )
    group.addoption(
        "--model-seconds",
        type=float,
        default=60,
        help="how long the state machine looks for a difference",
    )
    group.addoption(
        "--model-shrink",
        action="store_true",
        help="100 examples, and the shortest way to what fails",
    )
    group.addoption(
        "--crash-rounds", type=int, default=10, help="how often writers are killed"
    )
    group.addoption(
        "--call-kills",
        type=int,
        default=10,
        help="how often the daemon is killed at some system call",
    )
    group.addoption(
        "--bank-seconds", type=float, default=12, help="how long money is moved"
    )
    group.addoption(
        "--tx-faults",
        type=int,
        default=8,
        metavar="N",
        help="try every N-th place where a transaction can fail (1: all)",
    )
    group.addoption(
        "--full-sweeps",
        action="store_true",
        help="faults at every call of a sweep, where it is every few otherwise",
    )
    group.addoption(
        "--power-cuts", type=int, default=60, help="how often the power goes"
    )
    group.addoption(
        "--power-seed", type=int, default=0, help="another one is another load and cuts"
    )
    group.addoption(
        "--rot", type=int, default=1, help="times as many damaged stores of every kind"
    )
    group.addoption(
        "--open-files", type=int, default=20_000, help="how many are opened at once"
    )
    group.addoption(
        "--full-disk-seconds",
        type=float,
        default=18,
        help="how long a disk stays full",
    )
    group.addoption("--soak", type=float, default=12, help="seconds of mixed load")
    group.addoption(
        "--histories", type=int, default=40, help="how many random histories to follow"
    )
    group.addoption(
        "--seed", type=int, help="of what is random in some tests; else a new one"
    )
    group.addoption(
        "--power-cut", type=int, help="of these, try only the one of this number"
    )


def missing():
    if not harness.fuse_works():
        return "FUSE is not usable here"
    if not harness.find_mnefs():
        return "no mnefs: set MNEFS=/path/to/mnefs"
    return None


def pytest_configure(config):
    # no .hypothesis directory in the sources
    hypothesis.settings.register_profile("mnefs", database=None, deadline=None)
    hypothesis.settings.load_profile("mnefs")
    if config.getoption("--require-fuse") and not harness.REFERENCE and missing():
        raise pytest.UsageError(missing())


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("root") and os.getuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))
        if harness.REFERENCE and not item.path.name.startswith("test_posix_"):
            item.add_marker(pytest.mark.skip(reason="not about plain POSIX behaviour"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Show the daemon's last words under any failure, in setup and teardown too."""
    report = (yield).get_result()
    item.has_failed = getattr(item, "has_failed", False) or report.failed
    logs = [log for log in getattr(item, "daemon_logs", []) if log.exists()]
    if not report.failed:
        return
    for log in logs[-2:]:
        tail = log.read_text(errors="replace").splitlines()[-60:]
        repro = log.with_suffix(".repro")
        report.sections.append((f"daemon log: {log}", "\n".join(tail)))
        report.sections.append(("to repeat by hand", repro.read_text()))


@pytest.fixture(scope="session")
def reaper():
    reaper = harness.Reaper()
    yield reaper
    reaper.close()


@pytest.fixture(scope="session")
def mnefs():
    """The path of the binary."""
    if harness.REFERENCE:
        pytest.skip("not about plain POSIX behaviour")
    if missing():
        pytest.skip(missing())
    return harness.find_mnefs()


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def make_mount(request, mnefs, tmp_path, reaper):
    """Mount.__init__ with everything but store and place filled in, and cleaned up."""
    wrapper = shlex.split(request.config.getoption("--wrapper"))
    seconds = 120.0
    marker = request.node.get_closest_marker("timeout")
    if marker:
        seconds = float(marker.args[0])
    request.node.daemon_logs = []
    mounts = []
    count = itertools.count(1)
    reaper.tell("test", seconds - REAP_BEFORE)

    def make(store, path, *options, env=None, under=()):
        # A test that mounts hundreds of times keeps the logs of the last few.
        for old in request.node.daemon_logs[:-20]:
            old.unlink(missing_ok=True)
            old.with_suffix(".repro").unlink(missing_ok=True)
        del request.node.daemon_logs[:-20]
        mounts[:] = [m for m in mounts if not m.ended]
        log = tmp_path / f"daemon-{next(count)}.log"
        request.node.daemon_logs.append(log)
        made = harness.Mount(
            mnefs,
            store,
            path,
            log,
            options=options,
            env=env,
            wrapper=[*under, *wrapper],
            reaper=reaper,
        )
        mounts.append(made)
        return made

    yield make
    errors = []
    for left in mounts:
        if request.node.has_failed:
            left.dispose()
            continue
        try:
            left.unmount()
        except AssertionError as error:
            errors.append(str(error))
    reaper.tell("test", 0)
    assert not errors, "\n".join(errors)


@pytest.fixture
def mount(make_mount, store, tmp_path):
    def make(*options, env=None, create=True, at="mnt", under=()):
        words = ("create", *options) if create else options
        return make_mount(store, tmp_path / at, *words, env=env, under=under)

    return make


@pytest.fixture
def fs(request):
    if harness.REFERENCE:
        if harness.REFERENCE.startswith("/"):
            here = Path(harness.REFERENCE) / f"ref-{os.getpid()}"
            shutil.rmtree(here, ignore_errors=True)
        else:
            here = request.getfixturevalue("tmp_path") / "reference"
        yield harness.Reference(here)
        shutil.rmtree(here)
        return
    mounted = request.getfixturevalue("mount")()
    mounted.table.mkdir()
    yield mounted


@pytest.fixture
def open_fs(request):
    """As fs, but other users may enter (allow_other)."""
    if harness.REFERENCE:
        yield request.getfixturevalue("fs")
        return
    mounted = request.getfixturevalue("mount")("allow_other")
    mounted.table.mkdir()
    yield mounted


@pytest.fixture(params=["table", "directory"])
def d(request, fs):
    if request.param == "table":
        return fs.table
    (fs.table / "dir").mkdir()
    return fs.table / "dir"


@pytest.fixture(scope="session")
def namespaces():
    """Processes may have mounts of their own."""
    done = subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip("needs mount namespaces")


@pytest.fixture(scope="session")
def public_binary(mnefs):
    """A copy of mnefs where every user may run it."""
    with tempfile.TemporaryDirectory(prefix="mnefs-bin-") as top:
        os.chmod(top, 0o755)
        yield shutil.copy(mnefs, top)


@pytest.fixture
def cli(public_binary, tmp_path):
    """cli("ck", "list") -> subprocess.CompletedProcess with text."""

    def run(*words, cwd=None, env=None, timeout=60):
        environment = harness.base_environment(env)
        environment.pop("G_MESSAGES_DEBUG", None)
        if env:
            environment.update(env)
        return subprocess.run(
            [public_binary, *map(str, words)],
            cwd=cwd or tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout,
            check=False,
        )

    run.binary = public_binary
    return run


@pytest.fixture
def full_sweeps(request):
    return request.config.getoption("--full-sweeps")


@pytest.fixture
def check(cli, store):
    """The store is unmounted and clean."""

    def run(which=None):
        done = cli("check", which or store)
        assert done.returncode == 0, f"check: {done.stdout}{done.stderr}"

    return run
