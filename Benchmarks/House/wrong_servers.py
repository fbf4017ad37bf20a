"""Echo servers that are wrong in one way each, and one that is right: the load generator must tell them apart.

wrong_servers.py FAULT PORT [--udp]   prints `ready`, serves until it is ended
"""
import selectors
import socket
import sys
import time

# Each changes what is about to be sent back, once enough has gone through that the fault is in the middle of a run.
AFTER = 2000


class Fault:
    """What a server does with bytes: returns what it sends, None to close the connection."""

    def __init__(self, name):
        self.name = name
        self.count = 0
        self.held = b""
        self.is_done = False

    def answer(self, data):
        self.count += len(data)
        if self.name in ("none", "linger") or self.is_done or self.count < AFTER:
            return data
        self.is_done = self.name != "swap"
        if self.name == "flip":
            return data[:-1] + bytes([data[-1] ^ 1])
        if self.name == "drop":
            return data[:-1]
        if self.name == "lose":
            return b""
        if self.name == "double":
            return data + data
        if self.name == "add":
            return data + b"x"
        if self.name == "stall":
            time.sleep(0.3)
            return data
        if self.name == "close":
            return None
        if self.name == "half":
            return data[: len(data) // 2]
        if self.name == "swap":
            # What one connection sent goes to the next that asks.
            held, self.held = self.held, data
            self.is_done = bool(held)
            return held or data
        raise ValueError(self.name)


def serve_streams(fault, port):
    selector = selectors.DefaultSelector()
    listener = socket.create_server(("127.0.0.1", port), backlog=1000)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                connection, _ = listener.accept()
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                selector.register(connection, selectors.EVENT_READ)
                continue
            try:
                data = key.fileobj.recv(1 << 16)
                answer = fault.answer(data) if data else None
                if answer:
                    key.fileobj.sendall(answer)
            except OSError:
                answer = None
            # One that never closes lets its clients wait for the end.
            if answer is None and not (fault.name == "linger" and not data):
                selector.unregister(key.fileobj)
                key.fileobj.close()
            elif answer is None:
                selector.unregister(key.fileobj)


def serve_datagrams(fault, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", port))
        print("ready", flush=True)
        while True:
            data, source = peer.recvfrom(1 << 16)
            answer = fault.answer(data)
            if fault.name == "double" and answer != data:
                peer.sendto(data, source)
                answer = data
            if answer:
                peer.sendto(answer, source)


if __name__ == "__main__":
    kind = serve_datagrams if "--udp" in sys.argv else serve_streams
    kind(Fault(sys.argv[1]), int(sys.argv[2]))
