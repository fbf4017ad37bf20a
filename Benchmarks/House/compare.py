#!/usr/bin/env python3
"""Compares two commits of ours: builds both for release, and runs them alone, rounds interleaved.

compare.py COMMIT COMMIT [--work WORK…] [--rounds 7] [--quick] [--driver epoll uring] [--limit 1.05]
A commit is what git knows by a name, or `.`: the files as they are now. Prints, for each work and driver, the second
one's cost as a ratio to the first one's. Ends with 1 if one of their medians is above the limit, or if a run failed.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import figures
import implementations
import machine
import rounds
from implementations import Implementation
from measure import Plan
from works import chosen

DRIVERS = ("epoll", "uring")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs=2, metavar="COMMIT")
    parser.add_argument("--work", nargs="+", default=["echo-64", "churn", "spawn", "switch", "queue"])
    parser.add_argument("--driver", nargs="+", choices=DRIVERS, default=DRIVERS)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--quick", action="store_true", help="short rounds")
    parser.add_argument("--limit", type=float, default=1.05, help="a ratio above it is a regression (1.05)")
    parser.add_argument("--out", type=Path, default=implementations.OUT)
    return parser.parse_args(arguments)


def commit_name(word):
    """What the folder of a build is called: the commit's own name, or `now`."""
    if word == ".":
        return "now"
    command = ["git", "-C", str(implementations.REPOSITORY), "rev-parse", "--verify", "--short", f"{word}^{{commit}}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"git knows no commit {word}")
    return done.stdout.strip()


def build(word, out):
    """The folder of a commit's executables. A commit that was built before is not built again."""
    name = commit_name(word)
    folder = out / "commits" / name
    if word == ".":
        implementations.build_ours(folder)
        return folder
    if all((folder / f"asyncio-{driver}").exists() for driver in DRIVERS):
        return folder
    with tempfile.TemporaryDirectory(prefix="asyncio-") as place:
        files = Path(place) / "files"
        git = ["git", "-C", str(implementations.REPOSITORY), "worktree"]
        subprocess.run([*git, "add", "--detach", "--quiet", str(files), name], check=True)
        try:
            implementations.build_ours(folder, files)
        finally:
            subprocess.run([*git, "remove", "--force", str(files)], check=True)
    return folder


def verdict(name, value, limit):
    """A line of the report, and whether it is a regression."""
    if value is None:
        return f"{name:28} not measured", True
    is_worse = value["median"] > limit
    spread = f"quartiles {value['q1']:.3f}–{value['q3']:.3f}"
    return f"{name:28} {value['median']:.3f}×  {spread}{'  above the limit' if is_worse else ''}", is_worse


def compare(folders, works, drivers, plan, limit, report=print):
    """Runs both folders' executables; how many regressions and failures there were."""
    bad = 0
    for work in works:
        for driver in drivers if work.kind != "size" else drivers[:1]:
            two = [
                Implementation(f"{label} {driver}", folder / f"asyncio-{driver}", True)
                for label, folder in zip(("before", "after"), folders)
            ]
            result = rounds.run(work, two, plan)
            before, after = result["rows"]
            broken = [row for row in (before, after) if row["status"] == "failed"]
            for row in broken:
                report(f"{work.name} {row['name']} failed: {row['reason']}")
            if broken:
                bad += 1
                continue
            # A commit that does not know a work yet is nothing to compare with.
            if "skipped" in (before["status"], after["status"]):
                report(f"{work.name} {driver}: skipped: {before.get('reason') or after.get('reason')}")
                continue
            line, is_worse = verdict(f"{work.name} {driver}", after["ratios"].get(before["name"]), limit)
            value = figures.shown(work.figure, after["figures"][work.figure]["median"])
            report(f"{line}  ({value})")
            bad += is_worse
    return bad


def main(arguments):
    options = parse(arguments)
    try:
        works = chosen(options.work)
        folders = [build(word, options.out.absolute()) for word in options.commits]
    except ValueError as error:
        print(f"compare.py: {error}", file=sys.stderr)
        return 2
    if not (options.out / "load").exists():
        implementations.build_tools(options.out.absolute())
    machine.allow_files()
    plan = Plan(
        load=options.out.absolute() / "load", cores=machine.cores(), is_quick=options.quick, rounds=options.rounds,
        seconds=options.seconds or (0.5 if options.quick else 3), warmup=0.2 if options.quick else 1)
    print(f"{options.commits[1]} as a ratio to {options.commits[0]}, {plan.rounds} rounds, limit {options.limit}")
    return 1 if compare(folders, works, options.driver, plan, options.limit) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
