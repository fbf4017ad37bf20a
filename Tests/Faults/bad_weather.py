"""Real shortage, and clients that behave badly."""

import socket
import struct
import time

from scenario import check, scenario
from server import LIMIT, Server, connect, echo, expect, readable, receive, run, served, until


@scenario(strace=False)
def signals_arrive_all_the_time(probe):
    check(probe, [], clients=50, mode=["--alarm"], cpu=2.0)
    with Server(probe) as server:
        for _ in range(5):
            code, output = run(probe, ["client", str(server.port), "--alarm"])
            expect((code, output) == (0, "ok\n"), f"{code} {output}")
        server.stop()


@scenario(strace=False)
def descriptors_run_out(probe):
    """A6: 64 descriptors, 200 clients."""
    with Server(probe, descriptors=64) as server:
        expect(served(server.port), "no service at the start")
        until(lambda: server.descriptors() < 20, "start")
        base = server.descriptors()
        clients = [connect(server.port) for _ in range(200)]
        for client in clients:
            client.sendall(b"x")
        until(lambda: server.descriptors() == 64, "the limit is reached")
        first = readable(clients, 2)
        time.sleep(0.3)
        first = readable(clients, 0)
        expect(30 < len(first) < 64, f"{len(first)} served at once")
        # Three seconds of shortage.
        before, lines, start = server.cpu(), len(server.reports()), time.monotonic()
        time.sleep(3)
        share = (server.cpu() - before) / (time.monotonic() - start)
        count = len(server.reports())
        waiting = [client for client in clients if client not in first]
        # Ten are given free.
        start = time.monotonic()
        for client in first[:10]:
            client.close()
        expect(readable(waiting, LIMIT), "no service after descriptors were free")
        back = time.monotonic() - start
        for client in first[10:]:
            client.close()
        for client in waiting:
            expect(receive(client, 1) == b"x", "one was never served")
            client.close()
        expect(served(server.port), "no service afterwards")
        until(lambda: server.descriptors() <= base, f"{server.descriptors()} descriptors, {base} before")
        print(f"shortage: {share * 100:.2f} % processor, {count} reports in all, service back in {back * 1000:.1f} ms")
        print(server.reports()[0])
        expect(share < 0.05, f"{share * 100} % processor")
        expect(count - lines <= 4, f"{count - lines} reports in 3 s")
        expect(back < 1.0, f"service back after {back} s")
        server.stop()


@scenario(strace=False)
def clients_reset_all_the_time(probe):
    """C20: each reset costs one connection and one line; SIGPIPE has its default action and ends nothing."""
    with Server(probe) as server:
        base = server.descriptors()
        with connect(server.port) as good:
            for number in range(500):
                client = connect(server.port)
                client.sendall(b"y" * (1 + number * 37))
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
                if number % 50 == 0:
                    expect(echo(good), "another connection suffered")
            expect(echo(good), "another connection suffered")
        until(lambda: server.descriptors() <= base, f"{server.descriptors()} descriptors, {base} before")
        lines = server.reports()
        expect(all("connection 127.0.0.1:" in line for line in lines), lines[:3])
        server.stop()


@scenario(strace=False)
def nobody_reads(probe):
    """A16: fifty clients that never read what is sent to them without end."""
    with Server(probe, mode="flood") as server:
        base, before = server.descriptors(), server.status("VmRSS")
        clients = [connect(server.port) for _ in range(50)]
        until(lambda: server.descriptors() == base + 50, "all are accepted")
        time.sleep(1.5)
        start, used = time.monotonic(), server.cpu()
        time.sleep(1)
        share = (server.cpu() - used) / (time.monotonic() - start)
        grown = server.status("VmRSS") - before
        print(f"50 clients that never read: {grown} KiB more, {share * 100:.2f} % processor")
        expect(grown < 16 * 1024, f"{grown} KiB more")
        expect(share < 0.2, f"{share * 100} % processor while every writer waits")
        for client in clients:
            client.close()
        until(lambda: server.descriptors() <= base, f"{server.descriptors()} descriptors, {base} before")
        server.stop()


@scenario(strace=False)
def idle_connections_stay_quiet(probe):
    """A4: nothing turns while nothing happens."""
    with Server(probe) as server:
        clients = [connect(server.port) for _ in range(100)]
        for client in clients:
            expect(echo(client), "no echo")
        before, used = server.switches(), server.cpu()
        time.sleep(2)
        turns, used = server.switches() - before, server.cpu() - used
        print(f"100 idle connections: {turns} wake-ups, {used * 1000:.0f} ms of processor time in 2 s")
        expect(turns <= 10 and used < 0.05, f"{turns} wake-ups, {used} s")
        for client in clients:
            client.close()
        server.stop()
