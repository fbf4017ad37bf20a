"""System calls that fail, by strace."""

from scenario import check, scenario
from server import Server, calls, connect, echo, expect, over_a_ring, own_calls, run, tried, until

# accept(2)

TRANSIENT = [
    "ECONNABORTED", "EPROTO", "EPERM", "ENETDOWN", "ENOPROTOOPT", "EHOSTDOWN", "ENONET", "EHOSTUNREACH", "EOPNOTSUPP",
    "ENETUNREACH", "EINTR",
]
EXHAUSTED = ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"]


@scenario()
def accept_fails_once(probe):
    for error in TRANSIENT:
        check(probe, [f"accept4:error={error}:when=1"], clients=3)
        check(probe, [f"accept4:error={error}:when=3"], clients=5)


@scenario()
def accept_fails_every_third_time(probe):
    for error in TRANSIENT:
        check(probe, [f"accept4:error={error}:when=3+3"])


@scenario()
def accept_fails_for_a_while(probe):
    for error in ["EPROTO", "EPERM", "ENETDOWN"]:
        found = check(probe, [f"accept4:error={error}:when=2..60"], reports=3)
        expect(found, f"{error}: an accept that always fails has to be told")
        print(f"{error} 59 times: {found}")


@scenario()
def accept_finds_nothing_left(probe):
    for error in EXHAUSTED:
        check(probe, [f"accept4:error={error}:when=1"], reports=1)
        check(probe, [f"accept4:error={error}:when=3+3"], reports=3)
        found = check(probe, [f"accept4:error={error}:when=2..30"], reports=2)
        expect(found and "accepting pauses" in found[0], f"{error}: {found}")
        print(f"{error} 29 times: {found}")


@scenario()
def accept_fails_for_good(probe):
    check(probe, ["accept4:error=EINVAL:when=3"], clients=5)
    for error, when in [("EINVAL", "3+"), ("ENOTSOCK", "3+"), ("EBADF", "3")]:
        with Server(probe, inject=[f"accept4:error={error}:when={when}"]) as server:
            with connect(server.port) as first:
                expect(echo(first), "the first one is served")
                # The call that fails is this one's, or the one after.
                results = [tried(server.port) for _ in range(2)]
                expect("served" not in results[1:], f"{error}: {results}")
                expect(echo(first), f"{error}: the end of the listener is not the end of its connections")
                until(server.reports, f"{error}: told at once, while connections go on")
                print(server.reports())
            output = server.stop(code=2, tell=False)
            expect("error: accept 127.0.0.1" in output, f"{error}: {output}")


# read and write


@scenario()
def read_fails(probe):
    if calls(probe, "start")["recvfrom"] == own_calls(probe, "recvfrom"):
        return print("skipped: the ring receives by itself here, without a call that could fail")
    for error in ["ECONNRESET", "ETIMEDOUT", "ENOMEM", "ENOBUFS", "EIO", "EHOSTUNREACH", "ENOTCONN"]:
        found = check(probe, [f"recvfrom:error={error}:when=5"], lost=1, reports=1)
        expect(len(found) == 1 and "connection 127.0.0.1:" in found[0], f"{error}: {found}")


@scenario()
def write_fails(probe):
    for error in ["EPIPE", "ECONNRESET", "ENOBUFS", "ENOMEM", "EIO", "ETIMEDOUT", "EHOSTUNREACH"]:
        found = check(probe, [f"sendto:error={error}:when=4"], lost=1, reports=1)
        expect(len(found) == 1 and "connection 127.0.0.1:" in found[0], f"{error}: {found}")


@scenario()
def calls_are_interrupted(probe):
    waits = ["io_uring_enter"] if over_a_ring() else ["epoll_pwait2", "epoll_pwait"]
    made = calls(probe, "start")
    for call in ["sendto", "accept4", *waits]:
        expect(made[call] > 0, f"nobody calls {call}: {made}")
    for call in ["recvfrom", "sendto", "accept4", *waits]:
        for when in ["1", "2+2", "3..9"]:
            check(probe, [f"{call}:error=EINTR:when={when}"])
    check(probe, [f"{call}:error=EINTR:when=3+3" for call in ["recvfrom", "sendto", "accept4", *waits]])


# The loop's own calls


@scenario(drivers=["epoll"])
def registering_fails(probe):
    # The first two registrations are the loop's own, for its wake-up and for signals; the next one is the listener's.
    for error in ["ENOSPC", "ENOMEM"]:
        found = check(probe, [f"epoll_ctl:error={error}:when=3"], reports=1)
        expect(len(found) == 1 and "accepting pauses" in found[0], f"listener {error}: {found}")
        for number in range(4, 10):
            check(probe, [f"epoll_ctl:error={error}:when={number}"], lost=1, reports=1)


@scenario(drivers=["epoll"])
def waiting_in_nanoseconds_is_not_there(probe):
    """A kernel before 5.11, and a container whose filter answers EPERM to what it does not know."""
    check(probe, ["epoll_pwait2:error=ENOSYS"])
    check(probe, ["epoll_pwait2:error=EPERM"])


@scenario(drivers=["io_uring"])
def waiting_in_the_ring_fails_for_a_moment(probe):
    """What is to be submitted stays, and so do the completions: the next call takes them."""
    for error in ["EAGAIN", "EBUSY"]:
        for when in ["3", "5+2", "9..30"]:
            check(probe, [f"io_uring_enter:error={error}:when={when}"])


@scenario(drivers=["auto"])
def the_ring_is_refused(probe):
    """At the trial or later, for want of a privilege, memory or descriptors: epoll takes over, and one line says so."""
    for error in ["EPERM", "ENOSYS", "ENOMEM", "EMFILE", "ENFILE", "EINVAL"]:
        for when in ["1+", "2+", "3+"]:
            found = check(probe, [f"io_uring_setup:error={error}:when={when}"], reports=1)
            expect(not found or found[0].startswith("asyncio: using epoll, since io_uring is "), f"{error}: {found}")
            expect(found or when != "1+", f"{error}: nothing said")


def each_in_turn(probe, mode, faults):
    """Lets each call of each kind fail once: what is told. There is an error that names the call, no crash, no hang."""
    told = []
    for call, error in faults:
        for number in range(1, calls(probe, mode)[call] - own_calls(probe, call) + 1):
            inject = f"{call}:error={error}:when={number}"
            code, output = run(probe, [mode], [inject])
            if code == 0:
                expect(output == "ok\n", f"{inject}: {output}")
                continue
            expect(code == 2 and output.startswith("error: "), f"{inject}: exit code {code}: {output}")
            expect(output.count("\n") == 1, f"{inject}: {output}")
            told.append(f"{call} {number}: {output.strip()[7:]}")
    print(f"{len(told)} faults told, among them: " + "; ".join(told[::3]))
    return told


@scenario()
def starting_fails(probe):
    """A25."""
    told = each_in_turn(probe, "start", [
        ("epoll_create1", "EMFILE"), ("eventfd2", "EMFILE"), ("epoll_ctl", "ENOSPC"), ("io_uring_setup", "ENOMEM"),
        ("socket", "EMFILE"), ("bind", "EACCES"), ("listen", "EADDRINUSE"), ("setsockopt", "EINVAL"),
        ("getsockname", "ENOBUFS"), ("connect", "EADDRNOTAVAIL"), ("accept4", "EMFILE"), ("recvfrom", "ENOMEM"),
        ("sendto", "ENOBUFS"), ("shutdown", "ENOBUFS"), ("clone3", "EAGAIN"), ("clone", "EAGAIN"),
        ("getsockopt", "ENOBUFS"),
    ])
    expect(len(told) >= 10, f"only these faults were noticed: {told}")


@scenario()
def working_fails(probe):
    """Files and children: what fails leaves the old file or the new one, and no child."""
    told = each_in_turn(probe, "work", [
        ("openat", "EMFILE"), ("fsync", "EIO"), ("renameat2", "EIO"), ("pwrite64", "ENOSPC"),
        ("pread64", "EIO"), ("statx", "EIO"), ("pipe2", "EMFILE"), ("pidfd_open", "EMFILE"),
        ("clone3", "EAGAIN"), ("waitid", "EINTR"),
    ])
    expect(len(told) >= 5, f"only these faults were noticed: {told}")


# connect(2)


@scenario()
def connect_fails(probe):
    with Server(probe) as server:
        for error, text in [
            ("ENETUNREACH", "Network is unreachable"), ("EADDRNOTAVAIL", "Cannot assign requested address"),
            ("ETIMEDOUT", "Connection timed out"), ("ECONNREFUSED", "Connection refused"),
            ("EACCES", "Permission denied"), ("EPERM", "Operation not permitted"),
            ("EAGAIN", "Resource temporarily unavailable"), ("ECONNRESET", "Connection reset by peer"),
            ("EHOSTUNREACH", "No route to host"),
        ]:
            code, output = run(probe, ["client", str(server.port)], [f"connect:error={error}:when=1"])
            expect(code == 2, f"{error}: {code} {output}")
            expect(output == f"error: connect 127.0.0.1:{server.port}: {text}\n", f"{error}: {output}")
        code, output = run(probe, ["client", str(server.port)], ["getsockopt:error=ENOBUFS:when=1"])
        expect(code in (0, 2) and (code == 0 or "connect 127.0.0.1" in output), f"{code} {output}")
        code, output = run(probe, ["client", str(server.port)])
        expect((code, output) == (0, "ok\n"), f"{code} {output}")
        server.stop()
