#!/usr/bin/env -S python3 -B
"""Measures a release build of a probe: usage: measure.py PROBE [CONNECTIONS] [--strace].

Asserts nothing but that every byte is right.

Memory of an idle connection, wake-ups and processor time with all of them idle, and echoes on all of them at once.
Raise the limit first: ulimit -n 20000.
"""

import os
import resource
import select
import subprocess
import sys
import time

from server import Server, connect, expect, until

SIZES = [1, 100, 1_000, 4_000]


def main():
    probe, count = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with Server(probe) as server:
        with connect(server.port) as one:
            one.sendall(b"x")
            one.recv(1)
        base, bare = server.descriptors(), server.status("VmRSS")
        start = time.monotonic()
        clients = [connect(server.port, f"127.0.0.{2 + number % 8}") for number in range(count)]
        until(lambda: server.descriptors() >= base + count - 1, "all are accepted")
        print(f"{count} connections in {time.monotonic() - start:.2f} s")
        time.sleep(0.5)
        idle = server.status("VmRSS")
        print(f"idle, no byte yet: VmRSS {bare} -> {idle} KiB: {(idle - bare) * 1024 / count:.0f} bytes each")
        rest(server, "idle, no byte yet")
        for size in SIZES:
            start, used = time.monotonic(), server.cpu()
            at_once(clients, size)
            elapsed, used = time.monotonic() - start, server.cpu() - used
            print(
                f"echo of {size} bytes on {count} connections at once, every byte right: {elapsed:.2f} s, "
                f"{used * 1e6 / count:.1f} us of the server's time each")
        idle = server.status("VmRSS")
        print(f"idle, after echoes: VmRSS {idle} KiB: {(idle - bare) * 1024 / count:.0f} bytes each")
        rest(server, "idle, after echoes")
        if "--strace" in sys.argv:
            calls(server)
        for client in clients:
            client.close()
        until(lambda: server.descriptors() <= base, f"{server.descriptors()} descriptors, {base} before")
        print(f"all closed: {server.descriptors()} descriptors as at the start, VmRSS {server.status('VmRSS')} KiB")
        server.stop()


def rest(server, what):
    turns, used = server.switches(), server.cpu()
    time.sleep(5)
    print(f"{what}, 5 s: {server.switches() - turns} wake-ups, {(server.cpu() - used) * 1000:.0f} ms of processor time")


def calls(server):
    """The system calls of two idle seconds."""
    done = subprocess.run(
        ["timeout", "-s", "INT", "2", "strace", "-f", "-c", "-p", str(server.pid)], capture_output=True, text=True)
    print("system calls in 2 idle seconds:", " ".join(done.stderr.split()[-40:]))


def at_once(clients, size):
    """Sends on all before anything is read back."""
    expected = {}
    for number, client in enumerate(clients):
        data = bytes((number * 7 + position * 13) & 255 for position in range(min(size, 256)))
        data = (data * (size // len(data) + 1))[:size]
        expected[client.fileno()] = (client, data, 0)
        client.sendall(data)
    poller = select.epoll()
    for number in expected:
        poller.register(number, select.EPOLLIN)
    left = len(expected)
    while left:
        events = poller.poll(20)
        expect(events, f"{left} connections hang")
        for number, _ in events:
            client, data, offset = expected[number]
            part = client.recv(65536)
            expect(part == data[offset:offset + len(part)] and part, "a wrong byte")
            offset += len(part)
            expected[number] = (client, data, offset)
            if offset == len(data):
                left -= 1
                poller.unregister(number)
    poller.close()


if __name__ == "__main__":
    main()
