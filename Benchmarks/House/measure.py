"""One measurement of one implementation: a dictionary of figures, each a number."""
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import implementations
import machine
from processes import Failed, Server, Skipped, ask, first_line, free_port, on_core, one_shot
from works import operations


@dataclass(frozen=True)
class Plan:
    """How measuring goes."""
    load: Path
    cores: machine.Cores
    seconds: float = 3
    warmup: float = 1
    is_quick: bool = False
    rounds: int = 7


def measure(work, implementation, plan):
    """Does the work once. Raises Skipped or Failed."""
    try:
        return _ways[work.kind](work, implementation, plan)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"is not done after {error.timeout:.0f} s") from None


def _serve(work, implementation, plan):
    with Backend(work, plan) as backend, Server(
        implementation.command(work.server, backend.port, *backend.target), plan.cores.server
    ) as server:
        timing = [] if "--count" in work.load else ["--seconds", plan.seconds, "--warmup", plan.warmup]
        told = ask(plan.load, work.kind, backend.port, [*work.load, *timing], plan.cores.load, server.load())
        return of_load(told, server.status("VmHWM"))


def of_load(told, peak):
    """The figures of the load generator's report."""
    count = told["exchanges"]
    if not count:
        raise Failed("answered nothing")
    latency = told["latency_ns"]
    return {
        "cpu_ns": told["server_cpu_ns"] / count,
        "per_second": told["per_second"],
        "p50_ns": latency["p50"], "p90_ns": latency["p90"], "p99_ns": latency["p99"], "p99.9_ns": latency["p99.9"],
        "max_ns": latency["max"],
        "peak_bytes": peak,
        "busy": told["server_cpu_ns"] / told["wall_ns"], "load_busy": told["load_cpu_ns"] / told["wall_ns"],
        "unfinished": told["unfinished"],
    }


class Backend:
    """The port that a server shall have, and for a proxy a sink behind it, on the load generator's core."""

    def __init__(self, work, plan):
        self.port = free_port()
        self.target = []
        self.sink = None
        if work.kind == "proxy":
            self.target = [free_port()]
            self.sink = Server([str(plan.load), "sink", str(self.target[0])], plan.cores.load)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.sink:
            self.sink.__exit__(*error)


def _task(work, implementation, plan):
    count = operations(work, implementation.name, plan.is_quick)
    cores = {plan.cores.server, plan.cores.load} if work.both_cores else {plan.cores.server}
    return of_task(one_shot(implementation.command(work.name, count), cores))


def of_task(told):
    count = told["operations"]
    figures = {
        "cpu_ns": told["cpu_ns"] / count, "wall_ns": told["wall_ns"] / count, "peak_bytes": told["peak_kib"] * 1024,
    }
    figures |= {name: told[name] for name in ("late_ns", "early", "bytes_each") if told.get(name) is not None}
    return figures


def _idle(work, implementation, plan):
    """What a server's memory grows by for each connection that has exchanged 64 bytes and is silent now.

    The kernel's memory for a socket is not in it. A hundred connections come and go first: what a server makes once,
    pools and the like, is not the connections'."""
    count = work.quick if plan.is_quick else work.count
    port = free_port()
    with Server(implementation.command("echo", port), plan.cores.server) as server:
        ask(plan.load, "churn", port, ["--count", 100, "--connections", 1], plan.cores.load)
        before = server.status("VmRSS")
        command = [str(plan.load), "idle", str(port), "--connections", str(count)]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=on_core(plan.cores.load),
        ) as load:
            said = load.stdout.readline()
            after = server.status("VmRSS")
            _, complaint = load.communicate()
        if '"ready"' not in said or load.returncode:
            raise Failed(f"load: {first_line(complaint)}")
        return {"bytes_each": (after - before) / count, "before_bytes": before, "after_bytes": after}


def _start(work, implementation, plan):
    """Thirty starts over all rounds: from the spawn to the end, as the one who starts it sees it."""
    command = implementation.command("start")
    _probe(command, plan)
    runs = 1 if plan.is_quick else max(1, round(30 / plan.rounds))
    walls, processors = [], []
    quiet = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_RDWR, 0) for number in (0, 1, 2)]
    before = os.sched_getaffinity(0)
    # A spawned process inherits the cores; forking an interpreter as large as this one would be part of the time.
    os.sched_setaffinity(0, {plan.cores.server})
    try:
        for _ in range(runs):
            begin = time.perf_counter_ns()
            pid = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
            _, _, usage = os.wait4(pid, 0)
            walls.append(time.perf_counter_ns() - begin)
            processors.append((usage.ru_utime + usage.ru_stime) * 1e9)
    finally:
        os.sched_setaffinity(0, before)
    return {"start_ns": statistics.median(walls), "start_cpu_ns": statistics.mean(processors)}


def _probe(command, plan):
    """One start that is not measured: its files are read by then, and it may say that it cannot."""
    done = subprocess.run(
        command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60,
        preexec_fn=on_core(plan.cores.server))
    if done.returncode:
        raise (Skipped if done.returncode == 3 else Failed)(first_line(done.stderr))


# What every program on the machine shares anyway.
LIBC = ("libc.so", "libm.so", "libpthread.so", "libdl.so", "librt.so", "libresolv.so", "ld-linux", "libutil.so")


def _size(work, implementation, plan):
    """The sizes of the files that a running server executes: wrappers and interpreters do not matter then."""
    port = free_port()
    with Server(implementation.command("echo", port), plan.cores.server) as server:
        files = set().union(*(executed(pid) for pid in server.pids()))
        programs = {os.path.realpath(f"/proc/{pid}/exe") for pid in server.pids()}
        libraries = {path for path in files - programs if not os.path.basename(path).startswith(LIBC)}
        total = sum(map(shipped_size, programs))
        shared = sum(map(shipped_size, libraries))
        return {"binary_bytes": total + shared, "program_bytes": total, "libraries": len(libraries)}


def shipped_size(path):
    """A file's size without information for debuggers."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "stripped"
        implementations.strip(path, copy)
        return copy.stat().st_size


def executed(pid):
    """The files of which a process has mapped code."""
    files = set()
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and "x" in fields[1] and os.path.isfile(fields[5]):
            files.add(fields[5])
    return files


_ways = {
    "echo": _serve, "churn": _serve, "storm": _serve, "proxy": _serve, "udp": _serve,
    "task": _task, "idle": _idle, "start": _start, "size": _size,
}
