"""Who takes part: building the peers and ours, finding what is built, and its versions."""
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
OUT = HERE.parent / ".build" / "house"

# Not taking part: what measures.
TOOLS = {"load", "malloc_count.so"}

# Who is the limit: less than this is done by nobody who does the same work by the same system calls.
LIMIT = "c-epoll"


@dataclass(frozen=True)
class Implementation:
    name: str
    path: Path
    is_ours: bool

    def command(self, *arguments):
        return [str(self.path), *map(str, arguments)]


def find(out, only=()):
    """What is built in a folder, sorted by name; only these, if any are named. ValueError for one that is not there."""
    found = [
        Implementation(path.name, path, path.name.startswith("asyncio-"))
        for path in sorted(Path(out).iterdir())
        if path.is_file() and os.access(path, os.X_OK) and path.name not in TOOLS and "." not in path.name
    ] if Path(out).is_dir() else []
    for name in only:
        if not any(one.name == name for one in found):
            raise ValueError(f"{name} is not built in {out}: see bench.py build")
    return [one for one in found if not only or one.name in only]


def build_tools(out):
    """The load generator and the counter of allocations."""
    out.mkdir(parents=True, exist_ok=True)
    subprocess.run([str(HERE.parent / "Load" / "build"), str(out)], check=True)
    compiler = os.environ.get("CC", "cc")
    library = out / "malloc_count.so"
    subprocess.run(
        [compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", str(HERE / "malloc_count.c"), "-o",
         str(library)], check=True)


def build_peers(out, only=()):
    """Runs each peer's build script. Returns why some are not there: name of the folder → reason."""
    skipped = {}
    for script in sorted((HERE.parent / "Peers").glob("*/build")):
        peer = script.parent.name
        if only and peer not in only:
            continue
        print(f"building {peer}", file=sys.stderr, flush=True)
        done = subprocess.run([str(script), str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode == 0:
            continue
        lines = done.stderr.strip().splitlines() or [f"{peer}: ended with {done.returncode}"]
        # A script that knows what is missing says it in one line; anything else is told by its end.
        skipped[peer] = lines[0] if done.returncode == 3 else lines[-1]
        print(f"  skipped: {skipped[peer]}", file=sys.stderr)
    return skipped


def build_ours(out, repository=REPOSITORY, scratch=None):
    """Builds the command as one ships a server, for release and with Swift's runtime in it, and puts a wrapper for each
    driver beside it."""
    out.mkdir(parents=True, exist_ok=True)
    scratch = scratch or out / "ours"
    command = ["swift", "build", "-c", "release", "--static-swift-stdlib", "--product", "asyncio"]
    command += ["--package-path", str(repository), "--scratch-path", str(scratch)]
    subprocess.run(command, check=True, stdout=sys.stderr)
    program = out / "programs" / "asyncio"
    program.parent.mkdir(exist_ok=True)
    strip(Path(scratch) / "release" / "asyncio", program)
    built = _said(["git", "-C", str(repository), "describe", "--always", "--dirty"]) or "unknown"
    for driver in ("epoll", "uring"):
        wrap(out / f"asyncio-{driver}", program, driver)
        (out / f"asyncio-{driver}.version").write_text(built + "\n")


def strip(program, result):
    """A copy without what only debuggers read: nobody ships it, and Valgrind gives up on some compilers'."""
    tool = shutil.which("strip") or shutil.which("llvm-strip")
    if not tool or subprocess.run([tool, "-g", "-o", str(result), str(program)], stderr=subprocess.DEVNULL).returncode:
        shutil.copy2(program, result)


def wrap(path, program, driver):
    """The command line of all implementations, for ours."""
    path.write_text(
        "#!/bin/sh\n"
        f"# Written by bench.py build: `asyncio bench` over {driver}.\n"
        'case "$1" in\n'
        f'echo | proxy | udp) exec "{program}" bench serve "$@" --driver {driver} ;;\n'
        f'*) exec "{program}" bench "$@" --raw --driver {driver} ;;\n'
        "esac\n")
    path.chmod(0o755)


def remember_skipped(out, skipped):
    (out / "skipped.json").write_text(json.dumps(skipped, indent=1))


def skipped_peers(out):
    try:
        return json.loads((Path(out) / "skipped.json").read_text())
    except (OSError, ValueError):
        return {}


# How to ask for a version, by the beginning of a name. `NAME version` would be another process's word for it: these are
# the tools that the peers are built with or run by. A peer with a file NAME.version in the folder knows better.
VERSIONS = [
    ("c-", ["cc", "--version"]),
    ("go", ["go", "version"]),
    ("node", ["node", "--version"]),
    ("libuv", ["pkg-config", "--modversion", "libuv"]),
    ("tokio", ["rustc", "--version"]),
    ("python", ["python3", "--version"]),
    ("nio", ["swift", "--version"]),
    ("swift", ["swift", "--version"]),
]


def version(implementation):
    beside = implementation.path.with_name(implementation.name + ".version")
    if beside.exists():
        return beside.read_text().strip().splitlines()[0]
    for prefix, command in VERSIONS:
        if implementation.name.startswith(prefix):
            return _said(command) or "unknown"
    return "unknown"


def _said(command):
    if not shutil.which(command[0]):
        return ""
    done = subprocess.run(command, capture_output=True, text=True)
    line = (done.stdout.strip().splitlines() or [""])[0]
    return re.sub(r"\s+", " ", line)
