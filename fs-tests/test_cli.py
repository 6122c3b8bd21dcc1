# SPDX-License-Identifier: Apache-2.0
#
# test_cli.py - the command mnefs: exit codes, suggestions, JSON, mounting and refusing to

import contextlib
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import time

import pytest

from harness import eventually, is_mounted, unmount_lazily

OK, FAILED, USAGE, DIFFERENT = 0, 1, 2, 4
NOT_FOUND, EXISTS, NOT_PERMITTED, BUSY, NOT_MOUNTED = 5, 6, 7, 8, 69


def one_sentence(done):
    """What went wrong is said on stderr, and only there, by name."""
    lines = done.stderr.splitlines()
    assert lines and lines[0].startswith("mnefs: "), done
    assert "Traceback" not in done.stderr and "(null)" not in done.stderr
    return done.stderr


# --- usage -----------------------------------------------------------------------------


def test_no_words_at_all_is_a_usage_error(cli):
    done = cli()
    assert done.returncode == USAGE
    assert "usage" in done.stderr


@pytest.mark.parametrize(
    "words, near",
    [
        (["statsu"], "status"),
        (["chekc", "x"], "check"),
        (["ck", "lst"], "list"),
        (["ck", "craete", "x"], "create"),
        (["verison"], "version"),
        (["--jsno", "status"], "--json"),
        (["ck", "list", "--no-colour"], "--no-color"),
        (["check", "--repiar", "x"], "--repair"),
    ],
)
def test_the_nearest_word_is_suggested(cli, words, near):
    done = cli(*words)
    assert done.returncode == USAGE
    assert done.stdout == ""
    assert near in one_sentence(done)


@pytest.mark.parametrize(
    "words",
    [
        ["xyzzyplugh"],
        ["status", "--xyzzyplugh"],
        ["-Z"],
        ["ck"],
        ["ck", "rename", "one"],
        ["init"],
        ["check"],
        ["ck", "show"],
        ["status", "too", "many"],
        ["-C"],
    ],
)
def test_a_wrong_call_is_exit_2_with_usage_on_stderr(cli, words):
    done = cli(*words)
    assert done.returncode == USAGE, done
    assert done.stdout == ""
    assert "mnefs" in done.stderr


def test_help_and_version_are_on_stdout_and_exit_0(cli):
    for words in (["help"], ["--help"], ["-h"], ["version"], ["--version"], ["-V"]):
        done = cli(*words)
        assert done.returncode == OK
        assert done.stdout and not done.stderr, words


def test_every_command_has_help(cli):
    commands = [
        line.split("\t")[0]
        for line in cli("--list-commands").stdout.splitlines()
        if line.split("\t")[0]
    ]
    expected = {"umount", "init", "status", "df", "check", "version", "help"}
    expected |= {f"checkpoint {v}" for v in ("create", "list", "show", "drop", "rename")}
    assert expected <= set(commands)
    for command in commands:
        done = cli("help", *command.split())
        assert done.returncode == OK and done.stdout, command
        done = cli(*command.split(), "--help")
        assert done.returncode == OK and done.stdout, command


@pytest.mark.parametrize("topic", ["paths", "errors", "recipes"])
def test_help_has_topics(cli, topic):
    done = cli("help", topic)
    assert done.returncode == OK
    assert len(done.stdout) > 200


def test_help_on_nothing_known_is_an_error(cli):
    assert cli("help", "xyzzy").returncode in (USAGE, NOT_FOUND)


def test_no_color_ever_reaches_a_pipe(fs, cli):
    fs.checkpoint("c")
    for env in ({"TERM": "xterm"}, {"TERM": "xterm", "NO_COLOR": "1"}):
        for words in (["ck", "list"], ["status"], ["help"]):
            assert "\033" not in cli(*words, cwd=fs.path, env=env).stdout


# --- where one stands ------------------------------------------------------------------


def test_commands_work_from_anywhere_inside_a_mount(fs, cli):
    (fs.table / "dir/deep").mkdir(parents=True)
    fs.checkpoint("c")
    for place in ("", "t", "t/dir/deep", ".checkpoints/c/t", ".checkpoints", ".mnefs"):
        done = cli("ck", "list", cwd=fs.path / place)
        assert done.returncode == OK, (place, done.stderr)
        assert "c" in done.stdout.split()
        assert cli("status", cwd=fs.path / place).returncode == OK


def test_c_names_the_mount(fs, cli, tmp_path):
    assert cli("-C", fs.path, "status", cwd="/").returncode == OK
    assert cli("-C", fs.table, "df", cwd="/").returncode == OK
    done = cli("-C", tmp_path / "missing", "status", cwd="/")
    assert done.returncode in (NOT_FOUND, NOT_MOUNTED)
    one_sentence(done)


@pytest.mark.parametrize("words", [["status"], ["df"], ["ck", "list"], ["ck", "create", "x"]])
def test_outside_of_a_mount_is_exit_69(cli, words, tmp_path):
    done = cli(*words, cwd=tmp_path)
    assert done.returncode == NOT_MOUNTED
    one_sentence(done)


def test_a_dead_mount_is_exit_69_and_says_so(fs, cli):
    fs.process.kill()
    fs.process.wait()
    done = cli("-C", fs.path, "status")
    assert done.returncode == NOT_MOUNTED
    assert "daemon" in one_sentence(done)
    fs.crash()


# --- checkpoints -----------------------------------------------------------------------


def test_ck_create_list_show_rename_and_drop(fs, cli):
    done = cli("ck", "create", "one", cwd=fs.path)
    assert (done.returncode, done.stdout) == (OK, "one\n")
    assert cli("checkpoint", "create", "two", "-t", "t", cwd=fs.path).returncode == OK
    assert os.listdir(fs.checkpoints) == ["one", "two"] or set(
        os.listdir(fs.checkpoints)
    ) == {"one", "two"}
    lines = cli("ck", "list", cwd=fs.path).stdout.splitlines()
    assert lines[0].split()[:3] == ["NAME", "CREATED", "SEQ"]
    assert [line.split()[0] for line in lines[1:]] == ["one", "two"]
    assert "one" in cli("ck", "show", "one", cwd=fs.path).stdout
    assert cli("ck", "rename", "one", "uno", cwd=fs.path).returncode == OK
    assert cli("ck", "drop", "uno", "two", cwd=fs.path).returncode == OK
    assert os.listdir(fs.checkpoints) == []


def test_ck_create_without_a_name_invents_one(fs, cli):
    names = {cli("ck", "create", cwd=fs.path).stdout.strip() for _ in range(3)}
    assert len(names) == 3
    assert names == set(os.listdir(fs.checkpoints))


def test_ck_create_for_several_tables_covers_those(fs, cli):
    for name in ("a", "b", "c"):
        (fs.path / name).mkdir()
    done = cli("ck", "create", "x", "-t", "a", "-t", "b", cwd=fs.path)
    assert done.returncode == OK, done.stderr
    assert sorted(os.listdir(fs.checkpoints / "x")) == ["a", "b"]
    done = cli("ck", "create", "y", "-t", "a", "-t", "nope", cwd=fs.path)
    assert done.returncode == NOT_FOUND
    assert os.listdir(fs.checkpoints) == ["x"]


def test_exit_codes_of_checkpoint_commands(fs, cli):
    def code(*words):
        done = cli(*words, cwd=fs.path)
        if done.returncode:
            one_sentence(done)
        return done.returncode

    assert code("ck", "create", "a") == OK
    assert code("ck", "create", "a") == EXISTS
    assert code("ck", "create", "b") == OK
    assert code("ck", "rename", "a", "b") == EXISTS
    assert code("ck", "rename", "nope", "c") == NOT_FOUND
    assert code("ck", "drop", "nope") == NOT_FOUND
    assert code("ck", "show", "nope") == NOT_FOUND
    assert code("ck", "create", "c", "-t", "nope") == NOT_FOUND
    assert code("ck", "create", "a:b") in (FAILED, USAGE)
    assert code("ck", "create", "a/b") in (FAILED, USAGE)
    assert code("ck", "create", "") in (FAILED, USAGE)
    assert code("ck", "drop", "a", "nope") == NOT_FOUND
    assert os.listdir(fs.checkpoints) == ["b"]


def test_drop_suggests_and_dry_run_drops_nothing(fs, cli):
    fs.checkpoint("nightly")
    assert "nightly" in cli("ck", "drop", "nightyl", cwd=fs.path).stderr
    done = cli("ck", "drop", "-n", "nightly", cwd=fs.path)
    assert done.returncode == OK and "nightly" in done.stdout
    assert os.listdir(fs.checkpoints) == ["nightly"]


def test_a_colon_is_explained(fs, cli):
    done = cli("ck", "create", "a:b", cwd=fs.path)
    assert "':'" in done.stderr


@pytest.mark.root
def test_not_permitted_is_exit_7(open_fs, cli):
    from harness import as_nobody

    def work():
        assert cli("ck", "create", "x", cwd=".").returncode == NOT_PERMITTED

    as_nobody(open_fs.path, work)


# --- JSON ------------------------------------------------------------------------------


def test_json_is_one_object_or_one_a_line(fs, cli):
    (fs.table / "f").write_text("x")
    fs.checkpoint("one")
    fs.checkpoint("two words", "t")
    for words in (["status"], ["df"], ["ck", "show", "one"]):
        done = cli("--json", *words, cwd=fs.path)
        assert isinstance(json.loads(done.stdout), dict), words
    lines = cli("ck", "list", "--json", cwd=fs.path).stdout.splitlines()
    assert [json.loads(line)["name"] for line in lines] == ["one", "two words"]
    assert json.loads(cli("--json", "version").stdout)


def test_json_quotes_strange_names(fs, cli):
    for name in ('quo"te', "back\\slash", "日本語"):
        fs.checkpoint(name)
    lines = cli("--json", "ck", "list", cwd=fs.path).stdout.splitlines()
    names = [json.loads(line)["name"] for line in lines]
    assert names == ['quo"te', "back\\slash", "日本語"]


def test_json_list_of_nothing_is_nothing(fs, cli):
    done = cli("--json", "ck", "list", cwd=fs.path)
    assert (done.returncode, done.stdout) == (OK, "")


def test_status_and_df_tell_what_there_is(fs, cli):
    for n in range(7):
        (fs.table / str(n)).write_text("x")
    fs.checkpoint("c")
    status = json.loads(cli("--json", "status", cwd=fs.path).stdout)
    assert int(status["tables"]) == 1
    assert int(status["records"]) == 7
    assert int(status["checkpoints"]) == 1
    text = cli("status", cwd=fs.path).stdout
    assert str(fs.path) in text and str(fs.store) in text
    assert cli("df", cwd=fs.path).stdout.count("\n") >= 2


# --- stores ----------------------------------------------------------------------------


def test_init_makes_a_store_once(cli, store, mount, check):
    assert cli("init", store).returncode == OK
    check()
    done = cli("init", store)
    assert done.returncode in (EXISTS, FAILED)
    one_sentence(done)
    with mount(create=False) as m:
        assert os.listdir(m.path) == []


def test_init_refuses_a_directory_with_something_in_it(cli, store):
    store.mkdir()
    (store / "photo.jpg").touch()
    done = cli("init", store)
    assert done.returncode != OK
    one_sentence(done)
    assert os.listdir(store) == ["photo.jpg"]


def test_check_is_0_for_a_clean_store_and_says_why_otherwise(cli, mount, store, tmp_path):
    with mount() as m:
        m.table.mkdir()
        (m.table / "f").write_bytes(os.urandom(100_000))
    assert cli("check", store).returncode == OK
    done = cli("check", tmp_path / "missing")
    assert done.returncode not in (OK, DIFFERENT)
    one_sentence(done)
    done = cli("check", "/usr/share")
    assert done.returncode not in (OK, DIFFERENT)
    one_sentence(done)


def test_check_of_a_mounted_store_is_refused(fs, cli):
    done = cli("check", fs.store)
    assert done.returncode == BUSY
    assert str(fs.pid) in one_sentence(done)


@pytest.mark.parametrize("size", [500, 200_000])
def test_check_finds_a_flipped_bit(cli, mount, store, size):
    marker = os.urandom(size)
    with mount() as m:
        m.table.mkdir()
        (m.table / "f").write_bytes(marker)
        (m.table / "g").write_bytes(b"fine")
    piece = marker[size // 2 : size // 2 + 16]
    flipped = 0
    for path in store.rglob("*"):
        if path.is_file() and piece in (data := path.read_bytes()):
            at = data.index(piece)
            changed = bytes([data[at] ^ 1])
            path.write_bytes(data[:at] + changed + data[at + 1 :])
            flipped += 1
    assert flipped
    done = cli("check", store)
    assert done.returncode != OK
    if size > 100_000:
        assert done.returncode == DIFFERENT
        with mount() as m:
            m.expect_log(".")
            try:
                assert (m.table / "f").read_bytes() == marker
            except OSError as error:
                assert error.errno == 5
            assert (m.table / "g").read_bytes() == b"fine"


# --- mounting --------------------------------------------------------------------------


def umount(where):
    """Somebody else's mount namespace may hold it for a moment: then it is busy."""

    def is_done():
        done = subprocess.run(["umount", str(where)], capture_output=True, check=False)
        return done.returncode == 0 or not is_mounted(where)

    assert eventually(is_done, 10)


@pytest.fixture
def background(cli, store, tmp_path):
    """background(*words) -> mount as people do, without -f; unmounted at the end."""
    places = []
    others = daemons_of(store)

    def run(*words, at=None, env=None):
        where = at or tmp_path / "mnt"
        if where not in places:
            where.mkdir(exist_ok=True)
            places.append(where)
        return cli(store, where, *words, env=env), where

    yield run
    for where in places:
        if is_mounted(where):
            subprocess.run(["umount", str(where)], check=False)
        unmount_lazily(where)
    assert eventually(lambda: daemons_of(store) == others), daemons_of(store)


def daemons_of(store):
    """Who runs with this store in its command line."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and int(entry) != os.getpid():
            with contextlib.suppress(OSError):
                with open(f"/proc/{entry}/cmdline", "rb") as file:
                    if os.fsencode(str(store)) in file.read().split(b"\0"):
                        found.append(int(entry))
    return found


def test_mounting_returns_when_the_mount_is_usable(background):
    done, where = background("-o", "create")
    assert done.returncode == OK, done.stderr
    assert done.stdout == ""
    (where / "t").mkdir()
    (where / "t/f").write_text("x")
    assert is_mounted(where)


def test_the_background_daemon_keeps_no_terminal_and_no_pipe(background, store):
    done, where = background("-o", "create")
    assert done.returncode == OK
    [pid] = daemons_of(store)
    for fd in (0, 1, 2):
        assert "pipe" not in os.readlink(f"/proc/{pid}/fd/{fd}")
    assert os.getsid(pid) != os.getsid(0)


def test_umount_ends_the_daemon_and_releases_the_store(background, cli, store, check):
    done, where = background("-o", "create")
    assert done.returncode == OK
    (where / "t").mkdir()
    done = cli("umount", where)
    assert done.returncode == OK, done.stderr
    assert not is_mounted(where)
    check()


def test_umount_from_inside_says_that_it_is_busy(background, cli):
    done, where = background("-o", "create")
    (where / "t").mkdir()
    fd = os.open(where / "t", os.O_RDONLY)
    done = cli("umount", where)
    assert done.returncode == BUSY
    one_sentence(done)
    os.close(fd)
    assert cli("umount", where).returncode == OK


def test_umount_of_what_is_not_mounted_is_refused(cli, tmp_path):
    done = cli("umount", tmp_path)
    assert done.returncode in (NOT_MOUNTED, NOT_FOUND, FAILED)
    one_sentence(done)


def test_the_mount_table_shows_store_and_type(background, store):
    done, where = background("-o", "create")
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        [line] = [x for x in mounts if f" {where} " in x]
    source, _, kind, options, *_ = line.split()
    assert source == str(store)
    assert kind == "fuse.mnefs"
    assert "default_permissions" in options


def test_options_of_fstab_are_accepted(background):
    words = "create,user,noexec,nosuid,nodev,noatime,_netdev,x-systemd.automount,nofail"
    done, where = background("-o", words)
    assert done.returncode == OK, done.stderr
    assert os.statvfs(where).f_flag & os.ST_NOEXEC


def test_an_unknown_mount_option_is_a_usage_error_with_a_suggestion(background):
    done, where = background("-o", "create,snyc=off")
    assert done.returncode == USAGE, done
    assert "sync" in one_sentence(done)
    assert not is_mounted(where)


@pytest.mark.parametrize("option", ["ctl=nonsense", "sync=fast", "sync=-3", "ctl"])
def test_a_wrong_value_of_a_mount_option_is_a_usage_error(background, option):
    done, where = background("-o", f"create,{option}")
    assert done.returncode == USAGE, done
    assert option.split("=")[0] in one_sentence(done)
    assert not is_mounted(where)


@pytest.mark.root
def test_mount_t_fuse_mnefs_works(background, store, mnefs, tmp_path):
    helper = "/sbin/mount.fuse.mnefs"
    if os.path.lexists(helper):
        pytest.skip("there is one installed")
    os.symlink(mnefs, helper)
    try:
        (tmp_path / "mnt").mkdir()
        done = subprocess.run(
            ["mount", "-t", "fuse.mnefs", "-o", "create", str(store), str(tmp_path / "mnt")],
            capture_output=True,
            text=True,
            check=False,
        )
        try:
            assert done.returncode == OK, done.stderr
            (tmp_path / "mnt/t").mkdir()
        finally:
            subprocess.run(["umount", str(tmp_path / "mnt")], check=False)
    finally:
        os.unlink(helper)
    assert eventually(lambda: not daemons_of(store))


def test_a_read_only_mount_shows_all_and_changes_nothing(mount):
    with mount() as m:
        m.table.mkdir()
        (m.table / "f").write_text("x")
        m.checkpoint("c")
    with mount("ro", create=False) as m:
        assert (m.table / "f").read_text() == "x"
        assert (m.checkpoints / "c/t/f").read_text() == "x"
        for attempt in (
            lambda: (m.table / "f").write_text("y"),
            lambda: (m.table / "g").touch(),
            lambda: (m.path / "other").mkdir(),
            lambda: m.checkpoint("d"),
            lambda: m.drop("c"),
        ):
            with pytest.raises(OSError) as caught:
                attempt()
            assert caught.value.errno == 30
    with mount() as m:
        assert os.listdir(m.checkpoints) == ["c"]


# --- refusing to mount -----------------------------------------------------------------


def refused(done, where):
    assert done.returncode not in (OK, USAGE), done
    assert not is_mounted(where)
    return one_sentence(done)


def test_a_mount_right_after_an_umount_waits_for_the_daemon_before(background):
    for n in range(5):
        done, where = background("-o", "create,sync=off")
        assert done.returncode == OK, done.stderr
        (where / "t").mkdir(exist_ok=True)
        (where / f"t/{n}").write_bytes(os.urandom(1 << 20) * 24)
        umount(where)


def test_a_store_in_use_is_refused_with_the_pid_of_the_holder(fs, background, tmp_path):
    done, where = background(at=tmp_path / "second")
    assert str(fs.pid) in refused(done, where)
    assert done.returncode == BUSY
    (fs.table / "f").write_text("the first one works on")


def test_the_lock_of_a_killed_daemon_is_no_lock(mount):
    with mount() as m:
        m.table.mkdir()
        m.crash()
    with mount() as m:
        assert os.listdir(m.path) == ["t"]


def test_a_missing_store_without_create_is_refused(background, store):
    done, where = background()
    assert "create" in refused(done, where)
    assert not store.exists()


def test_an_empty_directory_without_create_is_refused(background, store):
    store.mkdir()
    done, where = background()
    refused(done, where)
    assert os.listdir(store) == []


@pytest.mark.parametrize("options", [(), ("-o", "create")])
def test_a_directory_that_is_no_store_is_refused(background, store, options):
    store.mkdir()
    (store / "photo.jpg").write_text("x")
    done, where = background(*options)
    assert "store" in refused(done, where)
    assert os.listdir(store) == ["photo.jpg"]


def test_a_file_is_refused_as_a_store(background, store):
    store.write_text("x")
    done, where = background("-o", "create")
    refused(done, where)


def test_a_store_of_a_newer_format_is_refused(cli, background, store):
    assert cli("init", store).returncode == OK
    path = store / "MNEFS"
    text = path.read_text()
    assert re.search(r"\d+", text)
    path.write_text(re.sub(r"\d+", lambda n: str(int(n.group()) + 1), text))
    done, where = background()
    assert "newer" in refused(done, where)
    path.write_text(text)
    done, where = background()
    assert done.returncode == OK


def test_a_half_made_store_is_refused(cli, background, store):
    """Killed at each of its steps, init leaves nothing, a whole store, or a half one."""
    seen = set()
    for nth in range(1, 30):
        shutil.rmtree(store, ignore_errors=True)
        done = cli("init", store, env={"MNE_DEBUG": f"kv-kill={nth}"})
        done2, where = background()
        if done.returncode == OK:
            assert done2.returncode == OK, done2.stderr
            umount(where)
            eventually(lambda: not daemons_of(store))
            break
        if done2.returncode == OK:
            umount(where)
            eventually(lambda: not daemons_of(store))
            seen.add("whole")
        else:
            refused(done2, where)
            seen.add("refused")
            # create mends it, or says what to do
            done3, where = background("-o", "create")
            if done3.returncode == OK:
                umount(where)
                eventually(lambda: not daemons_of(store))
            else:
                refused(done3, where)
    else:
        pytest.fail("init never succeeded")


def test_a_store_whose_marker_is_gone_is_refused(cli, background, store):
    assert cli("init", store).returncode == OK
    (store / "MNEFS").unlink()
    done, where = background("-o", "create")
    refused(done, where)


@pytest.mark.root
def test_a_read_only_store_directory_is_refused(cli, background, store, tmp_path):
    assert cli("init", store).returncode == OK
    subprocess.run(["mount", "--bind", str(store), str(store)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(store)], check=True)
        done, where = background()
        assert "read-only" in refused(done, where) or "written" in done.stderr
    finally:
        subprocess.run(["umount", "-l", str(store)], check=True)


def test_a_mount_point_that_is_missing_or_a_file_is_refused(cli, store, tmp_path):
    (tmp_path / "file").touch()
    for name in ("missing", "file"):
        done = cli(store, tmp_path / name, "-o", "create")
        assert done.returncode not in (OK, USAGE), done
        assert str(tmp_path / name) in one_sentence(done)


def test_a_dead_mount_is_cleaned_by_mounting_again(background, store):
    done, where = background("-o", "create")
    (where / "t").mkdir()
    [pid] = daemons_of(store)
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: not daemons_of(store))
    with pytest.raises(OSError):
        os.listdir(where)
    done, where = background()
    assert done.returncode == OK, done.stderr
    assert os.listdir(where) == ["t"]


def test_sigterm_ends_the_daemon_in_order(mount, check):
    m = mount()
    m.table.mkdir()
    (m.table / "f").write_text("x")
    m.process.send_signal(signal.SIGTERM)
    assert m.process.wait(30) == 0
    assert eventually(lambda: not is_mounted(m.path))
    m.ended = True
    m.check_log()
    check()
    with mount() as again:
        assert (again.table / "f").read_text() == "x"


def test_mount_point_and_store_may_be_relative(cli, tmp_path, store):
    (tmp_path / "mnt").mkdir()
    done = cli("store", "mnt", "-o", "create", cwd=tmp_path)
    assert done.returncode == OK, done.stderr
    try:
        (tmp_path / "mnt/t").mkdir()
        assert stat.S_ISDIR((tmp_path / "store").stat().st_mode)
    finally:
        assert cli("umount", "mnt", cwd=tmp_path).returncode == OK
    time.sleep(0)
