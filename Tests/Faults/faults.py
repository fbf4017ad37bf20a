#!/usr/bin/env -S python3 -B
"""Makes system calls of a probe fail, and looks at what is left: usage: faults.py PROBE DRIVER SCENARIO… (or --list).

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
from scenario import DRIVERS, NEEDS_STRACE, SCENARIOS
from server import ENVIRONMENT, FAULTS, Failure


def main():
    arguments = sys.argv[1:]
    if arguments == ["--list"] or len(arguments) < 1:
        print("\n".join(f"{driver} {name}" for name in SCENARIOS for driver in DRIVERS[name]))
        return 0
    probe, driver = arguments[:2]
    names = arguments[2:] or [name for name in SCENARIOS if driver in DRIVERS[name]]
    ENVIRONMENT["ASYNCIO_DRIVER"] = driver
    code = 0
    for name in names:
        if name in NEEDS_STRACE and not shutil.which("strace"):
            print(f"{name}: skipped: strace is not installed")
            code = code or 77
            continue
        start, faults = time.monotonic(), len(FAULTS)
        try:
            SCENARIOS[name](probe)
            print(f"{name}: kept, {len(FAULTS) - faults} faults over {driver}, {time.monotonic() - start:.1f} s")
        except (Failure, subprocess.SubprocessError, OSError) as error:
            print(f"{name}: BROKEN: {type(error).__name__}: {error}")
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
