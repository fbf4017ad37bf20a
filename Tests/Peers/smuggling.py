#!/usr/bin/env python3
"""Requests that two readers may understand differently: to our server alone, and through nginx and haproxy.

usage: smuggling.py WEB_PROBE

Alone, each has to be refused with 4xx or 5xx and the connection closed. In every case the request that is hidden
inside, for /smuggled, must never be answered.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROBE = sys.argv[1]
HIDDEN = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
scratch = tempfile.mkdtemp(prefix="smuggling-")


def post(fields, body=b""):
    return b"PUT /sum HTTP/1.1\r\nHost: x\r\n" + fields + b"\r\n" + body


def chunked(body):
    return post(b"Transfer-Encoding: chunked\r\n", body)


CORPUS = {
    # chunk sizes
    "chunk size 0x": chunked(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with _": chunked(b"1_0\r\n0123456789012345\r\n0\r\n\r\n"),
    "chunk size with +": chunked(b"+5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with -": chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk size with a blank before": chunked(b" 5\r\nhello\r\n0\r\n\r\n"),
    "chunk size empty": chunked(b"\r\nhello\r\n0\r\n\r\n"),
    "chunk size and letters": chunked(b"5g\r\nhello\r\n0\r\n\r\n"),
    "chunk size over 64 bits": chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    "chunk size, bare LF": chunked(b"5\nhello\r\n0\r\n\r\n"),
    "chunk size, CR and more": chunked(b"5\rXhello\r\n0\r\n\r\n"),
    "chunk size, two CR": chunked(b"5\r\r;\nhello\r\n0\r\n\r\n"),
    "chunk extension with LF": chunked(b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
    "chunk extension with CR": chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "chunk extension, quoted CRLF": chunked(b'5;a="\r\nhello\r\n0\r\n\r\n'),
    "chunk without CRLF": chunked(b"5\r\nhello0\r\n\r\n"),
    "chunk with another end": chunked(b"5\r\nhelloXX0\r\n\r\n"),
    "last chunk with letters": chunked(b"5\r\nhello\r\n0\r\nX:"),
    "CRLF before the last chunk": chunked(b"5\r\nhello\r\n\r\n0\r\n\r\n"),
    "trailer Content-Length": chunked(b"0\r\nContent-Length: 5\r\n\r\n"),
    "trailer Transfer-Encoding": chunked(b"0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "trailer Host": chunked(b"0\r\nHost: y\r\n\r\n"),
    # lengths and codings
    "both": post(b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "two codings": post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    "coding with a comma before": post(b"Transfer-Encoding: ,chunked\r\n", b"0\r\n\r\n"),
    "chunked, identity": post(b"Transfer-Encoding: chunked, identity\r\n", b"0\r\n\r\n"),
    "xchunked": post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    "chunked behind \\xa0": post(b"Transfer-Encoding: \xa0chunked\r\n", b"0\r\n\r\n"),
    "chunked in 1.0": b"PUT /sum HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked not the last": post(b"Transfer-Encoding: chunked, gzip\r\n", b"0\r\n\r\n"),
    "length empty": post(b"Content-Length: \r\n"),
    "length +5": post(b"Content-Length: +5\r\n", b"hello"),
    "length -1": post(b"Content-Length: -1\r\n"),
    "length 0x10": post(b"Content-Length: 0x10\r\n", b"0123456789012345"),
    "length 1_0": post(b"Content-Length: 1_0\r\n", b"0123456789"),
    "length 1Z": post(b"Content-Length: 1Z\r\n", b"h"),
    "length 5,5": post(b"Content-Length: 5,5\r\n", b"hello"),
    "length 5,6": post(b"Content-Length: 5,6\r\n", b"hello!"),
    "two lengths": post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!"),
    "the same length twice": post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    "length over 64 bits": post(b"Content-Length: 18446744073709551621\r\n", b"hello"),
    # fields
    "name empty": b"GET /hello HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n",
    "blank before the colon": b"GET /hello HTTP/1.1\r\nHost: x\r\nA : y\r\n\r\n",
    "tab before the first field": b"GET /hello HTTP/1.1\r\n\tHost: x\r\n\r\n",
    "folded": b"GET /hello HTTP/1.1\r\nHost: x\r\nA: y\r\n z\r\n\r\n",
    "name with NUL": b"GET /hello HTTP/1.1\r\nHost: x\r\nA\0: y\r\n\r\n",
    "name with \\x80": b"GET /hello HTTP/1.1\r\nHost: x\r\nA\x80: y\r\n\r\n",
    "no colon": b"GET /hello HTTP/1.1\r\nHost: x\r\nA\r\n\r\n",
    "value with NUL": b"GET /hello HTTP/1.1\r\nHost: x\r\nA: y\0z\r\n\r\n",
    "value with CR": b"GET /hello HTTP/1.1\r\nHost: x\r\nA: y\rz\r\n\r\n",
    "value with LF": b"GET /hello HTTP/1.1\r\nHost: x\r\nA: y\nB: z\r\n\r\n",
    # the first line
    "method with a blank": b"GE T /hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "method with letters that are none": b"G\x80T /hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "tab between": b"GET\t/hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "LF between": b"GET\n/hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/1.32": b"GET /hello HTTP/1.32\r\nHost: x\r\n\r\n",
    "HTTP/01.1": b"GET /hello HTTP/01.1\r\nHost: x\r\n\r\n",
    "HTTP/4294967295.255": b"GET /hello HTTP/4294967295.255\r\nHost: x\r\n\r\n",
    "unicode digits": "GET /hello HTTP/１.1\r\nHost: x\r\n\r\n".encode(),
    "another host in the target": b"GET http://y/hello HTTP/1.1\r\nHost: x\r\n\r\n",
    "two hosts": b"GET /hello HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no host": b"GET /hello HTTP/1.1\r\nA: b\r\n\r\n",
    "@ in the host": b"GET /hello HTTP/1.1\r\nHost: x@y\r\n\r\n",
    "HTTP/0.9": b"GET /hello\r\n",
    "head that ends in CR LF CR X": b"GET /hello HTTP/1.1\r\nHost: x\r\n\rX",
}


def exchange(port, request, wait=3):
    """All that comes for a request, and whether the connection was closed."""
    client = socket.create_connection(("127.0.0.1", port))
    client.settimeout(wait)
    got = b""
    try:
        client.sendall(request)
        while piece := client.recv(65_536):
            got += piece
        return got, True
    except socket.timeout:
        return got, False
    except OSError:
        return got, True
    finally:
        client.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port):
    for _ in range(100):
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nobody listens on {port}")


def proxies(back):
    """The proxies that are installed, in front of the server."""
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    from proxy_configs import HAPROXY, NGINX
    for name, config in [("nginx", NGINX), ("haproxy", HAPROXY)]:
        if not shutil.which(name):
            print(f"skipped: {name} is not installed")
            continue
        front = free_port()
        file = os.path.join(scratch, name + ".conf")
        with open(file, "w") as out:
            out.write(config.replace("FRONT", str(front)).replace("BACK", str(back)).replace("SCRATCH", scratch))
        command = ["nginx", "-p", scratch, "-c", file] if name == "nginx" else ["haproxy", "-f", file]
        proxy = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for(front)
        yield name, front, proxy


def main():
    probe = subprocess.Popen([PROBE, "0"], stdout=subprocess.PIPE, text=True)
    port = int(probe.stdout.readline().split()[1])
    bad = 0
    for name, request in CORPUS.items():
        got, closed = exchange(port, request + HIDDEN)
        statuses = re.findall(rb"^HTTP/1\.1 (\d{3}) ", got, re.MULTILINE)
        if len(statuses) != 1 or statuses[0][:1] not in b"45" or not closed:
            bad += 1
            print(f"FAIL  alone: {name}: {statuses}, {'closed' if closed else 'open'}: {got[:120]}")
    print(f"alone: {len(CORPUS)} requests, {bad} of them not refused")
    for proxy_name, front, proxy in proxies(port):
        for name, request in CORPUS.items():
            got, _ = exchange(front, request + HIDDEN, wait=1)
            # A proxy may mend a request, and may itself read the second one: that is two requests in both eyes. What
            # must not be is an answer to the hidden one as the body or the end of the first.
            answers = got.count(b"HTTP/1.1 ")
            if answers > 2 or got.count(b"here it was") > 1:
                bad += 1
                print(f"FAIL  through {proxy_name}: {name}: {got[:200]}")
        # The connections to the server that the proxy keeps must be in step: an answer belongs to its request.
        for number in range(200):
            got, _ = exchange(front, b"GET /bytes/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % number)
            if not got.lower().count(b"content-length: %d\r\n" % number):
                bad += 1
                print(f"FAIL  through {proxy_name}: out of step at {number}: {got[:200]}")
                break
        print(f"through {proxy_name}: {len(CORPUS)} requests")
        proxy.terminate()
        proxy.wait(10)
    probe.send_signal(signal.SIGTERM)
    probe.wait(20)
    shutil.rmtree(scratch, ignore_errors=True)
    sys.exit(1 if bad else 0)


main()
