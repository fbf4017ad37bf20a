#!/usr/bin/env python3
"""AsyncIOTLS beside a loop of OpenSSL's: rounds interleaved, CPU time of the server, medians.

compare.py [send] [receive] [handshake] [idle] [--rounds 7] [--records 40000] [--size 16384] [--handshakes 2000]
           [--connections 5000] [--cipher NAME] [--driver auto|epoll|io_uring] [--ours NAME=PROGRAM …] [--core N]
Without a word: everything. Prints the CPU time of a write of SIZE bytes, of reading as much, and of a handshake by each
kind of certificate, with the ratio to OpenSSL's, taken round by round; and the memory of a connection that idles, after
the handshake, after 100 bytes there and back, and after 20,000.

Needs a C compiler, OpenSSL's headers (libssl-dev) and its command. Both servers speak TLS 1.3 with the same peer, over
X25519 and one cipher: left to themselves they would choose different ones.
"""
import argparse, os, pathlib, resource, shutil, statistics, subprocess, sys, tempfile

here = pathlib.Path(__file__).resolve().parent
options = argparse.ArgumentParser()
options.add_argument("what", nargs="*")
options.add_argument("--rounds", type=int, default=7)
options.add_argument("--records", type=int, default=40_000)
options.add_argument("--size", type=int, default=16_384)
options.add_argument("--handshakes", type=int, default=2_000)
options.add_argument("--connections", type=int, default=5_000)
options.add_argument("--ours", nargs="+", default=[f"ours={here}/.build/release/tls-costs"])
options.add_argument("--cipher", default="TLS_AES_128_GCM_SHA256")
options.add_argument("--driver", default="auto")
options.add_argument("--core", type=int, help="pin the server to this core, its peer to the others")
o = options.parse_args()
wanted = o.what or ["send", "receive", "handshake", "idle"]
if unknown := set(wanted) - {"send", "receive", "handshake", "idle"}:
    sys.exit(f"unknown: {', '.join(unknown)}")
programs = dict(name.split("=", 1) for name in o.ours)
for program in programs.values():
    if not os.access(program, os.X_OK):
        sys.exit(f"{program}: build it first: swift build -c release --package-path {here}")
for command in ("cc", "openssl"):
    if not shutil.which(command):
        sys.exit(f"{command} is missing")

scratch = tempfile.TemporaryDirectory(prefix="tls-costs-")
loop = f"{scratch.name}/openssl_loop"
built = subprocess.run(
    ["cc", "-O2", "-o", loop, f"{here}/openssl_loop.c", "-lssl", "-lcrypto"], capture_output=True, text=True)
if built.returncode != 0:
    if "openssl/" in built.stderr:
        sys.exit("OpenSSL's headers are missing: install libssl-dev")
    sys.exit(built.stderr)


def certificate(name, *key):
    """A certificate that signs itself, and its key."""
    paths = f"{scratch.name}/{name}.pem", f"{scratch.name}/{name}.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", *key, "-nodes", "-sha256", "-days", "2", "-subj", "/CN=localhost",
         "-out", paths[0], "-keyout", paths[1]], check=True, capture_output=True)
    return paths


certificates = {
    "ECDSA P-256": certificate("ec", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
    "RSA 2048": certificate("rsa", "rsa:2048"),
}


def pinned(is_server):
    if o.core is None:
        return None
    others = os.sched_getaffinity(0) - {o.core} or {o.core}
    return lambda: os.sched_setaffinity(0, {o.core} if is_server else others)


def run(server, what, kind, count, size):
    """What the server says of itself: nanoseconds, or bytes."""
    command = [*server, what, *certificates[kind], str(count), str(size)] + ([o.driver] if server[0] != loop else [])
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=pinned(True)) as serving:
        port = serving.stdout.readline().split()[1]
        dialling = [loop, "dial", what, port, o.cipher, str(count), str(size)]
        peer = subprocess.Popen(dialling, stdin=subprocess.PIPE, preexec_fn=pinned(False))
        try:
            value = int(serving.stdout.readline().split()[1])
            peer.stdin.close()
            serving.wait(60)
            if peer.wait(60) != 0:
                sys.exit("the peer has failed")
            return value
        finally:
            serving.kill()
            peer.kill()
            peer.wait()


def compare(title, what, kind, count, size):
    servers = {"OpenSSL": [loop, "serve"]} | {name: [program] for name, program in programs.items()}
    costs = {name: [] for name in servers}
    for _ in range(o.rounds):
        for name, server in servers.items():
            costs[name].append(run(server, what, kind, count, size) / count / 1000)
    for name in servers:
        ratio = statistics.median(a / b for a, b in zip(costs[name], costs["OpenSSL"]))
        print(f"{title}, {name}: {statistics.median(costs[name]):.2f} µs CPU ({min(costs[name]):.2f} to "
              f"{max(costs[name]):.2f}), × {ratio:.2f}", flush=True)


for what in ("send", "receive"):
    if what in wanted:
        compare(f"{what} {o.size} bytes", what, "ECDSA P-256", o.records, o.size)
if "handshake" in wanted:
    for kind in certificates:
        compare(f"handshake by {kind}", "handshake", kind, o.handshakes, 0)
if "idle" in wanted:
    need = o.connections + 200
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < need:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if hard < need:
            sys.exit(f"idle needs {need} open files, and {hard} are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (need, hard))
    for size in (0, 100, 20_000):
        for name, program in programs.items():
            memory = [run([program], "idle", "ECDSA P-256", o.connections, size) for _ in range(3)]
            print(f"idle after {size} bytes there and back, {name}: "
                  f"{statistics.median(memory) / o.connections / 1000:.1f} KB a connection", flush=True)
