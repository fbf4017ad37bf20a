"""The machine that measures: its processors, its kernel, and what makes its figures doubtful."""
import datetime
import os
import platform
import resource
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cores:
    server: int
    load: int

    @property
    def are_two(self):
        return self.server != self.load


def cores():
    """One core for the server, another for the load generator; the same one if there is no other."""
    available = sorted(os.sched_getaffinity(0))
    return Cores(available[0], available[1] if len(available) > 1 else available[0])


def allow_files():
    """As many descriptors as we may have, for us and all that we start."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def describe():
    used = cores()
    notes = []
    if not used.are_two:
        notes.append("one core for server and load generator: latencies and throughput contain both")
    return {
        "cpu": _processor(),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "system": _system(),
        "congestion_control": _read("/proc/sys/net/ipv4/tcp_congestion_control"),
        "server_core": used.server,
        "load_core": used.load,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "notes": notes,
    }


def _read(path):
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _processor():
    for line in _read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _system():
    for line in _read("/etc/os-release").splitlines():
        if line.startswith("PRETTY_NAME="):
            return line.partition("=")[2].strip('"')
    return ""
