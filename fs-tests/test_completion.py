# SPDX-License-Identifier: Apache-2.0
#
# test_completion.py - completion and the manual know what the command knows

import re
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
BASH = TOP / "contrib/completion/mnefs"
ZSH = TOP / "contrib/completion/_mnefs"
MANUAL = TOP / "docs/man/mnefs.1.scd"


@pytest.fixture
def commands(cli):
    """[("checkpoint create", ["-t", "--table", ...])], the global options under ""."""
    lines = cli("--list-commands").stdout.splitlines()
    return [(line.split("\t")[0], line.split("\t")[1].split()) for line in lines]


def complete(words, cli):
    """What bash would offer after these words and a blank."""
    script = r"""
        source "$1"; shift
        compopt() { :; }
        COMP_WORDS=(mnefs "$@" '') COMP_CWORD=$(($# + 1))
        _mnefs mnefs '' "${@: -1}"
        printf '%s\n' "${COMPREPLY[@]}"
    """
    path = f"{Path(cli.binary).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", script, "bash", BASH, *words],
        env={"PATH": path},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert not done.stderr, done.stderr
    return done.stdout.split()


def test_bash_offers_every_command(commands, cli):
    missing = []
    for command, _ in commands:
        for i, word in enumerate(command.split()):
            if word not in complete(command.split()[:i], cli):
                missing.append(command)
    assert not missing


def test_bash_offers_every_option_of_every_command(commands, cli):
    missing = []
    for command, options in commands:
        offered = complete(command.split(), cli)
        missing += [(command, option) for option in options if option not in offered]
    assert not missing


def braces_expanded(text):
    """--a-{b,c} is --a-b --a-c."""
    return re.sub(
        r"(--[\w-]+)\{([\w,]+)\}",
        lambda found: " ".join(found[1] + end for end in found[2].split(",")),
        text,
    )


def test_zsh_knows_every_command_and_every_option(commands):
    text = braces_expanded(ZSH.read_text())
    missing = []
    for command, options in commands:
        for word in command.split():
            if not re.search(rf"['{{(| ]{word}[:)| ,]", text):
                missing.append(word)
        missing += [(command, o) for o in options if not re.search(rf"[^-\w]{o}\b", text)]
    assert not missing


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
def test_zsh_reads_its_completion():
    subprocess.run(["zsh", "-n", ZSH], check=True, timeout=60)


def test_the_manual_has_every_command_and_every_option(commands):
    text = MANUAL.read_text()
    missing = []
    for command, options in commands:
        if command and f"*{command}*" not in text:
            missing.append(command)
        missing += [(command, o) for o in options if f"*{o}*" not in text]
    assert not missing
