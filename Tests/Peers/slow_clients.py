#!/usr/bin/env python3
"""What slow, many and vanishing clients cost our server: attacks by slowhttptest, bytes that trickle, idle connections,
handlers whose clients go away.

usage: slow_clients.py WEB_PROBE [attacks] [trickle] [idle] [gone] [--seconds N] [--connections N]

The probe should be built for release. Prints figures, and checks what must hold on any machine; ends with 1 if that
failed.
"""
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

PROBE = sys.argv[1]
failures = []


def option(name, default):
    return int(sys.argv[sys.argv.index(name) + 1]) if name in sys.argv else default


WANTED = [word for word in sys.argv[2:] if not word.startswith("--") and not word.isdigit()]
SECONDS = option("--seconds", 60)
CONNECTIONS = option("--connections", 10_000)


def check(name, good, detail=""):
    print(("ok    " if good else "FAIL  ") + name + f": {detail}", flush=True)
    if not good:
        failures.append(name)


class Server:
    def __init__(self):
        self.process = subprocess.Popen([PROBE, "0"], stdout=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline().split()[1])

    def memory(self):
        """In KiB."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))

    def connect(self, window=None):
        client = socket.socket()
        if window:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        client.settimeout(10)
        client.connect(("127.0.0.1", self.port))
        return client

    def ask(self, target="/hello"):
        """One request over a connection of its own: seconds until it is connected, until all is there, and the body."""
        begin = time.monotonic()
        with self.connect() as client:
            connected = time.monotonic() - begin
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while piece := client.recv(65_536):
                answer += piece
        return connected, time.monotonic() - begin, answer.partition(b"\r\n\r\n")[2]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        check("the server ends with 0", self.process.wait(30) == 0, self.process.returncode)


def attacks(server):
    """slowhttptest's four, each with 1,000 connections; normal requests meanwhile."""
    if not shutil.which("slowhttptest"):
        print("skipped: slowhttptest")
        return
    url = f"http://127.0.0.1:{server.port}/"
    for name, target, arguments in [
        ("slow headers", "hello", ["-H", "-i", "2"]), ("slow body", "echo", ["-B", "-i", "5", "-s", "100000"]),
        ("range", "hello", ["-R"]),
        ("slow read", "bytes/1000000", ["-X", "-w", "10", "-y", "20", "-n", "5", "-z", "5", "-k", "3"]),
    ]:
        before = server.memory()
        attack = subprocess.Popen(
            ["slowhttptest", "-c", "1000", "-r", "300", "-l", "40", "-p", "3", "-u", url + target, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        times, lost, peak = [], 0, before
        while attack.poll() is None:
            try:
                times.append(server.ask()[:2])
            except OSError:
                lost += 1
            peak = max(peak, server.memory())
            time.sleep(0.1)
        out = re.sub(r"\x1b\[[0-9;]*m", "", attack.stdout.read())
        closed = re.findall(r"^closed:\s+(\d+)", out, re.M)
        ends = re.findall(r"Exit status: (.*)", out)
        whole = sorted(time for _, time in times)
        detail = (f"{len(times)} requests, slowest {whole[-1] * 1000:.1f} ms (of that, to connect "
                  f"{max(connected for connected, _ in times) * 1000:.1f} ms), half under "
                  f"{whole[len(whole) // 2] * 1000:.1f} ms; {lost} lost; closed {closed[-1:]}; {ends}; "
                  f"memory {before}, at most {peak} KiB")
        check(name, not lost and whole[-1] < 1, detail)


def trickle(server):
    """1,000 clients that send a byte a second: half of them heads, which are cut and come again, half bodies."""
    head, body = b"GET /hello HTTP/1.1\r\nHost: a\r\nX: ", b"PUT /sum HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n"
    server.ask()
    before = server.memory()
    clients, cuts, seen = [None] * 1000, 0, []
    for second in range(SECONDS):
        begin = time.monotonic()
        for number, client in enumerate(clients):
            isHead = number % 2 == 0
            try:
                if client is None:
                    client = clients[number] = server.connect()
                    client.sendall(head if isHead else body)
                client.sendall(b"a")
            except OSError:
                cuts += 1
                client.close()
                clients[number] = None
        _, took, _ = server.ask()
        seen.append((server.memory(), took))
        time.sleep(max(0, begin + 1 - time.monotonic()))
    for client in clients:
        if client:
            client.close()
    early, late = max(memory for memory, _ in seen[:5]), max(memory for memory, _ in seen[SECONDS // 2:])
    slowest = max(took for _, took in seen)
    check("1,000 clients with a byte a second", late <= early * 1.2 + 2048,
          f"memory before {before}, in the first 5 s {early}, in the second half {late} KiB; {cuts} were cut; "
          f"a normal request took at most {slowest * 1000:.1f} ms")


def idle(server):
    """Connections that have asked once, and are kept: what one costs, and whether all still answer."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most[1], most[1]))
    question = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
    server.ask()
    before = server.memory()

    def all_ask():
        good = 0
        for start in range(0, len(clients), 100):
            group = clients[start:start + 100]
            for client in group:
                client.sendall(question)
            for client in group:
                answer = b""
                while not answer.endswith(b"\r\n\r\nhello\n") and (piece := client.recv(4096)):
                    answer += piece
                good += answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"hello\n")
        return good

    begin = time.monotonic()
    clients = [server.connect() for _ in range(CONNECTIONS)]
    check(f"{CONNECTIONS} connections answer", all_ask() == CONNECTIONS, f"{time.monotonic() - begin:.1f} s")
    time.sleep(1)
    after = server.memory()
    time.sleep(20)
    begin = time.monotonic()
    check("and after a while, each of them again", all_ask() == CONNECTIONS, f"{time.monotonic() - begin:.1f} s")
    check("memory of one", after - before < CONNECTIONS * 16,
          f"{(after - before) * 1024 // CONNECTIONS} bytes ({before} and {after} KiB; files {most[1]})")
    for client in clients:
        client.close()


def gone(server):
    """A client that vanishes while its handler waits: how long the handler goes on."""
    for how in ["FIN", "RST", "FIN at once"]:
        times = []
        for _ in range(20):
            client = server.connect()
            client.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
            if how != "FIN at once":
                time.sleep(0.15)
            if how == "RST":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            begin = time.monotonic_ns()
            client.close()
            ended = 0
            while ended < begin and time.monotonic_ns() < begin + 5_000_000_000:
                time.sleep(0.01)
                ended = int(server.ask("/ended")[2])
            times.append((ended - begin) / 1e6)
        times.sort()
        check(f"a handler is cancelled after {how}", 0 < times[0] and times[-1] < 1000,
              f"{times[0]:.1f} to {times[-1]:.1f} ms, half under {times[len(times) // 2]:.1f} ms")


for part in [attacks, trickle, idle, gone]:
    if WANTED and part.__name__ not in WANTED:
        continue
    server = Server()
    part(server)
    server.end()
print(f"{len(failures)} failed")
sys.exit(1 if failures else 0)
