"""Implementations for the tests: servers of Python, and works of the shell that always cost the same."""
import sys
import tempfile
from pathlib import Path

from implementations import Implementation

HERE = Path(__file__).resolve().parent
# Ends with the tests.
_place = tempfile.TemporaryDirectory(prefix="house-")
FOLDER = Path(_place.name)


def script(name, text):
    path = FOLDER / name
    path.write_text(text)
    path.chmod(0o755)
    return Implementation(name, path, name.startswith("asyncio-"))


def python_server(name="python-right", fault="none"):
    """A server of the fixed command line, by wrong_servers.py."""
    kinds = 'case "$1" in echo) ;; udp) udp=--udp ;; *) echo "does no $1" >&2; exit 3 ;; esac\n'
    return script(name, f'#!/bin/sh\n{kinds}exec {sys.executable} {HERE}/wrong_servers.py {fault} "$2" $udp\n')


def task(name, cost):
    """A work that always costs the same."""
    time = f"'$(($2 * {cost}))'"
    told = f'{{"work":"\'$1\'","operations":\'$2\',"wall_ns":{time},"cpu_ns":{time},"peak_kib":1024}}'
    return script(name, f"#!/bin/sh\ncase $1 in echo | udp | proxy) exit 3 ;; esac\necho '{told}'\n")
