#!/usr/bin/env python3
"""Bytes through a chain of proxies whose clients and servers misbehave: SHA-256 equal both ways, memory bounded.

soak.py PATH-OF-asyncio [--gigabytes 5] [--proxies 3] [--connections 24] [--seed N] [--loops 1]
Each connection sends its own random bytes both ways, in pieces of 1 byte to 1 MiB, with stalls; some read byte by byte
for a while, some close their half early and read on, some break off in the middle. What a side receives must be what
the other one sent, to the byte; of one that broke off, a beginning of it.
"""
import argparse, hashlib, os, socket, sys, threading, time
import processes

options = argparse.ArgumentParser()
options.add_argument("asyncio")
options.add_argument("--gigabytes", type=float, default=5)
options.add_argument("--proxies", type=int, default=3)
options.add_argument("--connections", type=int, default=24)
options.add_argument("--seed")
options.add_argument("--loops", type=int, default=1)
o = options.parse_args()
random = processes.seed(o.seed)
budget = int(o.gigabytes * 1e9)
lock = threading.Lock()
moved, failures, finished, broken = 0, [], 0, 0
pool = os.urandom(1 << 22)


class Sender(threading.Thread):
    """Sends a number of bytes that nobody else sends, and keeps their digest."""

    def __init__(self, sock, count, stream, breaks_off):
        super().__init__(daemon=True)
        self.sock, self.count, self.random, self.breaks_off = sock, count, stream, breaks_off
        self.digest, self.sent, self.error = hashlib.sha256(), 0, None

    def run(self):
        stop = self.random.randrange(self.count + 1) if self.breaks_off else self.count
        try:
            while self.sent < stop:
                size = min(self.random.choice([1, 7, 100, 4096, 65536, 1 << 20]), stop - self.sent)
                start = self.random.randrange(len(pool) - size)
                piece = pool[start:start + size]
                self.digest.update(piece)
                self.sent += size
                self.sock.sendall(piece)
                if self.random.random() < 0.002:
                    time.sleep(self.random.random() * 0.05)
            if self.breaks_off:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                self.sock.close()
            else:
                self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.error = error


class Receiver(threading.Thread):
    def __init__(self, sock, stream):
        super().__init__(daemon=True)
        self.sock, self.random = sock, stream
        self.digest, self.received, self.error = hashlib.sha256(), 0, None

    def run(self):
        global moved
        buffer = bytearray(1 << 20)
        view = memoryview(buffer)
        single = 0
        try:
            while True:
                if single == 0 and self.random.random() < 0.001:
                    single = 2000
                size = 1 if single else self.random.choice([1, 512, 8192, 65536, 1 << 20])
                single = max(0, single - 1)
                count = self.sock.recv_into(view[:size])
                if count == 0:
                    break
                self.digest.update(view[:count])
                self.received += count
                with lock:
                    moved += count
                if self.random.random() < 0.002:
                    time.sleep(self.random.random() * 0.05)
        except OSError as error:
            self.error = error


def one(number, address, listener_queue):
    """One connection, from both sides."""
    global finished, broken
    stream = type(random)(f"{o.seed} {number} {random.random()}")
    client = socket.create_connection(address)
    token = number.to_bytes(8, "big")
    client.sendall(token)
    server = listener_queue(number)
    up, down = stream.randrange(1, 60_000_000), stream.randrange(1, 60_000_000)
    breaker = stream.random()
    sides = [Sender(client, up, type(random)(stream.random()), breaker < 0.1),
             Sender(server, down, type(random)(stream.random()), 0.1 <= breaker < 0.2)]
    ears = [Receiver(server, type(random)(stream.random())), Receiver(client, type(random)(stream.random()))]
    for thread in sides + ears:
        thread.start()
    for thread in sides + ears:
        thread.join(600)
        if thread.is_alive():
            failures.append(f"connection {number} hangs")
            return
    is_broken = breaker < 0.2
    for sender, ear in zip(sides, ears):
        equal = sender.digest.digest() == ear.digest.digest()
        if not is_broken and (not equal or sender.error or ear.error):
            failures.append(f"connection {number}: sent {sender.sent} {sender.error}, received {ear.received} {ear.error}")
        if ear.received > sender.sent:
            failures.append(f"connection {number}: more received than sent")
    client.close()
    server.close()
    with lock:
        finished += 1
        broken += is_broken


def main():
    waiting, condition = {}, threading.Condition()
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)

    def accept():
        while True:
            server, _ = listener.accept()
            threading.Thread(target=greet, args=(server,), daemon=True).start()

    def greet(server):
        token = b""
        while len(token) < 8:
            piece = server.recv(8 - len(token))
            if not piece:
                return server.close()
            token += piece
        with condition:
            waiting[int.from_bytes(token, "big")] = server
            condition.notify_all()

    def take(number):
        with condition:
            condition.wait_for(lambda: number in waiting, 60)
            return waiting.pop(number)

    threading.Thread(target=accept, daemon=True).start()
    chain, target = [], listener.getsockname()[1]
    import contextlib
    with contextlib.ExitStack() as stack:
        for _ in range(o.proxies):
            port = processes.free_port()
            command = [o.asyncio, "serve", "proxy", "--listen", f"127.0.0.1:{port}", "--to", f"127.0.0.1:{target}",
                       "--loops", str(o.loops)]
            chain.append(stack.enter_context(processes.running(command, port, stderr=sys.stderr)))
            target = port
        time.sleep(0.3)
        base = [(processes.memory(p.pid), processes.descriptors(p.pid)) for p in chain]
        begin, number = time.monotonic(), 0
        threads = []
        while moved < budget and not failures:
            threads = [t for t in threads if t.is_alive()]
            while len(threads) < o.connections:
                threads.append(threading.Thread(target=one, args=(number, ("127.0.0.1", target), take), daemon=True))
                threads[-1].start()
                number += 1
            time.sleep(0.2)
        for thread in threads:
            thread.join(620)
        deadline = time.monotonic() + 10
        while any(processes.descriptors(p.pid) > b[1] + 40 for p, b in zip(chain, base)) and time.monotonic() < deadline:
            time.sleep(0.1)
        seconds = time.monotonic() - begin
        print(f"{moved / 1e9:.2f} GB in {seconds:.0f} s over {finished} connections ({broken} broken off on purpose)")
        for process, (rss, fds) in zip(chain, base):
            print(f"proxy {process.pid}: memory {rss} KB before, {processes.memory(process.pid, 'VmHWM')} KB at most; "
                  f"descriptors {fds} before, {processes.descriptors(process.pid)} after")
    for failure in failures[:20]:
        print("FAILED", failure)
    sys.exit(1 if failures else 0)


main()
