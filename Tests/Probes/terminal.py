"""terminal.py PRESSES PROGRAM ARGUMENT...: runs a program at a terminal of its own, and presses Ctrl-C there.

The first time after its first line, then after each further one. Prints what the terminal shows, and how it ended.
"""
import os
import pty
import sys

presses, program = int(sys.argv[1]), sys.argv[2:]
process, terminal = pty.fork()
if process == 0:
    os.execv(program[0], program)
shown = b""
pressed = 0
while True:
    try:
        part = os.read(terminal, 4096)
    except OSError:  # EIO: nobody is left at the other side.
        break
    if not part:
        break
    shown += part
    if pressed < presses and shown.count(b"\n") > pressed:
        pressed += 1
        os.write(terminal, b"\x03")
_, status = os.waitpid(process, 0)
sys.stdout.write(shown.decode().replace("\r\n", "\n"))
print("signal %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else "exit %d" % os.WEXITSTATUS(status))
