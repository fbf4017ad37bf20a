import asyncio
import json
import os
import re
import sys
import threading
import time


def peak_kib():
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1])


class Mark:
    def __init__(self):
        self.peak = peak_kib()
        self.wall, self.cpu = time.monotonic_ns(), time.process_time_ns()

    def report(self, work, operations, **fields):
        wall, cpu = time.monotonic_ns() - self.wall, time.process_time_ns() - self.cpu
        print(json.dumps(
            {"work": work, "operations": operations, "wall_ns": wall, "cpu_ns": cpu, "peak_kib": peak_kib(), **fields}))

    def report_memory(self, work, operations):
        self.report(work, operations, bytes_each=(peak_kib() - self.peak) * 1024 // operations)


def measured(body):
    """A tenth of the work to warm up, then all of it."""

    async def whole(count):
        await body(count // 10)
        mark = Mark()
        await body(count)
        mark.report(body.__name__.replace("_", "-"), count)

    return whole


def expect(right):
    if not right:
        raise RuntimeError("an item was lost")


async def nothing():
    pass


@measured
async def spawn(count):
    loop = asyncio.get_running_loop()
    for start in range(0, count, 100):
        for task in [loop.create_task(nothing()) for _ in range(start, min(count, start + 100))]:
            await task


@measured
async def switch(count):
    async def turns():
        for _ in range(count // 2):
            await asyncio.sleep(0)

    await asyncio.gather(turns(), turns())


@measured
async def queue(count):
    items = asyncio.Queue(64)

    async def putting():
        for number in range(count):
            await items.put(number)

    task = asyncio.create_task(putting())
    for number in range(count):
        expect(await items.get() == number)
    await task


@measured
async def hand_over(count):
    there, back = asyncio.Queue(1), asyncio.Queue(1)

    async def answering():
        for _ in range(count):
            await back.put(await there.get())

    task = asyncio.create_task(answering())
    for number in range(count):
        await there.put(number)
        expect(await back.get() == number)
    await task


@measured
async def lock(count):
    lock, value = asyncio.Lock(), 0
    for _ in range(count):
        async with lock:
            value += 1
    expect(value == count)


@measured
async def async_let(count):
    async def child(number):
        return number

    for number in range(count):
        expect(await asyncio.create_task(child(number)) == number)


@measured
async def group(count):
    for _ in range(count // 10):
        async with asyncio.TaskGroup() as ten:
            for _ in range(10):
                ten.create_task(nothing())


async def sleepers(count):
    mark = Mark()
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(asyncio.sleep(3))
    mark.report_memory("sleepers", count)


def spread(index, span):
    """The same order of deadlines in every peer, in seconds."""
    return (index * 2654435761 & 0xFFFFFFFF) * span / 2**32


async def timers(count):
    loop = asyncio.get_running_loop()

    def insert_and_cancel(count):
        inserting = time.monotonic_ns()
        start = loop.time() + 60
        handles = [loop.call_at(start + spread(index, 60), nothing) for index in range(count)]
        cancelling = time.monotonic_ns()
        for handle in handles:
            handle.cancel()
        return cancelling - inserting, time.monotonic_ns() - cancelling

    insert_and_cancel(count // 10)
    await asyncio.sleep(0)
    mark = Mark()
    insert, cancel = insert_and_cancel(count)
    await asyncio.sleep(0)  # cancelled timers are taken out in the loop's next turn
    mark.report("timers", count, insert_ns=insert, cancel_ns=cancel)


async def timers_fire(count):
    loop, mark, early, left = asyncio.get_running_loop(), Mark(), 0, count
    done = loop.create_future()
    # uvloop's clock is a cached one of whole milliseconds: deadlines are told by the exact one.
    start = time.monotonic() + 1
    offset = loop.time() - time.monotonic()

    def fire(deadline):
        nonlocal early, left
        early += time.monotonic() < deadline
        left -= 1
        if not left:
            done.set_result(None)

    for index in range(count):
        deadline = start + spread(index, 1)
        loop.call_at(deadline + offset, fire, deadline)
    await done
    last = start + max(spread(index, 1) for index in range(count))
    mark.report("timers-fire", count, late_ns=int((time.monotonic() - last) * 1e9), early=early)


async def cross(count):
    """Between two threads with a loop each: call_soon_threadsafe is what crosses."""
    home, other = asyncio.get_running_loop(), asyncio.new_event_loop()
    there, back = asyncio.Queue(1), asyncio.Queue(1)

    async def answering():
        while (number := await there.get()) is not None:
            home.call_soon_threadsafe(back.put_nowait, number)

    thread = threading.Thread(target=other.run_until_complete, args=(answering(),))
    thread.start()
    mark, warm_up = Mark(), count // 10
    for number in range(warm_up + count):
        if number == warm_up:
            mark = Mark()
        other.call_soon_threadsafe(there.put_nowait, number)
        expect(await back.get() == number)
    mark.report("cross", count)
    other.call_soon_threadsafe(there.put_nowait, None)
    thread.join()


async def files(count):
    path = f"/tmp/python-files-{os.getpid()}"
    with open(path, "wb") as file:
        file.write(bytes(64 << 20))
    file = open(path, "rb")
    os.unlink(path)
    loop, descriptor = asyncio.get_running_loop(), file.fileno()

    @measured
    async def files(count):
        state = 88172645463325252
        for _ in range(count):
            state ^= state << 13 & 0xFFFFFFFFFFFFFFFF
            state ^= state >> 7
            state ^= state << 17 & 0xFFFFFFFFFFFFFFFF
            piece = await loop.run_in_executor(None, os.pread, descriptor, 4096, state % (64 << 8) * 4096)
            expect(len(piece) == 4096)

    await files(count)


@measured
async def children(count):
    for _ in range(count):
        child = await asyncio.create_subprocess_exec("/bin/true")
        expect(await child.wait() == 0)


async def parked(count):
    mark, never = Mark(), asyncio.Event()
    _ = [asyncio.create_task(never.wait()) for _ in range(count)]
    await asyncio.sleep(0)
    mark.report_memory("parked", count)
    sys.stdout.flush()
    os._exit(0)  # or all of them would be cancelled first


@measured
async def call(count):
    for _ in range(count):
        await nothing()


async def start():
    await asyncio.create_task(nothing())
