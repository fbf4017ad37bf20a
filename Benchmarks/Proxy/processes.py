"""Starting programs, and asking the kernel what they cost."""
import contextlib, os, random, socket, subprocess, time


def free_port():
    """A port of loopback that nobody has now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    """What all threads of a process, and its children so far, have used."""
    total = 0.0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError):
            total += int(open(f"/proc/{pid}/task/{thread}/schedstat").read().split()[0]) / 1e9
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    ended_children = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    running = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout.split()
    return total + ended_children + sum(cpu_seconds(int(child)) for child in running)


def memory(pid, what="VmRSS"):
    """Kilobytes: VmRSS now, VmHWM at most."""
    for line in open(f"/proc/{pid}/status"):
        if line.startswith(what + ":"):
            return int(line.split()[1])
    return 0


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


@contextlib.contextmanager
def running(command, port=None, core=None, **options):
    """A program that is ended with the block; begins when it listens on the port."""
    words = ([] if core is None else ["taskset", "-c", str(core)]) + command
    process = subprocess.Popen(words, stdout=options.get("stdout", subprocess.DEVNULL),
                               stderr=options.get("stderr", subprocess.DEVNULL))
    try:
        deadline = time.monotonic() + 20
        while port is not None:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(f"{command[0]} does not listen on port {port}")
                time.sleep(0.02)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def seed(given=None):
    """The seed of this run, printed, so that it can be repeated."""
    chosen = int(given) if given is not None else random.randrange(1 << 32)
    print(f"seed {chosen}", flush=True)
    return random.Random(chosen)
