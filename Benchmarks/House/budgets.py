#!/usr/bin/env python3
"""Counts what an operation of ours costs, and fails where that is above its budget: never a time, so never the machine.

budgets.py PROGRAM [--out FOLDER]
PROGRAM is the command `asyncio`, built for release; the folder gets the load generator and the counters. What this machine
cannot count (see counts.py) is named, and left out. A budget is what was counted when it was written, and a little more:
whoever makes something cheaper lowers it.
"""
import argparse
import sys
from pathlib import Path

import counts
import implementations
import machine
from measure import Plan
from works import chosen

# Instructions differ a little between compilers; the other two do not.
BUDGETS = {
    "echo-64": {
        "epoll": {"instructions": 2_500, "allocations": 0.02, "system_calls": 2.1},
        "uring": {"instructions": 2_850, "allocations": 0.02, "system_calls": 1.15},
    },
    "switch": {"instructions": 1_450, "allocations": 0.01, "system_calls": 0.05},
    "queue": {"instructions": 420, "allocations": 0.01, "system_calls": 0.02},
    "hand-over": {"instructions": 6_700, "allocations": 0.01, "system_calls": 0.05},
    "lock": {"instructions": 235, "allocations": 0.05, "system_calls": 0.01},
}


def budget(work, driver):
    found = BUDGETS[work]
    return found.get(driver, found)


def verdicts(found, allowed):
    """A line for each count, and whether all are within their budgets."""
    lines, is_kept = [], True
    for name, limit in allowed.items():
        if name not in found:
            lines.append(f"{name.replace('_', ' ')}: not counted here")
            continue
        is_within = found[name] <= limit
        is_kept = is_kept and is_within
        lines.append(f"{name.replace('_', ' ')}: {found[name]:,.2f} of {limit:,}{'' if is_within else '  ABOVE'}")
    return lines, is_kept


def least(first, second):
    """The smaller of two counts of the same: chance only adds to one, like a wait that finds less to do."""
    return {name: min(found[name] for found in (first, second) if name in found) for name in {**first, **second}}


def counted(work, implementation, plan, allowed, tries=3):
    """The lines and whether all is kept, after the first count that is within the budget, or the last."""
    found = {}
    for _ in range(tries):
        found = least(found, counts.count(work, implementation, plan))
        lines, is_kept = verdicts(found, allowed)
        if is_kept:
            break
    return lines, is_kept


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--out", type=Path, default=implementations.OUT / "budgets")
    options = parser.parse_args(arguments)
    out = options.out.absolute()
    implementations.build_tools(out)
    program = out / "programs" / "asyncio"
    program.parent.mkdir(exist_ok=True)
    implementations.strip(options.program, program)
    machine.allow_files()
    plan = Plan(load=out / "load", cores=machine.cores())
    is_kept = True
    for driver in ("epoll", "uring"):
        path = out / f"asyncio-{driver}"
        implementations.wrap(path, program, driver)
        ours = implementations.Implementation(path.name, path, is_ours=True)
        for work in chosen(list(BUDGETS)):
            lines, is_within = counted(work, ours, plan, budget(work.name, driver))
            is_kept = is_kept and is_within
            print(f"{work.name} over {driver}: {'; '.join(lines)}", flush=True)
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
