"""What can be counted rather than timed: instructions, allocations, system calls per operation.

Each is the difference of two runs that differ in the number of operations alone, divided by the difference: what comes
once, like start-up or connections, drops out. Counts hardly differ from run to run, however busy the machine is.
What the machine cannot count is left out.
"""
import contextlib
import functools
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from figures import per_operation
from implementations import strip
from measure import Backend
from processes import Failed, Server, Skipped, ask, first_line, on_core, one_shot
from works import operations

# Valgrind makes a program some fifty times slower.
FEW, MANY = (1_000, 6_000), (10_000, 60_000)


def count(work, implementation, plan):
    """A dictionary with those of instructions, allocations and system_calls that can be counted here."""
    if work.kind in ("idle", "start", "size") or "--rate" in work.load:
        return {}
    found = {}
    for name, way in (("instructions", _instructions), ("allocations", _allocations), ("system_calls", _system_calls)):
        try:
            value = way(work, implementation, plan)
        except (Failed, Skipped, subprocess.SubprocessError, OSError) as error:
            print(f"{work.name}: {implementation.name}: no {name}: {error}", file=sys.stderr)
            continue
        if value is not None:
            found[name] = value
    return found


def methods():
    """How this machine counts, for the caption."""
    valgrind = "valgrind (cachegrind)" if _has("valgrind") else None
    return {
        "instructions": "perf" if has_event("instructions:u") else valgrind,
        "allocations": "a preloaded malloc; what runtimes take from the kernel themselves is not seen",
        "system_calls": "perf" if has_event(SYSTEM_CALLS) else "strace" if _has("strace") else None,
    }


SYSTEM_CALLS = "raw_syscalls:sys_enter"


@functools.cache
def _has(program):
    return shutil.which(program) is not None


@functools.cache
def has_event(event):
    """Whether perf can count it: virtual machines often have no counters."""
    if not _has("perf"):
        return False
    done = subprocess.run(["perf", "stat", "-x,", "-e", event, "true"], capture_output=True, text=True)
    return done.returncode == 0 and event_total(done.stderr) is not None


def event_total(text):
    """The count in what `perf stat -x,` printed; None if it could not count."""
    for line in text.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[0].isdigit():
            return int(fields[0])
    return None


def strace_total(text):
    """All calls of a table that `strace -c` printed."""
    total = 0
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 5 and re.fullmatch(r"[\d.]+", fields[0]) and fields[-1] != "total":
            total += int(fields[3])
    return total


def valgrind_total(text):
    """The instructions of all processes in cachegrind's logs; None if there are none."""
    found = re.findall(r"I\s+refs:\s+([\d,]+)", text)
    return sum(int(number.replace(",", "")) for number in found) if found else None


def _with_count(options, number):
    """The load generator's options, with this number of exchanges."""
    options = list(map(str, options))
    if "--count" in options:
        place = options.index("--count")
        del options[place:place + 2]
    return [*options, "--count", number]


def _pair(work, implementation, plan, numbers, total):
    """The cost per operation, by a function that does so many operations and returns a total."""
    if work.kind == "task":
        base = operations(work, implementation.name, is_quick=True)
        numbers = (base, 3 * base)
    if work.kind == "storm":
        # All stay open: as many as there may be descriptors.
        numbers = (1_000, 6_000)
    small, large = ((number, total(number)) for number in numbers)
    if small[1] is None or large[1] is None:
        return None
    return per_operation(small, large)


# MARK: Instructions

def _instructions(work, implementation, plan):
    if has_event("instructions:u"):
        return _by_event("instructions:u", work, implementation, plan)
    if not _has("valgrind"):
        return None

    def total(number):
        with tempfile.TemporaryDirectory() as folder, readable(implementation) as program:
            valgrind = [
                "valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null",
                "--trace-children=yes", "--trace-children-skip=/bin/true,/usr/bin/true", f"--log-file={folder}/%p",
            ]
            if work.kind == "task":
                one_shot([*valgrind, *program.command(work.name, number)], {plan.cores.server}, patience=120)
            else:
                with Backend(work, plan) as backend:
                    command = [*valgrind, *program.command(work.server, backend.port, *backend.target)]
                    with Server(command, plan.cores.server, patience=60) as server:
                        options = [*_with_count(work.load, number), "--patience", 30]
                        ask(plan.load, work.kind, backend.port, options, plan.cores.load)
                        server.stop_by_traffic(backend.port)
            return valgrind_total("\n".join(log.read_text(errors="replace") for log in Path(folder).iterdir()))

    return _pair(work, implementation, plan, FEW, total)


@contextlib.contextmanager
def readable(implementation):
    """The implementation without information for debuggers, which Valgrind refuses to run with if it cannot read it."""
    with open(implementation.path, "rb") as file:
        is_script = file.read(2) == b"#!"
    if is_script:
        yield implementation
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / implementation.name
        strip(implementation.path, copy)
        yield replace(implementation, path=copy)


# MARK: Allocations

def _allocations(work, implementation, plan):
    library = Path(plan.load).with_name("malloc_count.so")
    if not library.exists() or implementation.name.startswith(("go", "node")):
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "counts"
        # Python has an allocator of its own for small objects, which here hands all of them on.
        environment = {"LD_PRELOAD": str(library), "MALLOC_COUNT_FILE": str(file), "PYTHONMALLOC": "malloc"}

        def calls():
            return struct.unpack("QQ", file.read_bytes())[0] if file.exists() else 0

        if work.kind == "task":
            def total(number):
                file.unlink(missing_ok=True)
                one_shot(implementation.command(work.name, number), {plan.cores.server}, environment, patience=120)
                return calls()

            return _pair(work, implementation, plan, MANY, total)
        with Backend(work, plan) as backend, Server(
            implementation.command(work.server, backend.port, *backend.target), plan.cores.server, environment
        ):
            def total(number):
                before = calls()
                ask(plan.load, work.kind, backend.port, _with_count(work.load, number), plan.cores.load)
                return calls() - before

            total(MANY[0])
            return _pair(work, implementation, plan, MANY, total)


# MARK: System calls

def _system_calls(work, implementation, plan):
    if has_event(SYSTEM_CALLS):
        return _by_event(SYSTEM_CALLS, work, implementation, plan)
    return _by_strace(work, implementation, plan) if _has("strace") else None


def _by_tool(work, implementation, plan, numbers, tool, read, watch):
    """By a program that starts a work's process itself, and else watches a server's; `read` finds the total in its file."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "counts"
        if work.kind == "task":
            def total(number):
                command = [*tool, "-o", str(file), *implementation.command(work.name, number)]
                one_shot(command, {plan.cores.server}, patience=120)
                return read(file.read_text())

            return _pair(work, implementation, plan, numbers, total)
        with Backend(work, plan) as backend, Server(
            implementation.command(work.server, backend.port, *backend.target), plan.cores.server
        ) as server:
            def total(number):
                watch(server, backend.port, _with_count(work.load, number), file)
                return read(file.read_text())

            return _pair(work, implementation, plan, numbers, total)


def _by_event(event, work, implementation, plan):
    tool = ["perf", "stat", "-x,", "-e", event]

    def watch(server, port, options, file):
        # perf counts of these processes while the load generator, which it starts, runs.
        command = [*tool, "-o", str(file), "-p", ",".join(map(str, server.pids())), "--"]
        command += map(str, [plan.load, work.kind, port, *options])
        done = subprocess.run(command, capture_output=True, timeout=120, preexec_fn=on_core(plan.cores.load))
        if done.returncode:
            raise Failed(first_line(done.stderr.decode(errors="replace")))

    return _by_tool(work, implementation, plan, MANY, tool, event_total, watch)


def _by_strace(work, implementation, plan):
    def watch(server, port, options, file):
        with Attached(server.pids(), file):
            ask(plan.load, work.kind, port, options, plan.cores.load)

    return _by_tool(work, implementation, plan, FEW, ["strace", "-f", "-c"], strace_total, watch)


class Attached:
    """strace, attached to processes; a context manager, at whose end it writes its table."""

    def __init__(self, pids, file):
        command = ["strace", "-f", "-c", "-o", str(file), *(word for pid in pids for word in ("-p", str(pid)))]
        self.strace = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        # It says so for each process: from then on, it counts.
        for _ in pids:
            if "attached" not in (line := self.strace.stderr.readline()):
                self.strace.kill()
                self.strace.wait()
                raise Failed(f"strace: {line.strip()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.strace.send_signal(signal.SIGINT)
        self.strace.communicate()
