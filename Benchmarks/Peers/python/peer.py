"""peer.py LOOP KIND WORK [ARGUMENTS]: Python's asyncio, on its own loop or on uvloop's.

The servers are written with protocols (callbacks, the faster way) or with streams (coroutines, the usual way). Works of
tasks are the same for both kinds, so that only the first has them."""

import asyncio
import sys

import servers
import tasks


def cannot(why):
    print(why, file=sys.stderr)
    sys.exit(3)


def main():
    loop, kind, work, *arguments = sys.argv[1:]
    numbers = [int(argument) for argument in arguments]
    body = getattr(servers, f"{work}_{kind}", None)
    if not body and kind == "streams" and work != "start":
        cannot(f"{work}: the same as that of python-{loop}")
    body = body or getattr(tasks, work.replace("-", "_"), None)
    if not body:
        cannot(f"{work}: unknown")
    if loop == "uvloop":
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    elif sys.version_info < (3, 12):
        # What later versions do by themselves, instead of a thread for each child.
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())
    asyncio.run(body(*numbers))


main()
