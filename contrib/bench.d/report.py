# SPDX-License-Identifier: Apache-2.0
"""From single measurements to medians, ratios, a table and a picture."""

import collections
import datetime
import os
import platform
import statistics

from goals import goals_of
from suite import GROUPS, STREAM_PHASES

# Phases of one call each: milliseconds, not rates.
ONE_CALL = {"activate-few", "drop-few", "activate-lots", "drop-lots"}


def machine():
    """Where and when: numbers mean nothing without it."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        names = [line.split(":", 1)[1].strip() for line in f
                 if line.startswith("model name")]
    if names:
        model = names[0]
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "memory_mib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20,
        "kernel": platform.release(),
        "host_load": [round(x, 2) for x in os.getloadavg()],
        "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
    }


def rates_by_rep(records):
    """(phase, threads) -> system -> rep -> operations per second."""
    rates = collections.defaultdict(lambda: collections.defaultdict(dict))
    for r in records:
        if "ops" in r and r["seconds"] > 0 and r["phase"] not in ONE_CALL:
            by_rep = rates[r["phase"], r["threads"]][r["system"]]
            by_rep[r["rep"]] = r["ops"] / r["seconds"]
    return rates


def cpu_per_op(records):
    """(phase, threads, system) -> median CPU microseconds of the daemon."""
    found = collections.defaultdict(list)
    for r in records:
        if r.get("daemon_cpu_seconds"):
            found[r["phase"], r["threads"], r["system"]].append(
                r["daemon_cpu_seconds"] * 1e6 / r["ops"])
    return {key: statistics.median(values) for key, values in found.items()}


def spread(values):
    """Half of what lies between the least and the most, as a part of the median."""
    values = list(values)
    return (max(values) - min(values)) / 2 / statistics.median(values)


def ratios(mine, other):
    """Of the same repetitions: neighbours in time."""
    return [mine[rep] / other[rep] for rep in mine if rep in other]


def subject_of(systems):
    """Who is compared with the others."""
    return "mnefs" if "mnefs" in systems else systems[-1]


def summarise(records, systems):
    """One row for each phase and number of threads, in the order of the groups."""
    rates, cpu = rates_by_rep(records), cpu_per_op(records)
    subject = subject_of(systems)
    order = [name for group in GROUPS.values() for name in group]
    rows = []
    for phase, threads in sorted(rates, key=lambda k: (order.index(k[0]), k[1])):
        by_system = rates[phase, threads]
        mine = by_system.get(subject, {})
        row = {"phase": phase, "threads": threads, "subject": subject, "rate": {},
               "spread": {}, "ratio": {}, "ratio_spread": {}, "cpu_us": {}}
        for system in by_system:
            values = by_system[system].values()
            row["rate"][system] = statistics.median(values)
            row["spread"][system] = spread(values)
            if (phase, threads, system) in cpu:
                row["cpu_us"][system] = cpu[phase, threads, system]
            pairs = ratios(mine, by_system[system])
            if system != subject and pairs:
                row["ratio"][system] = statistics.median(pairs)
                row["ratio_spread"][system] = spread(pairs)
        rows.append(row)
    return rows


def show_number(value):
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def show_spread(value):
    return "-" if value is None else f"{value * 100:.0f}%"


def show_ratio(row, system):
    if system not in row["ratio"]:
        return "-"
    return f"{row['ratio'][system]:.2f} ±{show_spread(row['ratio_spread'][system])}"


def show_table(rows, systems):
    """Medians of operations per second (streams: MiB/s), then the ratios."""
    subject = subject_of(systems)
    others = [s for s in systems if s != subject]
    head = (["phase", "t"] + list(systems) + ["±", "µs cpu"]
            + [f"{subject}/{s}" for s in others])
    lines = [head]
    for row in rows:
        name = row["phase"] + (" MiB" if row["phase"] in STREAM_PHASES else "")
        lines.append(
            [name, str(row["threads"])]
            + [show_number(row["rate"].get(s)) for s in systems]
            + [show_spread(row["spread"].get(subject)),
               show_number(row["cpu_us"].get(subject))]
            + [show_ratio(row, s) for s in others])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join("  ".join(
        [line[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(line[1:], widths[1:])])
        for line in lines)


def plot(path, rows, about):
    """The ratios as bars, goals as marks; raises ImportError where matplotlib is missing."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [row for row in rows if row["ratio"]][::-1]
    systems = [s for s in ("ext4", "null", "null-best", "bindfs")
               if any(s in row["ratio"] for row in rows)]
    figure, all_axes = pyplot.subplots(
        1, len(systems), sharey=True, squeeze=False,
        figsize=(2.5 + 3 * len(systems), 1.5 + 0.2 * len(rows)))
    for axes, system in zip(all_axes[0], systems):
        plot_one(axes, rows, system)
    all_axes[0][0].set_yticks(range(len(rows)))
    all_axes[0][0].set_yticklabels([f"{r['phase']}, {r['threads']} thr." for r in rows])
    figure.suptitle(f"mnefs / others, operations per second; | goal. {about['cores']} cores,"
                    f" Linux {about['kernel']}, {about['date'][:10]}", fontsize="medium")
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def plot_one(axes, rows, system):
    values = [row["ratio"].get(system, 0) for row in rows]
    errors = [v * row["ratio_spread"].get(system, 0) for v, row in zip(values, rows)]
    axes.barh(range(len(rows)), values, 0.7, xerr=errors, color="tab:blue",
              error_kw={"ecolor": "gray", "elinewidth": 1})
    for n, row in enumerate(rows):
        goal = goals_of(row["phase"], row["threads"]).get(system)
        if goal:
            axes.plot([goal, goal], [n - 0.45, n + 0.45], color="tab:red", linewidth=2)
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel(f"mnefs / {system}")
