#!/usr/bin/env python3
"""check.py OUT [NAME ...]: are the peers that are built in OUT right?

Servers get bytes in pieces of many sizes through ten connections, half-closes, a client that does not read, one that
breaks off, and datagrams. Works run with a small N and must print what the house reads. A work that a peer does not do
must say so with exit code 3. One line for each that is wrong, and exit code 1."""

import json
import os
import random
import resource
import select
import socket
import struct
import subprocess
import sys
import threading

WORKS = {
    "spawn": 1000, "switch": 1000, "queue": 1000, "hand-over": 1000, "lock": 1000, "async-let": 1000, "group": 1000,
    "sleepers": 100, "timers": 1000, "timers-fire": 1000, "cross": 1000, "files": 200, "children": 10, "parked": 1000,
    "call": 1000,
}
FIELDS = {"timers-fire": ["late_ns", "early"], "sleepers": ["bytes_each"], "parked": ["bytes_each"]}
LEAST_SECONDS = {"sleepers": 3, "timers-fire": 1.9}
MAY_FIRE_EARLY = {"node", "python-uvloop", "python-uvloop-streams", "libuv"}  # timers of whole milliseconds


class NotDone(Exception):
    pass


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    def __init__(self, path, *arguments):
        self.process = subprocess.Popen([path, *map(str, arguments)], stdout=subprocess.PIPE)

    def __enter__(self):
        readable, _, _ = select.select([self.process.stdout], [], [], 20)
        line = self.process.stdout.readline() if readable else b""
        if line != b"ready\n":
            if not readable:
                self.process.kill()
            if self.process.wait() == 3:
                raise NotDone
            raise AssertionError(f"says {line!r}, not ready, exit code {self.process.returncode}")
        return self

    def __exit__(self, kind, *_):
        if kind is None and self.process.poll() is not None:
            raise AssertionError(f"ended while it served: {self.process.returncode}")
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("does not end at SIGTERM") from None

    def descriptors(self):
        """Sockets in the whole process group: a wrapper may have a child."""
        count = 0
        pids = [self.process.pid]
        for pid in pids:
            try:
                pids += map(int, open(f"/proc/{pid}/task/{pid}/children").read().split())
                count += sum("socket" in os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd"))
            except OSError:
                pass
        return count


def exchange(port, seed, half_close):
    """Writes from one thread and reads in another, so that neither side's buffers limit the other's."""
    chance = random.Random(seed)
    sizes = [chance.choice([1, 64, 1000, 4096, 16384, 65536, 100_000]) for _ in range(12)]
    data = chance.randbytes(sum(sizes))
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:

        def write():
            start = 0
            for size in sizes:
                client.sendall(data[start:start + size])
                start += size
            if half_close:
                client.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=write)
        writer.start()
        got = bytearray()
        while len(got) < len(data):
            piece = client.recv(chance.choice([100, 65536]))
            if not piece:
                break
            got += piece
        writer.join()
        assert bytes(got) == data, f"{len(got)} of {len(data)} bytes came back, or other ones"
        if half_close:
            assert client.recv(1) == b"", "no end after the end"


def crowd(port, half_close):
    problems = []

    def one(seed):
        try:
            for turn in range(2):
                exchange(port, seed * 10 + turn, half_close)
        except (AssertionError, OSError) as error:
            problems.append(error)

    threads = [threading.Thread(target=one, args=(seed,)) for seed in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise AssertionError(str(problems[0]))


def stubborn(port):
    """One that writes and does not read must not stop the others, nor lose a byte; one breaks off."""
    slow = socket.create_connection(("127.0.0.1", port), timeout=20)
    slow.setblocking(False)
    sent = 0
    block = bytes(range(256)) * 256
    quiet = 0
    while quiet < 5 and sent < 256 << 20:
        try:
            sent += slow.send(block[sent % 256:])
            quiet = 0
        except BlockingIOError:
            quiet += not select.select([], [slow], [], 0.05)[1]
    assert sent < 256 << 20, "takes bytes without end from one that does not read"
    broken = socket.create_connection(("127.0.0.1", port), timeout=20)
    broken.sendall(block)
    broken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    broken.close()
    exchange(port, 99, False)
    slow.setblocking(True)
    slow.settimeout(20)
    left = sent
    while left:
        piece = slow.recv(min(left, 1 << 20))
        start = (sent - left) % 256
        assert piece and piece == (block * (2 + len(piece) // len(block)))[start:start + len(piece)], "other bytes"
        left -= len(piece)
    slow.close()


def settled(server, before):
    """All of the clients' sockets are closed again."""
    for _ in range(100):
        if server.descriptors() <= before:
            return
        select.select([], [], [], 0.05)
    raise AssertionError(f"{server.descriptors() - before} sockets stay open")


def echo(path):
    port = free_port()
    with Server(path, "echo", port) as server:
        exchange(port, 0, False)
        before = server.descriptors()
        crowd(port, False)
        stubborn(port)
        settled(server, before)


def proxy(path):
    port, target = free_port(), free_port()

    def answer(client):
        with client:
            while data := client.recv(65536):
                client.sendall(data)

    with socket.create_server(("127.0.0.1", target), backlog=128) as listener:

        def accept():
            try:
                while True:
                    client = listener.accept()[0]
                    threading.Thread(target=answer, args=(client,), daemon=True).start()
            except OSError:
                pass

        threading.Thread(target=accept, daemon=True).start()
        with Server(path, "proxy", port, target) as server:
            exchange(port, 0, True)
            before = server.descriptors()
            crowd(port, True)
            crowd(port, False)
            settled(server, before)
        listener.shutdown(socket.SHUT_RDWR)


def udp(path):
    port = free_port(socket.SOCK_DGRAM)
    with Server(path, "udp", port), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect(("127.0.0.1", port))
        client.settimeout(10)
        chance = random.Random(5)
        for size in [1, 64, 1000, 9000, 60000] * 3:
            batch = [chance.randbytes(size) for _ in range(2)]
            for datagram in batch:
                client.send(datagram)
            assert sorted(client.recv(65536) for _ in batch) == sorted(batch), "other datagrams"


def run(path, work, count):
    done = subprocess.run([path, work, str(count)], capture_output=True, text=True, timeout=120)
    if done.returncode == 3:
        assert done.stderr.strip() and not done.stdout, "exit code 3 without a reason"
        raise NotDone(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr.strip()[-300:]}"
    lines = done.stdout.splitlines()
    assert len(lines) == 1, f"{len(lines)} lines"
    result = json.loads(lines[0])
    assert result["work"] == work and result["operations"] == count, lines[0]
    for field in ["wall_ns", "cpu_ns", "peak_kib", *FIELDS.get(work, [])]:
        assert type(result.get(field)) in (int, float), f"no {field}"
    assert result["wall_ns"] > LEAST_SECONDS.get(work, 0) * 1e9, f"took {result['wall_ns']} ns"
    assert 100 < result["peak_kib"] < 4 << 20, lines[0]
    if "early" in result and not any(name == os.path.basename(path) for name in MAY_FIRE_EARLY):
        assert result["early"] == 0, f"{result['early']} early"
    if "late_ns" in result:
        assert -2e6 < result["late_ns"] < 5e8, f"late by {result['late_ns']} ns"
    return "{:,.0f} ns each".format(result["wall_ns"] / count)


def start(path):
    done = subprocess.run([path, "start"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stdout, f"exit code {done.returncode}, says {done.stdout!r}"


def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    out = sys.argv[1]
    names = sys.argv[2:] or sorted(
        file.name for file in os.scandir(out)
        if file.is_file() and os.access(file.path, os.X_OK) and "." not in file.name and file.name != "load")
    passed = wrong = left = 0
    for name in names:
        path = os.path.abspath(os.path.join(out, name))
        checks = [(work, lambda work=work, count=count: run(path, work, count)) for work, count in WORKS.items()]
        checks.append(("start", lambda: start(path)))
        checks += [(work, lambda serve=serve: serve(path)) for work, serve in
                   [("echo", echo), ("proxy", proxy), ("udp", udp)]]
        for work, check in checks:
            try:
                said = check()
                passed += 1
                if os.environ.get("VERBOSE"):
                    print(f"{name} {work}: {said or 'right'}")
            except NotDone as why:
                left += 1
                if os.environ.get("VERBOSE"):
                    print(f"{name} {work}: not done: {why}")
            except (AssertionError, OSError, ValueError, subprocess.TimeoutExpired) as error:
                wrong += 1
                print(f"{name} {work}: WRONG: {error}")
    print(f"{len(names)} peers: {passed} passed, {wrong} failed, {left} skipped")
    return wrong > 0 or not passed


if __name__ == "__main__":
    sys.exit(main())
