#!/usr/bin/env python3
"""Where the instructions of an operation of ours go, function by function.

profile.py PROGRAM WORK [--driver epoll] [--top 40] [--with PATTERN]
PROGRAM is the command `asyncio`, built for release. Two runs under Valgrind's callgrind differ in the number of
operations alone: what comes once drops out, as in counts.py. A function's instructions are its own, without those that
it calls. With --with, those whose names match the regular expression are told with their callers.
"""
import argparse
import collections
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import counts
import implementations
import machine
from measure import Backend, Plan
from processes import Server, ask, one_shot
from works import chosen, operations


def costs(text):
    """Of what callgrind wrote: instructions by function, and (caller, function) → (calls, instructions within)."""
    names, own, calls = {}, collections.Counter(), {}

    def name(word):
        number, _, text = word.partition(" ")
        if text:
            names[number] = text
        return names.get(number, word)

    function = callee = None
    is_call = False
    for line in text.splitlines():
        if line.startswith("fn="):
            function = name(line[3:])
        elif line.startswith("cfn="):
            callee = name(line[4:])
        elif line.startswith("calls="):
            times, is_call = int(line[6:].split()[0]), True
        elif line[:1].isdigit() or line[:1] in "+-*":
            fields = line.split()
            amount = int(fields[1]) if len(fields) > 1 else 0
            if not is_call:
                own[function] += amount
                continue
            seen = calls.get((function, callee), (0, 0))
            calls[function, callee] = (seen[0] + times, seen[1] + amount)
            is_call = False
    return own, calls


def run(work, command, plan, number):
    """What callgrind wrote of so many operations."""
    with tempfile.TemporaryDirectory() as folder:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out.%p", "--log-file=/dev/null"]
        if work.kind == "task":
            one_shot([*valgrind, *command(work.name, number)], {plan.cores.server}, patience=300)
        else:
            with Backend(work, plan) as backend:
                words = [*valgrind, *command(work.server, backend.port, *backend.target)]
                with Server(words, plan.cores.server, patience=60) as server:
                    options = [*counts._with_count(work.load, number), "--patience", 60]
                    ask(plan.load, work.kind, backend.port, options, plan.cores.load)
                    server.stop_by_traffic(backend.port)
        return "\n".join(file.read_text(errors="replace") for file in Path(folder).iterdir())


def demangled(names):
    done = subprocess.run(
        ["swift", "demangle", "--simplified"], input="\n".join(names), capture_output=True, text=True)
    found = done.stdout.splitlines()
    return found if len(found) == len(names) else names


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("work", type=lambda name: chosen([name])[0])
    parser.add_argument("--driver", default="epoll")
    parser.add_argument("--top", type=int, default=40)
    parser.add_argument("--with", dest="pattern", type=re.compile)
    parser.add_argument("--out", type=Path, default=implementations.OUT / "budgets")
    options = parser.parse_args(arguments)
    out, work = options.out.absolute(), options.work
    implementations.build_tools(out)
    machine.allow_files()
    plan = Plan(load=out / "load", cores=machine.cores())
    numbers = counts.FEW
    if work.kind == "task":
        base = operations(work, "asyncio-epoll", is_quick=True)
        numbers = (base, 3 * base)
    if work.kind == "storm":
        numbers = (500, 2_000)
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "asyncio"
        implementations.strip(options.program, program)

        def command(name, *words):
            if work.kind == "task":
                return [program, "bench", name, *map(str, words), "--raw", "--driver", options.driver]
            return [program, "bench", "serve", name, *map(str, words), "--driver", options.driver]

        (few, few_calls), (many, many_calls) = (costs(run(work, command, plan, number)) for number in numbers)
    more = numbers[1] - numbers[0]
    rows = sorted(((many[name] - few[name]) / more, name) for name in many if name)[::-1]
    shown = rows[:options.top]
    readable = dict(zip((name for _, name in shown), demangled([name for _, name in shown])))
    print(f"{sum(cost for cost, _ in rows):10,.1f}  {work.name} over {options.driver}, instructions per operation")
    for cost, name in shown:
        print(f"{cost:10,.1f}  {readable[name][:200]}")
    if options.pattern:
        found = []
        for (caller, callee), value in many_calls.items():
            times, within = ((now - then) / more for now, then in zip(value, few_calls.get((caller, callee), (0, 0))))
            if times > 0.005 and options.pattern.search(callee):
                found.append((caller, callee, times, within))
        words = iter(demangled([name for row in found for name in row[:2]]))
        print("\n     calls      within  caller → function")
        for (caller, callee, times, within) in sorted(
                ((next(words), next(words), *row[2:]) for row in found), key=lambda row: -row[2]):
            print(f"{times:10,.2f}  {within:10,.1f}  {caller[:150]} → {callee[:100]}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
