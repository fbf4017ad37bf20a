"""Processes that are measured: started on a core, awaited, looked into, ended."""
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path


class Skipped(Exception):
    """The implementation cannot do this work, and says why."""


class Failed(Exception):
    """Something went wrong, or an answer was wrong."""


def on_core(*numbers):
    """For Popen's preexec_fn: the child and its children stay on these cores."""
    return lambda: os.sched_setaffinity(0, set(numbers))


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


def first_line(text):
    return next((line.strip() for line in text.splitlines() if line.strip()), "")


class Server:
    """A server of an implementation, ready to be asked; a context manager, at whose end it is stopped."""

    def __init__(self, command, core, environment=None, patience=20):
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.errors, stdin=subprocess.DEVNULL, preexec_fn=on_core(core),
            env={**os.environ, **(environment or {})}, start_new_session=True)
        try:
            self._await_ready(patience)
        except BaseException:
            self.stop()
            raise

    def _await_ready(self, patience):
        end = time.monotonic() + patience
        line = b""
        while not line.endswith(b"\n"):
            readable, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            if not readable:
                raise Failed(f"is not ready after {patience} s")
            byte = os.read(self.process.stdout.fileno(), 1)
            if not byte:
                self._raise_for_end()
            line += byte
        if not line.startswith(b"ready"):
            raise Failed(f"says {line!r}, not ready")

    def _raise_for_end(self):
        code = self.process.wait()
        said = self.complaint()
        raise Skipped(said) if code == 3 else Failed(f"ended with {code} before it was ready: {said}")

    def complaint(self):
        self.errors.seek(0)
        return first_line(self.errors.read())

    def pids(self):
        """The process and its descendants: a wrapper may not have replaced itself."""
        return tree(self.process.pid)

    def load(self):
        """The options that tell the load generator whose processor time to read."""
        return [word for pid in self.pids() for word in ("--server", str(pid))]

    def status(self, field):
        """A memory figure of /proc/PID/status, summed over the processes, in bytes."""
        return sum(status(pid, field) for pid in self.pids())

    def stop_by_traffic(self, port):
        """Asks it to end, and wakes it up.

        Valgrind hands a signal over only when a call returns, and does not know that io_uring_enter can wait.
        """
        for pid in self.pids():
            _kill(pid, signal.SIGTERM)
        for _ in range(10):
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.3)
                return
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as one:
                one.send(b"x")
            with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.sendto(b"x", ("127.0.0.1", port))

    def stop(self):
        """Asks it to end, so that it may write what it wants to; ends it if it does not."""
        if self.process.poll() is None:
            for pid in reversed(self.pids()):
                _kill(pid, signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                for pid in self.pids():
                    _kill(pid, signal.SIGKILL)
                self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.errors.close()


def _kill(pid, number):
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def tree(pid):
    """The process and all that descend from it."""
    children = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            # The name in parentheses may contain anything; the state and the parent stand after the last one.
            parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        children.setdefault(parent, []).append(int(entry))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def status(pid, field):
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def ask(load, mode, port, options, core, servers=(), patience=120):
    """Runs the load generator to its end; what it printed, as a dictionary."""
    command = [str(load), mode, str(port), *map(str, options), *servers]
    done = subprocess.run(command, capture_output=True, text=True, timeout=patience, preexec_fn=on_core(core))
    if done.returncode != 0:
        raise Failed(f"load: {first_line(done.stderr).removeprefix('load: ') or done.returncode}")
    return json.loads(done.stdout)


def one_shot(command, cores, environment=None, patience=600):
    """Runs a work that prints a line of JSON; the dictionary, or Skipped, or Failed."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=patience, stdin=subprocess.DEVNULL,
        preexec_fn=on_core(*cores), env={**os.environ, **(environment or {})})
    if done.returncode == 3:
        raise Skipped(first_line(done.stderr))
    if done.returncode != 0:
        raise Failed(f"ended with {done.returncode}: {first_line(done.stderr)}")
    try:
        return json.loads(first_line(done.stdout))
    except ValueError:
        raise Failed(f"printed {first_line(done.stdout)!r}, no JSON") from None
