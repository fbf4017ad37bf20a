#!/usr/bin/env python3
"""The benchmark house: ours, the peers, and the limit at the same work in the same run. See README.md beside it.

bench.py list                                  works, and who is built
bench.py build [NAME…]                         the load generator, the peers (or those named), and ours
bench.py run [WORK…] [--only NAME…] [--rounds 7] [--quick] [--counts] [--json FILE]
Works are named, or a whole group is, or a pattern ('echo*') is; without one, all are done.
"""
import argparse
import json
import sys
from pathlib import Path

import counts
import implementations
import machine
import rounds
import table
from measure import Plan
from works import FIGURES, GROUPS, WORKS, chosen

METHOD = (
    "One thread each, pinned to a core, the load generator to another; rounds interleaved, in an order drawn anew in "
    "each. Ratios are taken within a round; told are their median and quartiles."
)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=implementations.OUT, help="the folder of what is built")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    build = commands.add_parser("build")
    build.add_argument("names", nargs="*", help="folders of Benchmarks/Peers, ours, load")
    run = commands.add_parser("run")
    run.add_argument("works", nargs="*", metavar="WORK")
    run.add_argument("--only", nargs="+", default=[], metavar="NAME", help="only these implementations")
    run.add_argument("--rounds", type=int)
    run.add_argument("--seconds", type=float, help="of a measurement with the load generator")
    run.add_argument("--warmup", type=float)
    run.add_argument("--quick", action="store_true", help="three short rounds: to see that all works, not to quote")
    run.add_argument("--counts", action="store_true", help="also instructions, allocations, system calls")
    run.add_argument("--json", type=Path, metavar="FILE")
    return parser.parse_args(arguments)


def listing(out):
    built = implementations.find(out)
    for group, title in GROUPS.items():
        print(f"{group}: {title}")
        for work in WORKS:
            if work.group == group:
                print(f"  {work.name:15} {work.title}; compared by {FIGURES[work.figure]}")
    print(f"built in {out}: {', '.join(one.name for one in built) or 'nothing, see bench.py build'}")
    for name, reason in implementations.skipped_peers(out).items():
        print(f"skipped: {name} ({reason})")
    return 0


def build(out, names):
    out = out.absolute()
    if not names or "load" in names:
        implementations.build_tools(out)
    peers = [name for name in names if name not in ("load", "ours")]
    skipped = implementations.skipped_peers(out) if names else {}
    if peers or not names:
        for name in peers:
            skipped.pop(name, None)
        skipped |= implementations.build_peers(out, peers)
        implementations.remember_skipped(out, skipped)
    if not names or "ours" in names:
        implementations.build_ours(out)
    return listing(out)


def plan(options, out):
    quick = options.quick
    return Plan(
        load=out / "load", cores=machine.cores(), is_quick=quick,
        seconds=options.seconds or (0.5 if quick else 3),
        warmup=options.warmup if options.warmup is not None else (0.2 if quick else 1),
        rounds=options.rounds or (3 if quick else 7))


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def run(options, out):
    works = chosen(options.works)
    taking_part = implementations.find(out, options.only)
    if not taking_part:
        raise ValueError(f"nothing is built in {out}: see bench.py build")
    if not (out / "load").exists():
        implementations.build_tools(out)
    machine.allow_files()
    how = plan(options, out)
    document = {
        "machine": machine.describe(),
        "method": METHOD,
        "plan": {"rounds": how.rounds, "seconds": how.seconds, "warmup": how.warmup, "quick": how.is_quick},
        "counted": counts.methods() if options.counts else {},
        "versions": {one.name: implementations.version(one) for one in taking_part},
        "not_built": implementations.skipped_peers(out),
        "works": [],
    }
    for note in document["machine"]["notes"]:
        print(f"note: {note}")
    for work in works:
        result = rounds.run(work, taking_part, how, report=progress, counts=counts.count if options.counts else None)
        progress("")
        document["works"].append(result)
        print(table.table(result), "\n", flush=True)
        # Written after each work: a long run that is broken off is not lost.
        if options.json:
            options.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    rows = [row for work in document["works"] for row in work["rows"]]
    # What others do by design, like timers that fire early, is told and is no failure of ours.
    return 1 if any(row["status"] == "failed" or (row["ours"] and row.get("warning")) for row in rows) else 0


def main(arguments):
    options = parse(arguments)
    try:
        if options.command == "list":
            return listing(options.out)
        if options.command == "build":
            return build(options.out, options.names)
        return run(options, options.out)
    except ValueError as error:
        print(f"bench.py: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
