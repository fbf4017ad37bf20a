#!/usr/bin/env python3
"""Runs a command where io_uring is forbidden, as in most containers.

    python3 Tests/Faults/without_uring.py [--error ENOSYS] [--user nobody] [--memlock 0] -- COMMAND ...

A seccomp(2) filter answers the three system calls of io_uring(7) with an error (EPERM, as Docker's own filter does) and
lets everything else through. It is inherited by all that the command starts. With --user and --memlock the command
runs as somebody else, who may lock so many bytes; the filter is left out then with --error none.
"""
import argparse
import ctypes
import errno
import os
import pwd
import resource
import struct
import sys

PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, JUMP_AT_LEAST, JUMP_ABOVE, ANSWER = 0x20, 0x35, 0x25, 0x06
ALLOW, ERROR = 0x7FFF0000, 0x00050000
FIRST, LAST = 425, 427  # io_uring_setup, _enter, _register: the same on all architectures


def forbid(number: int, first: int, last: int) -> None:
    steps = [
        (LOAD, 0, 0, 0),  # the number of the system call
        (JUMP_AT_LEAST, 0, 2, first),
        (JUMP_ABOVE, 1, 0, last),
        (ANSWER, 0, 0, ERROR | number),
        (ANSWER, 0, 0, ALLOW),
    ]
    code = b"".join(struct.pack("HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(steps), ctypes.addressof(buffer))
    holder = ctypes.create_string_buffer(program, len(program))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(holder), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "seccomp")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--error", default="EPERM", help="the error's name, or none")
    parser.add_argument("--only", choices=["setup", "enter", "register"], help="which of the three calls")
    parser.add_argument("--user", help="who runs it")
    parser.add_argument("--memlock", type=int, help="how many bytes may be locked")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not command:
        parser.error("no command")
    if options.memlock is not None:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (options.memlock, options.memlock))
    if options.user:
        user = pwd.getpwnam(options.user)
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        os.environ["HOME"] = "/tmp"
    if options.error != "none":
        first, last = FIRST, LAST
        if options.only:
            first = last = FIRST + ["setup", "enter", "register"].index(options.only)
        forbid(getattr(errno, options.error), first, last)
    os.execvp(command[0], command)


if __name__ == "__main__":
    sys.exit(main())
