#!/usr/bin/env python3
"""Proxies side by side: rounds interleaved, CPU time of the proxy, medians.

compare.py flood|redis NAME='COMMAND with @LISTEN and @TO' … [--rounds 5] [--megabytes 1024] [--requests 200000]
           [--clients 50] [--core N]
flood   sends so many megabytes through one connection to a sink that counts them
redis   runs redis-benchmark (GET, 64 bytes) through the proxy, against a redis-server that is started for it; the name
        "direct" is always there: without a proxy
Prints, for each: the rate, and the CPU time of the proxy per gigabyte or per request, each with its ratio to the first
name, taken round by round.
"""
import argparse, re, socket, statistics, subprocess, sys, threading, time
import contextlib
import processes

options = argparse.ArgumentParser()
options.add_argument("what", choices=["flood", "redis"])
options.add_argument("proxies", nargs="+")
options.add_argument("--rounds", type=int, default=5)
options.add_argument("--megabytes", type=int, default=1024)
options.add_argument("--requests", type=int, default=200_000)
options.add_argument("--clients", type=int, default=50)
options.add_argument("--core", type=int)
o = options.parse_args()


def sink():
    """A server that counts what comes, and says how much it was."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        buffer = bytearray(1 << 20)
        while True:
            connection, _ = server.accept()
            with connection:
                count = 0
                while size := connection.recv_into(buffer):
                    count += size
                connection.sendall(str(count).encode())

    threading.Thread(target=serve, daemon=True).start()
    return server.getsockname()[1]


def flood(port):
    """Seconds for all of it, and the number of gigabytes."""
    total = o.megabytes << 20
    piece = bytes(1 << 20)
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(o.megabytes):
            connection.sendall(piece)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(100):
            answer += part
    assert int(answer) == total, f"{answer} of {total} bytes"
    return time.monotonic() - begin, total / 1e9


def redis(port):
    begin = time.monotonic()
    run = subprocess.run(
        ["redis-benchmark", "-p", str(port), "-n", str(o.requests), "-c", str(o.clients), "-t", "get", "-d", "64", "-q"],
        capture_output=True, text=True)
    seconds = time.monotonic() - begin
    assert re.search(r"GET: [\d.]+ requests per second", run.stdout), run.stdout + run.stderr
    return seconds, o.requests / 1e6


def main():
    with contextlib.ExitStack() as stack:
        if o.what == "flood":
            target, measure, unit = sink(), flood, ("GB/s", "CPU s/GB")
        else:
            target = processes.free_port()
            stack.enter_context(processes.running(
                ["redis-server", "--port", str(target), "--save", "", "--bind", "127.0.0.1"], target))
            measure, unit = redis, ("M requests/s", "CPU s/M requests")
        ways = {}
        for text in o.proxies:
            name, command = text.split("=", 1)
            port = processes.free_port()
            words = command.replace("@LISTEN", str(port)).replace("@TO", str(target)).split()
            ways[name] = (stack.enter_context(processes.running(words, port, o.core)), port)
        rows = {name: [] for name in [*ways, "direct"]}
        for _ in range(o.rounds):
            for name, (process, port) in ways.items():
                before = processes.cpu_seconds(process.pid)
                seconds, amount = measure(port)
                rows[name].append((amount / seconds, (processes.cpu_seconds(process.pid) - before) / amount))
            seconds, amount = measure(target)
            rows["direct"].append((amount / seconds, 0))
        first = next(iter(ways))
        print(f"{'':12} {unit[0]:>14} {'ratio':>6} {unit[1]:>17} {'ratio':>6}")
        for name, row in rows.items():
            rate, cost = (statistics.median(column) for column in zip(*row))
            pairs = list(zip(row, rows[first]))
            rates = statistics.median(mine[0] / other[0] for mine, other in pairs)
            costs = statistics.median(mine[1] / other[1] for mine, other in pairs if other[1])
            print(f"{name:12} {rate:14.3f} {rates:6.2f} {cost:17.3f} {costs:6.2f}")


sys.exit(main())
