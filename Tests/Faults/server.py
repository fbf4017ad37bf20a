"""A probe under observation: its process, its descriptors, its time; and clients of it."""

import collections
import functools
import os
import re
import resource
import select
import signal
import socket
import subprocess
import tempfile
import time

LIMIT = 20.0  # seconds that anything may take

# Which driver the probes run on. Over io_uring, too, most of what a server does is a call: the ring gets what has to
# wait. What strace cannot make fail is what completes inside of it.
ENVIRONMENT = {**os.environ, "SWIFT_BACKTRACE": "enable=no", "ASYNCIO_DRIVER": "epoll"}

# How many faults have been injected.
FAULTS = []

# Whoever is started from a Dispatch worker, as Swift's tests are, inherits a mask that blocks SIGTERM.
signal.pthread_sigmask(signal.SIG_SETMASK, [])


class Failure(Exception):
    """What a scenario expected did not hold."""


def expect(condition, message):
    if not condition:
        raise Failure(message)


def until(condition, message, limit=LIMIT):
    """Waits until the condition holds."""
    end = time.monotonic() + limit
    while not condition():
        expect(time.monotonic() < end, f"not within {limit} s: {message}")
        time.sleep(0.005)


def command(probe, arguments, inject=()):
    """The probe's command line, under strace where calls are to fail."""
    line = [probe, *arguments]
    if inject:
        FAULTS.append(inject)
        names = ",".join(sorted({rule.split(":")[0] for rule in inject}))
        strace = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={names}"]
        for rule in inject:
            strace += ["-e", f"inject={shifted(probe, rule)}"]
        line = strace + line
    return line


@functools.cache
def calls(probe, mode):
    """How often each system call is made by a thread of a probe that nothing befalls: strace counts for each thread."""
    with tempfile.NamedTemporaryFile("r") as trace:
        line = ["strace", "-f", "-qq", "-o", trace.name, probe, mode]
        subprocess.run(line, stdout=subprocess.DEVNULL, timeout=LIMIT, check=True, env=ENVIRONMENT)
        found = re.findall(r"^(\d+) +(\w+)\(", trace.read(), re.MULTILINE)
    # What is traced as well is the programs that the probe starts.
    children = {process for process, name in found if name == "execve"} - {found[0][0]}
    counts = collections.Counter()
    for (process, name), count in collections.Counter(found).items():
        if process not in children:
            counts[name] = max(counts[name], count)
    return counts


def over_a_ring():
    return ENVIRONMENT["ASYNCIO_DRIVER"] == "io_uring"


def own_calls(probe, name):
    """How often the process makes a call before its program uses the loop: files are loaded, and a ring is tried."""
    return calls(probe, "nothing")[name] if name not in LOOP_CALLS else 0


# Those that the loop makes for itself, and that shall fail as well.
LOOP_CALLS = {
    "clone", "clone3", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd2", "io_uring_enter",
    "io_uring_setup",
}


def shifted(probe, rule):
    """The rule, with the calls numbered from the first one that the probe's program makes."""
    own = own_calls(probe, rule.split(":")[0])
    match = re.match(r"(.*:when=)(\d+)(\.\.)?(\d+)?(.*)$", rule)
    if own == 0 or not match:
        return rule
    head, first, dots, last, tail = match.groups(default="")
    return f"{head}{int(first) + own}{dots}{int(last) + own if last else ''}{tail}"


def run(probe, arguments, inject=()):
    """Runs a probe to its end: (exit code, output). The code of a crash is negative."""
    process = subprocess.Popen(
        command(probe, arguments, inject), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        env=ENVIRONMENT)
    try:
        output, _ = process.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        # The group is our child's own; strace alone would leave its child behind.
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise Failure(f"{arguments} hangs with {inject}") from None
    return process.returncode, output.decode()


class Server:
    """A probe that serves."""

    def __init__(self, probe, mode="serve", inject=(), descriptors=None, arguments=()):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            command(probe, [mode, *arguments], inject), stdout=subprocess.PIPE, stderr=self.errors,
            preexec_fn=limit if descriptors else None, env=ENVIRONMENT)
        line = self.process.stdout.readline().decode()
        match = re.match(r"listening (\d+) (\d+)", line)
        expect(match, f"no server: {line!r} {self.reports()}")
        self.port, self.pid = int(match[1]), int(match[2])
        self.probe = probe

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def cpu(self):
        """Seconds of processor time so far."""
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def status(self, key):
        """A number of /proc/PID/status: kilobytes for VmRSS."""
        with open(f"/proc/{self.pid}/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith(key + ":"))

    def switches(self):
        """How often any of its threads has gone to sleep."""
        total = 0
        for task in os.listdir(f"/proc/{self.pid}/task"):
            with open(f"/proc/{self.pid}/task/{task}/status") as file:
                total += next(int(line.split()[1]) for line in file if line.startswith("voluntary"))
        return total

    def reports(self):
        self.errors.seek(0)
        return self.errors.read().decode().splitlines()

    def stop(self, code=0, tell=True):
        """Ends it, or waits for its own end, and expects a good one."""
        if tell and self.process.poll() is None:
            os.kill(self.pid, signal.SIGTERM)
        try:
            found = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait()
            raise Failure(f"did not end after SIGTERM: {self.reports()[:5]}") from None
        output = self.process.stdout.read().decode()
        expect(found == code, f"exit code {found} instead of {code}: {output} {self.reports()[:5]}")
        return output

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Only what this object has started.
        if self.process.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
            self.process.wait()


def connect(port, source=None):
    client = socket.socket()
    client.settimeout(LIMIT)
    if source:
        client.setsockopt(socket.IPPROTO_IP, 24, 1)  # IP_BIND_ADDRESS_NO_PORT
        client.bind((source, 0))
    client.connect(("127.0.0.1", port))
    return client


def receive(client, count):
    data = b""
    while len(data) < count:
        part = client.recv(count - len(data))
        if not part:
            break
        data += part
    return data


def echo(client, data=b"hello"):
    """One question and its answer."""
    client.sendall(data)
    return receive(client, len(data)) == data


def served(port, data=b"hello"):
    """Whether a fresh client is served, to the end of its stream."""
    with connect(port) as client:
        if not echo(client, data):
            return False
        client.shutdown(socket.SHUT_WR)
        return client.recv(1) == b""


def tried(port):
    """What one client gets: served, or how it was refused."""
    try:
        return "served" if served(port) else "closed"
    except (ConnectionResetError, BrokenPipeError, ConnectionRefusedError):
        return "closed"
    except TimeoutError:
        return "hung"


def readable(clients, limit):
    return select.select(clients, [], [], limit)[0]
