"""The list of scenarios, and what must hold after every fault."""

from server import Server, expect, served, tried, until

SCENARIOS = {}
NEEDS_STRACE = set()
DRIVERS = {}


def scenario(strace=True, drivers=("epoll", "io_uring")):
    def register(function):
        name = function.__name__.replace("_", "-")
        SCENARIOS[name] = function
        DRIVERS[name] = drivers
        if strace:
            NEEDS_STRACE.add(name)
        return function

    return register


def check(probe, inject, clients=12, lost=0, reports=0, cpu=1.0, mode=()):
    """A server with this fault serves its clients but for those that are lost, and is as before afterwards."""
    what = " ".join(inject)
    with Server(probe, inject=inject, arguments=mode) as server:
        base = server.descriptors()
        before = server.cpu()
        results = [tried(server.port) for _ in range(clients)]
        expect(results.count("hung") == 0, f"{what}: hung: {results}")
        expect(clients - results.count("served") <= lost, f"{what}: {results} {server.reports()}")
        expect(served(server.port, b"x" * 100_000), f"{what}: a fresh client is not served")
        until(lambda: server.descriptors() <= base, f"{what}: {server.descriptors()} descriptors, {base} before")
        used = server.cpu() - before
        expect(used < cpu, f"{what}: {used} s of processor time")
        found = server.reports()
        expect(len(found) <= reports, f"{what}: {found}")
        expect(not any("Fatal" in line for line in found), f"{what}: {found}")
        output = server.stop()
        expect("ended" in output or "interrupted" in output, f"{what}: {output}")
        return found
