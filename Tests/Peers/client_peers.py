"""Our HTTP client against other people's servers: nginx, Node, Python's http.server and aiohttp.

Bodies both ways, up to a size; their bytes are those of pattern(), and the client's memory does not grow with them.
"""
import hashlib
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BLOCK = bytes(range(251)) * 4096
# What a client may need more for the largest body than for the smallest.
SLACK = 24 << 10

FILES = """
worker_processes 1; daemon off; pid SCRATCH/files.pid; error_log SCRATCH/files.log;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path SCRATCH/temp; proxy_temp_path SCRATCH/temp; fastcgi_temp_path SCRATCH/temp;
    uwsgi_temp_path SCRATCH/temp; scgi_temp_path SCRATCH/temp;
    server { listen 127.0.0.1:FRONT; root SCRATCH/files; }
}
"""


def pieces(count):
    """The pattern, in pieces that fit into memory."""
    while count > 0:
        yield BLOCK[:count]
        count -= min(count, len(BLOCK))


def digest(count):
    total = hashlib.sha256()
    for piece in pieces(count):
        total.update(piece)
    return total.hexdigest()


class ClientPeers:
    def __init__(self, probe, scratch, sizes, check, skipped):
        self.probe, self.scratch, self.sizes, self.check, self.skipped = probe, scratch, sizes, check, skipped
        self.digests = {size: digest(size) for size in sizes}

    def ask(self, *arguments):
        """What the client has said, and its memory in KiB."""
        begin = time.monotonic()
        done = subprocess.run([self.probe, *arguments], capture_output=True, text=True, timeout=900)
        lines = done.stdout.splitlines()
        if done.returncode or not lines or not lines[-1].startswith("memory "):
            raise RuntimeError(f"{arguments}: {done.returncode}, {done.stdout[-200:]} {done.stderr[-200:]}")
        return lines[:-1], int(lines[-1].split()[1]), time.monotonic() - begin

    def run(self, name, url, uploads):
        """All sizes to and from one server. `url` makes an address of a kind and a size."""
        small = None
        for size in self.sizes:
            for kind in (["length", "chunks"] if uploads else ["length"]):
                got, memory, seconds = self.ask("get", url(kind, size))
                self.check(f"from {name}: {size} bytes, {kind}", got == [f"200 {size} right"], got)
                self.flat(name, memory, small, size, seconds)
                small = small or memory
                if not uploads:
                    continue
                got, memory, seconds = self.ask("put", url("sum", size), str(size), kind)
                self.check(f"to {name}: {size} bytes, {kind}", got == [f"200 {size} {self.digests[size]}"], got)
                self.flat(name, memory, small, size, seconds)
        many = [url(kind, size) for size in self.sizes if size <= 1 << 20
                for kind in (["length", "chunks"] if uploads else ["length"])] * 3
        got, _, _ = self.ask("get", *many)
        self.check(f"from {name}: {len(many)} in a row", all(line.endswith(" right") for line in got), got)

    def flat(self, name, memory, small, size, seconds):
        if size > 1 << 20:
            print(f"      {seconds:.1f} s, {memory} KiB of memory")
        if small:
            self.check(f"{name}: memory with {size} bytes", memory <= small + SLACK, f"{small} and {memory} KiB")

    def python(self, kind):
        server = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "http_servers.py"), kind], stdout=subprocess.PIPE, text=True)
        self.started(kind, server)

    def node(self):
        if not shutil.which("node"):
            self.skipped.append("node")
            return
        server = subprocess.Popen(
            ["node", os.path.join(HERE, "http_server.js")], stdout=subprocess.PIPE, text=True)
        self.started("node", server)

    def started(self, name, server):
        try:
            words = server.stdout.readline().split()
            if not words or words[0] != "port":
                self.skipped.append(f"{name} (it did not start)")
                return
            self.run(name, lambda kind, size: f"http://127.0.0.1:{words[1]}/{kind}/{size}", uploads=True)
        finally:
            server.terminate()
            server.wait(10)

    def nginx(self, port):
        if not shutil.which("nginx"):
            self.skipped.append("nginx as a server of files")
            return
        folder = os.path.join(self.scratch, "files")
        os.makedirs(folder, exist_ok=True)
        os.chmod(self.scratch, 0o755)
        for size in self.sizes:
            with open(os.path.join(folder, str(size)), "wb") as file:
                for piece in pieces(size):
                    file.write(piece)
        config = os.path.join(self.scratch, "files.conf")
        with open(config, "w") as out:
            out.write(FILES.replace("FRONT", str(port)).replace("SCRATCH", self.scratch))
        server = subprocess.Popen(
            ["nginx", "-p", self.scratch, "-c", config], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        try:
            self.wait_for(port)
            self.run("nginx", lambda _, size: f"http://127.0.0.1:{port}/{size}", uploads=False)
        finally:
            server.terminate()
            server.wait(10)
            shutil.rmtree(folder)

    def wait_for(self, port):
        import socket
        for _ in range(100):
            try:
                return socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.05)
