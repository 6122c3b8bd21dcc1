# SPDX-License-Identifier: Apache-2.0
#
# test_replace.py - a file that is replaced by rename, all the time, is always there

import os
import subprocess
import sys

import pytest

QUIET = {"G_MESSAGES_DEBUG": None}

WRITER = """
import os, sys
turn = 0
while True:
    turn += 1
    with open("new", "w") as file:
        file.write(f"{turn}\\n" * int(sys.argv[1]))
    os.rename("new", "x")
"""

READER = """
import sys
last = 0
for _ in range(int(sys.argv[1])):
    with open("x") as file:
        lines = file.read().splitlines()
    assert len(set(lines)) == 1 and len(lines) == int(sys.argv[2]), lines[:3]
    assert int(lines[0]) >= last, (lines[0], last)
    last = int(lines[0])
"""


@pytest.mark.parametrize("lines", [1, 3000], ids=["record", "file data"])
def test_readers_find_the_old_file_or_the_new_one_whole_and_no_error(mount, lines, check):
    with mount(env=QUIET) as m:
        m.table.mkdir()
        (m.table / "x").write_text("0\n" * lines)

        def start(code, *words):
            return subprocess.Popen(
                [sys.executable, "-c", code, *map(str, words)],
                cwd=m.table,
                stderr=subprocess.PIPE,
                text=True,
            )

        writer = start(WRITER, lines)
        readers = [start(READER, 6000, lines) for _ in range(3)]
        said = [reader.communicate()[1] for reader in readers]
        writer.kill()
        writer.communicate()
        assert said == [""] * 3
        assert sorted(os.listdir(m.table)) in (["x"], ["new", "x"])
    check()
