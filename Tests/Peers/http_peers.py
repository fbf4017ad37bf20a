#!/usr/bin/env python3
"""Other people's HTTP and WebSocket clients against our server, and our client against their servers.

usage: http_peers.py WEB_PROBE [--large BYTES] [--only server|client]

Each check is a line. What is not installed is named, and skipped. With --large, bodies have up to so many bytes: 1 GiB
takes minutes, with a probe built for release. Ends with 1 if anything failed.
"""
import asyncio
import concurrent.futures
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from client_peers import ClientPeers  # noqa: E402
from proxy_configs import HAPROXY, NGINX  # noqa: E402

PROBE = sys.argv[1]
LARGE = int(sys.argv[sys.argv.index("--large") + 1]) if "--large" in sys.argv else 64 << 20
BLOCK = bytes(range(251)) * 4096
SIZES = [0, 1, 1000, 65_536, 1_000_000]
CLIENT_SIZES = [0, 1, 65_536, 1 << 20] + ([100 << 20, LARGE] if "--large" in sys.argv else [8 << 20])
ONLY = sys.argv[sys.argv.index("--only") + 1] if "--only" in sys.argv else None
failures = []
skipped = []
scratch = tempfile.mkdtemp(prefix="http-peers-")


def pattern(count):
    return (BLOCK * (count // len(BLOCK) + 1))[:count]


def check(name, good, detail=""):
    print(("ok    " if good else "FAIL  ") + name + ("" if good else f": {str(detail)[:300]}"), flush=True)
    if not good:
        failures.append(name)


def attempt(name, function):
    try:
        function()
    except ModuleNotFoundError as error:
        skipped.append(f"{name} ({error.name} is not installed)")
    except Exception as error:  # a peer that gives up is a failure of ours
        check(name, False, repr(error))


def start(place):
    probe = subprocess.Popen([PROBE, place], stdout=subprocess.PIPE, text=True)
    return probe, probe.stdout.readline().split()[1]


def curl(*arguments, binary=False, timeout=120):
    done = subprocess.run(["curl", "-sS", "--max-time", "100", *arguments], capture_output=True, timeout=timeout)
    if done.returncode:
        raise RuntimeError(f"curl {done.returncode}: {done.stderr.decode()[:200]}")
    return done.stdout if binary else done.stdout.decode()


def curls(url, path):
    if not shutil.which("curl"):
        skipped.append("curl")
        return
    for version in ["--http1.0", "--http1.1"]:
        check(f"curl {version}: hello", curl(version, url + "/hello") == "hello\n")
        for size in SIZES:
            got = curl(version, f"{url}/bytes/{size}", binary=True)
            check(f"curl {version}: {size} bytes with their length", got == pattern(size), len(got))
            got = curl(version, f"{url}/bytes/{size}?chunked=1", binary=True)
            check(f"curl {version}: {size} bytes in chunks", got == pattern(size), len(got))
    for size in SIZES:
        file = os.path.join(scratch, f"body-{size}")
        with open(file, "wb") as body:
            body.write(pattern(size))
        for how in [[], ["-H", "Transfer-Encoding: chunked"], ["-H", "Expect: 100-continue"]]:
            got = curl("-X", "POST", *how, "--data-binary", "@" + file, url + "/echo", binary=True)
            check(f"curl echo of {size} bytes {how[1:]}", got == pattern(size), len(got))
    with open(os.path.join(scratch, "large"), "wb") as body:
        body.write(pattern(LARGE))
    got = curl("-T", os.path.join(scratch, "large"), url + "/sum")
    check(f"curl -T of {LARGE} bytes", got == f"{LARGE} right\n", got)
    got = curl("-T", os.path.join(scratch, "large"), "-H", "Transfer-Encoding: chunked", url + "/sum")
    check(f"curl -T of {LARGE} bytes in chunks", got == f"{LARGE} right\n", got)
    out = curl("-D", "-", "-o", "/dev/null", "-T", os.path.join(scratch, "large"), "-X", "POST", url + "/refuse")
    check("curl: refused before the body is read", " 403 " in out, out)
    head = curl("-I", url + "/bytes/1000")
    check("curl -I", "content-length: 1000" in head.lower() and " 200 " in head, head)
    got = curl("--limit-rate", "2M", url + "/bytes/3000000", binary=True)
    check("curl --limit-rate", got == pattern(3_000_000), len(got))
    urls = [f"{url}/bytes/{number * 100}" for number in range(200)]
    names = []
    for number, one in enumerate(urls):
        names += ["-o", os.path.join(scratch, f"p{number}"), one]
    curl("--parallel", "--parallel-max", "200", *names)
    good = all(open(os.path.join(scratch, f"p{number}"), "rb").read() == pattern(number * 100) for number in range(200))
    check("curl --parallel, 200 at a time", good)
    probe, place = start(os.path.join(scratch, "web.sock"))
    check("curl over a Unix socket", curl("--unix-socket", place, "http://localhost/hello") == "hello\n")
    probe.send_signal(signal.SIGTERM)
    check("a server that is told to end ends with 0", probe.wait(20) == 0, probe.returncode)


def half_closed(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.sendall(b"GET /bytes/300000 HTTP/1.1\r\nHost: x\r\n\r\n")
    client.shutdown(socket.SHUT_WR)
    client.settimeout(20)
    got = b""
    while piece := client.recv(65_536):
        got += piece
    check("a client that has closed its side is answered", got.endswith(pattern(300_000)), len(got))


def pipelined(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(30)
    sent = b"".join(b"GET /bytes/%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(500))
    last = b"GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    sender = threading.Thread(target=lambda: client.sendall(sent + last))
    sender.start()
    got = b""
    while piece := client.recv(65_536):
        got += piece
    sender.join()
    for number in range(500):
        head, _, got = got.partition(b"\r\n\r\n")
        if b"content-length: %d" % number not in head.lower() or got[:number] != pattern(number):
            check(f"pipelined answer {number}", False, head)
            return
        got = got[number:]
    check("500 pipelined requests are answered in order", got.endswith(b"hello\n"), got[-100:])


def tool(name, command, good, url):
    if not shutil.which(command[0]):
        skipped.append(name)
        return
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    text = done.stdout + done.stderr
    check(name, done.returncode == 0 and good(text), text[-300:])


def requests_library(url):
    import requests
    with requests.Session() as session:
        for size in SIZES:
            check(f"requests: {size}", session.get(f"{url}/bytes/{size}?chunked=1").content == pattern(size))
            answer = session.post(url + "/echo", data=iter([pattern(size), b"x"]))
            check(f"requests: echo in chunks, {size}", answer.content == pattern(size) + b"x")


def urllib3_library(url):
    import urllib3
    pool = urllib3.PoolManager(maxsize=8)
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(
            lambda n: pool.request("GET", f"{url}/bytes/{n}").data == pattern(n), range(0, 4000, 40)))
    check("urllib3, 8 threads", all(answers))


def httpx_library(url):
    import httpx

    async def run():
        async with httpx.AsyncClient(timeout=60) as client:
            answers = await asyncio.gather(*(client.get(f"{url}/bytes/{n * 37}") for n in range(100)))
            check("httpx, 100 at a time", all(a.content == pattern(n * 37) for n, a in enumerate(answers)))
            answer = await client.post(url + "/echo", content=pattern(300_000))
            check("httpx echo", answer.content == pattern(300_000))

    asyncio.run(run())


def aiohttp_library(url):
    import aiohttp

    async def run():
        async with aiohttp.ClientSession() as session:
            async def one(n):
                async with session.get(f"{url}/bytes/{n * 53}?chunked=1") as answer:
                    return await answer.read() == pattern(n * 53)
            check("aiohttp, 100 at a time", all(await asyncio.gather(*(one(n) for n in range(100)))))
            async with session.ws_connect(url + "/ws", compress=15) as ws:
                for size in [0, 1, 125, 126, 65_535, 65_536, 900_000]:
                    await ws.send_bytes(pattern(size))
                    got = await ws.receive_bytes()
                    check(f"aiohttp WebSocket, {size}", got == pattern(size), len(got))
                await ws.send_str("grüße 😀")
                check("aiohttp WebSocket, text", await ws.receive_str() == "grüße 😀")

    asyncio.run(run())


def websockets_library(url):
    import websockets

    async def run():
        for compression in [None, "deflate"]:
            async with websockets.connect(url.replace("http", "ws") + "/ws", compression=compression) as ws:
                for size in [0, 1, 125, 126, 65_535, 65_536, 900_000]:
                    await ws.send(pattern(size))
                    check(f"websockets {compression}, {size}", await ws.recv() == pattern(size))
                await ws.send(["in ", "parts", "€"])
                check(f"websockets {compression}, parts", await ws.recv() == "in parts€")
                await (await ws.ping())
                check(f"websockets {compression}, ping", True)
            check(f"websockets {compression}, close", ws.close_code == 1000, ws.close_code)
        async with websockets.connect(url.replace("http", "ws") + "/ws", max_size=None) as ws:
            await ws.send(bytes((1 << 20) + 1))
            try:
                await ws.recv()
                check("websockets, one byte too much", False, "answered")
            except websockets.ConnectionClosed as closed:
                check("websockets, one byte too much", closed.rcvd and closed.rcvd.code == 1009, closed)

    asyncio.run(run())


def h11_library(port):
    import h11
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(20)
    connection = h11.Connection(our_role=h11.CLIENT)
    for size in SIZES[:4]:
        client.sendall(connection.send(h11.Request(method="POST", target="/echo", headers=[
            ("Host", "x"), ("Transfer-Encoding", "chunked")])))
        client.sendall(connection.send(h11.Data(data=pattern(size))))
        client.sendall(connection.send(h11.EndOfMessage()))
        got = b""
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(client.recv(65_536))
            elif isinstance(event, h11.Data):
                got += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                break
        check(f"h11, a strict peer: {size}", got == pattern(size), len(got))
        connection.start_next_cycle()


def wsproto_library(port):
    import wsproto
    from wsproto import events
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(20)
    peer = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    client.sendall(peer.send(events.Request(host="x", target="/ws")))
    texts, sent, closed = [], ["one", "twö", "x" * 70_000], False
    pending = ""
    while not closed:
        data = client.recv(65_536)
        peer.receive_data(data or None)
        for event in peer.events():
            if isinstance(event, events.AcceptConnection):
                for text in sent:
                    client.sendall(peer.send(events.Message(data=text)))
            elif isinstance(event, events.TextMessage):
                pending += event.data
                if event.message_finished:
                    texts.append(pending)
                    pending = ""
                if len(texts) == len(sent):
                    client.sendall(peer.send(events.CloseConnection(code=1000)))
            elif isinstance(event, events.CloseConnection):
                closed = True
            elif isinstance(event, events.RejectConnection):
                raise RuntimeError(f"rejected with {event.status_code}")
    check("wsproto, a strict peer", texts == sent, [len(text) for text in texts])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def behind(name, program, config, port):
    """A proxy in front: what reaches us through it has been rewritten."""
    if not shutil.which(program):
        skipped.append(name)
        return
    front = free_port()
    file = os.path.join(scratch, name + ".conf")
    with open(file, "w") as out:
        out.write(config.replace("FRONT", str(front)).replace("BACK", str(port)).replace("SCRATCH", scratch))
    command = [program, "-p", scratch, "-c", file] if program == "nginx" else [program, "-f", file]
    proxy = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", front), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        url = f"http://127.0.0.1:{front}"
        for size in SIZES:
            check(f"{name} in front: {size}", curl(f"{url}/bytes/{size}?chunked=1", binary=True) == pattern(size))
            file = os.path.join(scratch, f"body-{size}")
            got = curl("-X", "POST", "--data-binary", "@" + file, url + "/echo", binary=True)
            check(f"{name} in front: echo of {size}", got == pattern(size), len(got))
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            good = list(threads.map(
                lambda n: curl(f"{url}/bytes/{n}", binary=True) == pattern(n), range(0, 20_000, 200)))
        check(f"{name} in front, 8 at a time", all(good))
    finally:
        proxy.terminate()
        proxy.wait(10)


def our_client():
    peers = ClientPeers(PROBE, scratch, CLIENT_SIZES, check, skipped)
    attempt("our client and nginx", lambda: peers.nginx(free_port()))
    attempt("our client and node", peers.node)
    attempt("our client and http.server", lambda: peers.python("http.server"))
    attempt("our client and aiohttp", lambda: peers.python("aiohttp"))


def our_server():
    probe, port = start("0")
    port = int(port)
    url = f"http://127.0.0.1:{port}"
    try:
        attempt("curl", lambda: curls(url, scratch))
        attempt("half-closed", lambda: half_closed(port))
        attempt("pipelined", lambda: pipelined(port))
        attempt("wrk", lambda: tool("wrk", ["wrk", "-t1", "-c50", "-d3s", url + "/bytes/1000"],
                                    lambda text: "Socket errors" not in text and "Non-2xx" not in text, url))
        attempt("h2load", lambda: tool("h2load --h1", ["h2load", "--h1", "-n20000", "-c50", url + "/hello"],
                                       lambda text: "20000 succeeded, 0 failed" in text, url))
        for keep in [[], ["-k"]]:
            attempt("ab", lambda: tool(f"ab {keep}", ["ab", *keep, "-q", "-n5000", "-c50", url + "/bytes/1000"],
                                       lambda text: "Failed requests:        0" in text
                                       and "Complete requests:      5000" in text, url))
        for library in [requests_library, urllib3_library, httpx_library, aiohttp_library, websockets_library]:
            attempt(library.__name__, lambda: library(url))
        for library in [h11_library, wsproto_library]:
            attempt(library.__name__, lambda: library(port))
        attempt("nginx", lambda: behind("nginx", "nginx", NGINX, port))
        attempt("haproxy", lambda: behind("haproxy", "haproxy", HAPROXY, port))
    finally:
        probe.send_signal(signal.SIGTERM)
        try:
            check("the server ends with 0", probe.wait(20) == 0, probe.returncode)
        except subprocess.TimeoutExpired:
            probe.kill()
            check("the server ends", False, "it had to be killed")


def main():
    try:
        if ONLY != "client":
            our_server()
        if ONLY != "server":
            our_client()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    for name in skipped:
        print("skipped: " + name)
    print(f"{len(failures)} failed, {len(skipped)} skipped")
    sys.exit(1 if failures else 0)


main()
