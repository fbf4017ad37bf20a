"""The works that are compared: what is asked of a server, or how often a task is done, and what figure decides."""
import fnmatch
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    name: str
    title: str
    group: str  # one plot each
    kind: str  # echo, churn, storm, proxy, udp: with the load generator; task: prints JSON; idle, start, size
    load: tuple = ()  # options of the load generator
    count: int = 0  # operations of a task, connections of an idle server
    quick: int = 0  # the same with --quick
    figure: str = "cpu_ns"  # what is compared: less is better
    both_cores: bool = False
    scales: bool = True  # a task whose figure does not depend on the count, so that slow ones may do less

    @property
    def is_served(self):
        return self.kind in SERVED

    @property
    def server(self):
        """What the server is told to be."""
        return self.kind if self.kind in ("proxy", "udp") else "echo"


SERVED = ("echo", "churn", "storm", "proxy", "udp")

FIGURES = {
    "cpu_ns": "CPU time per operation",
    "wall_ns": "time per operation",
    "p99_ns": "99th percentile of the latency",
    "late_ns": "lateness of the last timer",
    "bytes_each": "bytes each",
    "start_ns": "time to start and end",
    "binary_bytes": "bytes of the program and its libraries other than libc",
}


def _echo(name, title, *load, group="echo", figure="cpu_ns"):
    return Work(name, title, group, "echo", tuple(load), figure=figure)


def _task(name, title, count, quick, **more):
    return Work(name, title, more.pop("group", "tasks"), "task", (), count, quick, **more)


WORKS = [
    _echo("echo-1", "Echo, 1 connection × 64 B", "--connections", "1"),
    _echo("echo-64", "Echo, 64 connections × 64 B", "--connections", "64"),
    _echo("echo-1000", "Echo, 1,000 connections × 64 B", "--connections", "1000"),
    _echo("echo-10000", "Echo, 10,000 connections × 64 B", "--connections", "10000"),
    _echo("echo-4k", "Echo, 64 connections × 4 KiB", "--payload", "4096"),
    _echo("echo-16k", "Echo, 64 connections × 16 KiB", "--payload", "16384"),
    _echo("echo-64k", "Echo, 64 connections × 64 KiB", "--payload", "65536"),
    _echo("echo-pipelined", "Echo, 64 connections × 64 B, 16 under way on each", "--pipeline", "16"),
    _echo("echo-open", "Latency of echo at 20,000 exchanges a second, open loop", "--rate", "20000", figure="p99_ns"),
    Work("churn", "A connection for each exchange of 64 B", "connections", "churn"),
    Work("storm", "10,000 connections at once, a byte on each", "connections", "storm", ("--count", "10000", "--keep")),
    Work("proxy-64", "Proxy, 64 connections × 64 B", "connections", "proxy"),
    Work("proxy-16k", "Proxy, 64 connections × 16 KiB", "connections", "proxy", ("--payload", "16384")),
    Work("udp-1", "UDP, one datagram of 64 B there and back", "connections", "udp", ("--connections", "1")),
    Work("udp-64", "UDP, 64 datagrams of 64 B under way", "connections", "udp",
         ("--connections", "8", "--pipeline", "8")),
    _task("call", "A call of an async function", 10_000_000, 100_000),
    _task("spawn", "A child task that ends at once", 1_000_000, 20_000),
    _task("group", "Groups of ten children, per child", 1_000_000, 20_000),
    _task("async-let", "One child, awaited at once", 1_000_000, 20_000),
    _task("switch", "A switch between two tasks", 2_000_000, 20_000),
    _task("queue", "An item through a queue of 64", 2_000_000, 20_000),
    _task("hand-over", "An item there and back through queues of one", 500_000, 10_000),
    _task("lock", "An async lock that nobody else wants", 5_000_000, 50_000),
    _task("cross", "An item to another loop's thread and back", 200_000, 5_000, figure="wall_ns", both_cores=True),
    _task("sleepers", "Tasks that sleep 3 s at once", 1_000_000, 10_000, group="time", scales=False),
    _task("timers", "A timer inserted and cancelled", 1_000_000, 20_000, group="time", scales=False),
    _task("timers-fire", "A million timers spread over a second", 1_000_000, 10_000, group="time", scales=False,
          figure="late_ns"),
    _task("files", "A read of 4 KiB from a cached file", 200_000, 5_000, group="system"),
    _task("children", "/bin/true started and waited for", 1_000, 50, group="system", figure="wall_ns"),
    _task("parked", "Memory of a parked task", 100_000, 10_000, group="memory", scales=False, figure="bytes_each"),
    Work("idle", "Memory of an idle connection", "memory", "idle", (), 10_000, 500, figure="bytes_each"),
    Work("start", "Start-up, one task, and end", "program", "start", figure="start_ns"),
    Work("size", "Size of the program with its libraries", "program", "size", figure="binary_bytes"),
]

GROUPS = {
    "echo": "Echo", "connections": "Connections, proxies, datagrams", "tasks": "Tasks", "time": "Timers",
    "system": "Files and child processes", "memory": "Memory", "program": "Start-up and size",
}

SLOW = ("python",)


def operations(work, name, is_quick):
    """How often an implementation does a task. Interpreters do less of what costs the same each time."""
    count = work.quick if is_quick else work.count
    return max(count // 10, 100) if work.scales and name.startswith(SLOW) else count


def chosen(patterns):
    """Works by name, group or pattern, in their order; ValueError for what is none of them."""
    for pattern in patterns:
        if not any(_matches(work, pattern) for work in WORKS):
            raise ValueError(f"there is no work or group {pattern}")
    return [work for work in WORKS if not patterns or any(_matches(work, pattern) for pattern in patterns)]


def _matches(work, pattern):
    return fnmatch.fnmatchcase(work.name, pattern) or work.group == pattern
