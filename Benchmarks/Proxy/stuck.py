#!/usr/bin/env python3
"""A peer that never reads, and 10 GB for it: what the proxy between them holds.

stuck.py PATH-OF-asyncio [--connections 8] [--seconds 10]
The senders offer 10 GB each, as fast as they are let. Prints what was taken in all, and the proxy's memory.
"""
import argparse, contextlib, socket, sys, threading, time
import processes

options = argparse.ArgumentParser()
options.add_argument("asyncio")
options.add_argument("--connections", type=int, default=8)
options.add_argument("--seconds", type=float, default=10)
o = options.parse_args()
taken = [0] * o.connections


def offer(number, port):
    piece = bytes(1 << 20)
    # Ended by the proxy's end.
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
        while taken[number] < 10_000_000_000:
            taken[number] += connection.send(piece)


deaf = socket.create_server(("127.0.0.1", 0), backlog=o.connections)
port = processes.free_port()
command = [o.asyncio, "serve", "proxy", "--listen", f"127.0.0.1:{port}", "--to", f"127.0.0.1:{deaf.getsockname()[1]}"]
with processes.running(command, port) as proxy:
    before = processes.memory(proxy.pid)
    for number in range(o.connections):
        threading.Thread(target=offer, args=(number, port), daemon=True).start()
    time.sleep(o.seconds)
    cpu = processes.cpu_seconds(proxy.pid)
    time.sleep(1)
    grown = processes.memory(proxy.pid, "VmHWM") - before
    print(f"{sum(taken) / 1e6:.0f} MB taken of {10_000 * o.connections} MB offered, over {o.connections} connections; "
          f"memory {before} KB before, {grown} KB more at most; "
          f"{processes.cpu_seconds(proxy.pid) - cpu:.3f} CPU s in the last second")
    sys.exit(0 if grown < 8192 else 1)
