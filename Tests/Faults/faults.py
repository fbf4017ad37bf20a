#!/usr/bin/env -S python3 -B
"""Makes system calls of a probe fail, and looks at what is left: usage: faults.py PROBE SCENARIO… (or --list).

After each fault: a fresh client is served, nothing is lost but the one connection, the descriptors are back to where
they were, nothing hangs or spins, and the probe ends with the right code. Exit code: 0 kept, 1 broken, 77 not possible
here.
"""

import shutil
import subprocess
import sys
import time

import bad_weather  # noqa: F401: registers its scenarios
import failing_calls  # noqa: F401
from scenario import NEEDS_STRACE, SCENARIOS
from server import Failure


def main():
    arguments = sys.argv[1:]
    if arguments == ["--list"] or len(arguments) < 1:
        print("\n".join(SCENARIOS))
        return 0
    probe, names = arguments[0], arguments[1:] or list(SCENARIOS)
    code = 0
    for name in names:
        if name in NEEDS_STRACE and not shutil.which("strace"):
            print(f"{name}: skipped: strace is not installed")
            code = code or 77
            continue
        start = time.monotonic()
        try:
            SCENARIOS[name](probe)
            print(f"{name}: kept, {time.monotonic() - start:.1f} s")
        except (Failure, subprocess.TimeoutExpired, OSError) as error:
            print(f"{name}: BROKEN: {type(error).__name__}: {error}")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
