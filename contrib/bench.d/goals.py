# SPDX-License-Identifier: Apache-2.0
"""What mnefs is to reach: ratios of its speed to that of others, and what it must not grow by.

For relation the figures of TableFS, a FUSE filesystem on LevelDB, measured once on a machine
of the same kind, in thousands of operations per second (streams: MB/s), beside those of the
ext4 in the same run.
"""

import statistics

# phase, threads (None: any) -> least ratio to ext4, to the null filesystem
GOALS = {
    ("create", None): (0.6, 0.75),
    ("stat-cold", None): (0.35, 0.9),
    ("stat-warm", None): (None, 0.95),
    ("read-cold", None): (1.0, 0.7),
    ("read-warm", None): (0.3, 0.95),
    ("list-cold", None): (1.0, 0.7),
    ("overwrite", None): (1.3, 0.7),
    ("replace", None): (0.8, 0.7),
    ("rename", None): (0.8, 0.7),
    ("unlink", None): (0.7, 0.7),
    ("fsync", 1): (1.0, None),
    ("fsync", 4): (2.0, None),
    ("write-128k", None): (0.2, 0.7),
    ("write-4k", None): (0.15, 0.7),
    ("read-128k-cold", None): (0.7, 0.7),
    ("read-128k-warm", None): (0.5, 0.7),
    ("walk", None): (1.0, None),
}
AHEAD_OF_BINDFS = 2.0
AHEAD_OF_TABLEFS = 1.5

# TableFS, and ext4 beside it.  Its fsync does not sync: left out.
TABLEFS = {
    "create": (12.4, 25.8),
    "stat-cold": (37, 154),
    "read-cold": (11.2, 9.6),
    "list-cold": (33, 148),
    "overwrite": (9.9, 15.6),
    "replace": (6.2, 10.3),
    "rename": (13.3, 36.9),
    "unlink": (24.8, 38.3),
    "write-128k": (224, 2900),
    "write-4k": (192, 746),
    "read-128k-cold": (751, 1343),
    "read-128k-warm": (1500, 6550),
}
NO_TABLEFS = {"stat-warm", "list-warm", "read-warm"}


def goals_of(phase, threads):
    """Least ratios by system."""
    to_ext4, to_null = GOALS.get((phase, threads)) or GOALS.get((phase, None),
                                                                (None, None))
    goals = {"ext4": to_ext4, "null": to_null}
    if phase in TABLEFS or phase == "fsync":
        goals["bindfs"] = AHEAD_OF_BINDFS
    if phase in TABLEFS and threads == 1:
        goals["TableFS"] = AHEAD_OF_TABLEFS
    return {system: goal for system, goal in goals.items() if goal}


def ratio_of(row, system):
    """Measured; to TableFS by way of ext4."""
    if system != "TableFS":
        return row["ratio"].get(system)
    ours = row["ratio"].get("ext4")
    theirs, ext4 = TABLEFS[row["phase"]]
    return ours / (theirs / ext4) if ours else None


def show_goals(rows):
    """Each goal beside what was measured; `!` where it is missed."""
    columns = ("ext4", "null", "bindfs", "TableFS")
    lines = [f"{'ratio (goal)':16} t" + "".join(f"{c:>18}" for c in columns)]
    for row in rows:
        goals = goals_of(row["phase"], row["threads"])
        cells = []
        for column in columns:
            ratio, goal = None, goals.get(column)
            if goal:
                ratio = ratio_of(row, column)
            mark = "!" if ratio and ratio < goal else " "
            cells.append(f"{ratio:.2f} ({goal:g}){mark}" if ratio else "- ")
        if any(c != "- " for c in cells):
            lines.append(f"{row['phase']:16} {row['threads']}"
                         + "".join(f"{c:>18}" for c in cells))
    return "\n".join(lines)


def median_of(records, phase, key):
    values = [r[key] for r in records
              if r["phase"] == phase and key in r and r["system"] == "mnefs"]
    return statistics.median(values) if values else None


def rate_of(records, phase):
    rates = [r["ops"] / r["seconds"] for r in records
             if r["phase"] == phase and "ops" in r and r["system"] == "mnefs"]
    return statistics.median(rates) if rates else None


def growth_rows(records, sizes):
    """Sentence, value, goal, True when less is better."""
    rows = []

    def add(sentence, value, goal, less=False):
        if value is not None:
            rows.append((sentence, value, goal, less))

    def ratio(one, other, of=rate_of):
        a, b = of(records, one), of(records, other)
        return a / b if a and b else None

    add(f"create of {sizes.many:,}: last tenth / first tenth",
        ratio("create-last", "create-first"), 0.8)
    peak = max((r["kib"] for r in records if "kib" in r and r["system"] == "mnefs"),
               default=None)
    add("most memory of the daemon, MiB", peak and peak / 1024, 400, True)
    add("overwrite, first time after a checkpoint / without one",
        ratio("overwrite-ck1", "overwrite-ck0"), 0.75)
    add("overwrite, second time / without one",
        ratio("overwrite-ck1-again", "overwrite-ck0"), 0.95)
    few, lots = (median_of(records, f"activate-{k}", "seconds") for k in ("few", "lots"))
    add(f"mkdir of a checkpoint at {sizes.few:,} records, ms", few and few * 1e3, 5, True)
    add(f"mkdir of a checkpoint at {sizes.many:,} records, ms", lots and lots * 1e3, 5, True)
    add("the one / the other", lots / few if few and lots else None, 2, True)
    return rows


def show_growth(records, sizes):
    lines = []
    for sentence, value, goal, less in growth_rows(records, sizes):
        missed = value > goal if less else value < goal
        lines.append(f"{sentence:58} {value:8.2f}  ({'<' if less else '>='} {goal:g})"
                     + (" !" if missed else ""))
    return "\n".join(lines)
