#!/usr/bin/env python3
"""The timeline's page in a real browser: a recording of the tour, and a made one of 200,000 events.

usage: timeline_page.py ASYNCIO [SCREENSHOT_FOLDER] [PAGE...]

ASYNCIO is the command; further pages are opened and photographed, too. Needs chromium and Python's websockets; says so
and ends with 0 where one is missing.
"""
import asyncio
import base64
import json
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

COMMAND = sys.argv[1]
SHOTS = sys.argv[2] if len(sys.argv) > 2 else None
MORE = sys.argv[3:]
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
try:
    import websockets
except ModuleNotFoundError:
    websockets = None
if not BROWSER or not websockets:
    print("skipped: chromium or Python's websockets is not installed")
    sys.exit(0)

HOSTILE = "</script><img src=x onerror=\"document.title='hit'\">'\\\u2028"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# A page with a recording of our own making, in the frame of a real one.

def varint(number):
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


RUN, READY, READ, SLEEP, PARKED, WORK, ASLEEP = 0, 1, 2, 4, 6, 8, 9


def made_recording(tasks, wanted):
    """Echo servers: each task reads, runs, writes at once, waits again. Three events a turn and more."""
    dice = random.Random(7)
    strings = ["", "read", "write", "lock"] + [f"10.0.{n // 250}.{n % 250}:4{n:04}" for n in range(tasks)]
    lanes = [{"spans": [], "marks": [], "time": 0} for _ in range(tasks)]
    loop, clock, events = {"spans": [], "marks": []}, 1_000_000, 0
    while events < wanted:
        batch = dice.sample(range(tasks), dice.randint(1, 12))
        loop["spans"].append((clock - 30_000, clock, ASLEEP, b""))
        woke = clock
        loop["marks"].append((clock, 1, len(batch)))
        for task in batch:
            lane, queued = lanes[task], woke + 2_000
            begin = clock = clock + dice.randint(2_000, 9_000)
            clock += dice.choice([5_000, 20_000, 40_000, 90_000])
            if dice.random() < 0.00005:
                clock += 45_000_000
            kind = SLEEP if task % 10 == 9 else PARKED if task % 10 == 8 else READ
            if kind == SLEEP:
                detail = bytes(3)
            elif kind == PARKED:
                detail = varint(3) + varint(0) + varint(2 * 9)
            else:
                detail = varint(1) + varint(4 + task) + varint(2 * dice.randint(1, 4_000))
            if queued > lane["time"]:
                lane["spans"].append((lane["time"], queued, kind, detail))
                waker = 4 + 2 + batch[0] if kind == PARKED and task != batch[0] else 2 if kind == SLEEP else 1
                lane["spans"].append((queued, begin, READY, varint(waker)))
                lane["spans"].append((begin, clock, RUN, b""))
                lane["marks"].append((begin + (clock - begin) // 2, 0, 2, 4 + task))
                lane["time"] = clock
                events += 6
        loop["spans"].append((woke, clock, WORK, b""))
        clock += 30_000
        events += 3
    data, rows = bytearray(), []
    for number, lane in enumerate([loop] + lanes):
        last = 0
        for start, end, state, detail in lane["spans"]:
            data += varint(max(start - last, 0)) + varint(end - max(start, last)) + bytes([state]) + detail
            last = end
        last = 0
        for moment, kind, *rest in lane["marks"]:
            data += varint(moment - last) + bytes([kind]) + b"".join(map(varint, rest))
            last = moment
        name = None if number == 0 else HOSTILE if number == 6 else f"connection {number - 1}"
        rows.append([0, 0 if number == 0 else number + 1, name, None, 0, 2 if number > 1 else 0, None, 0,
                     len(lane["spans"]), len(lane["marks"])])
    header = {"title": "made " + HOSTILE, "program": "made", "process": 1, "events": events, "lost": 5,
              "duration": clock, "notes": [], "strings": strings, "loops": [[1, "main", "epoll", 1, 5]], "lanes": rows}
    return header, bytes(data)


def made_page(frame, tasks, events):
    header, data = made_recording(tasks, events)
    text = json.dumps(header).replace("<", "\\u003c").replace("\u2028", "\\u2028")
    for name, content in [("trace", text), ("spans", base64.b64encode(data).decode())]:
        before, rest = re.split(r'(?<=id="%s">)' % name, frame, maxsplit=1)
        frame = before + content + rest[rest.index("</script>"):]
    return frame


class Page:
    """One page of the browser, by Chrome's own protocol."""

    def __init__(self, wire):
        self.wire, self.count, self.complaints = wire, 0, []

    async def call(self, method, **parameters):
        self.count += 1
        await self.wire.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            answer = json.loads(await asyncio.wait_for(self.wire.recv(), 60))
            if answer.get("method") == "Runtime.exceptionThrown":
                self.complaints.append(answer["params"]["exceptionDetails"])
            if answer.get("method") in ("Log.entryAdded", "Runtime.consoleAPICalled"):
                self.complaints.append(answer["params"])
            if answer.get("method") == "Network.requestWillBeSent":
                url = answer["params"]["request"]["url"]
                if not url.startswith(("file:", "data:", "about:")):
                    self.complaints.append("fetches " + url)
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["result"]

    async def value(self, script):
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def open(self, path, width=1400, height=900, dark=False, touch=False):
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(domain + ".enable")
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                        mobile=touch)
        await self.call("Emulation.setTouchEmulationEnabled", enabled=touch, maxTouchPoints=2)
        await self.call("Emulation.setEmulatedMedia",
                        features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])
        await self.call("Page.navigate", url="file://" + os.path.abspath(path))
        for _ in range(600):
            if await self.value("document.documentElement?.dataset.painted"):
                return int(await self.value("document.documentElement?.dataset.painted"))
            await asyncio.sleep(0.05)
        raise RuntimeError(f"{path} is not painted: {self.complaints}")

    async def settled(self):
        await self.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    async def key(self, key):
        text = {"text": key} if len(key) == 1 else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)
        await self.settled()

    async def mouse(self, kind, x, y, **more):
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    async def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            await self.mouse(kind, x, y, button="left", clickCount=1)
        await self.settled()

    async def shoot(self, name):
        await self.settled()
        if SHOTS:
            shot = await self.call("Page.captureScreenshot")
            with open(os.path.join(SHOTS, name + ".png"), "wb") as out:
                out.write(base64.b64decode(shot["data"]))


failures = []


def check(holds, what, *seen):
    print("ok    " if holds else "FAIL  ", what, *(one for one in seen if one is not None), flush=True)
    if not holds:
        failures.append(what)


async def click_lane(page, label, share=None):
    """Clicks a lane's name, or its longest run."""
    spot = await page.value(f"""(() => {{
        const lane = lanes.find(lane => lane.name === {json.dumps(label)}), box = stage.getBoundingClientRect();
        const x = {json.dumps(share)} === null ? 20 : xOf((start[lane.longest] + end[lane.longest]) / 2);
        return [box.left + x, box.top + yOf(lane.index) + view.row - 9]; }})()""")
    await page.click(*spot)


async def look_at_tour(page, path):
    painted = await page.open(path)
    check(painted < 2000, "the tour is painted within two seconds:", f"{painted} ms")
    check(await page.value("taskLanes.length") == 11, "every task of the tour has its lane")
    check(await page.value("['keeper', 'Porto', 'Bergen', 'Tunis', 'gull'].every(name => lanes.some(lane => "
                           "lane.name === name))"), "tasks that have ended long ago still have their names")
    await page.shoot("tour")
    await page.value("choose(lanes.findLast(lane => lane.name === 'Bergen').index, true)")
    story = await page.value("document.getElementById('story').innerText")
    check("It kept the loop for 4" in story and "and ended at" in story, "Bergen's story says that it blocks the loop")
    await page.shoot("tour-bergen")
    spot = await page.value("(() => { const lane = lanes[view.chosen], box = stage.getBoundingClientRect(); return "
                            "[box.left + xOf(start[lane.longest] + 1e8), box.top + yOf(lane.index) + 12] })()")
    await page.mouse("mouseMoved", *spot)
    await page.settled()
    tip = await page.value("document.getElementById('tip').innerText")
    check("Runs for 4" in tip and "Woken by" in tip, "a hover says what runs, how long, and who woke it")
    await page.key("Escape")
    await page.value("choose(lanes.find(lane => lane.name === 'A').index, true)")
    await page.key("Enter")
    story = await page.value("document.getElementById('story').innerText")
    check(re.search(r"It waited [\d.]+ ms to read from 127\.0\.0\.1:\d+\.", story) is not None,
          "A's story names what it read from", story[:400] if "to read from" not in story else None)
    check("34 bytes" in story, "and what came")
    check(await page.value("arrowsDrawn") > 0, "arrows lead from wake-ups to runs")
    await page.shoot("tour-life")
    await page.key("s")
    await page.shoot("tour-statistics")
    check("busy" in await page.value("document.getElementById('statistics').innerText"), "statistics are shown")
    await page.key("?")
    check(await page.value("document.getElementById('keys').open"), "? explains the keys")
    await page.shoot("tour-keys")
    await page.key("Escape")
    await page.open(path, dark=True)
    await page.value("choose(lanes.findLast(lane => lane.name === 'Bergen').index, true)")
    await page.shoot("tour-dark")
    await page.open(path, 390, 800, touch=True)
    await page.shoot("tour-small")
    await click_lane(page, "keeper")
    check(await page.value("!document.getElementById('panel').hidden"), "on a small screen, a tap opens the story")
    await page.shoot("tour-small-story")
    check(await page.value("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider than the screen")


async def look_at_many(page, path):
    painted = await page.open(path)
    check(painted < 2000, "200,000 events are painted within two seconds:", f"{painted} ms")
    check(await page.value("trace.events") >= 200_000, "they are 200,000")
    check(await page.value("document.title === 'made ' + " + json.dumps(HOSTILE) + " + ' – timeline'"),
          "a hostile title is shown as it is")
    await page.shoot("many")
    frame = await page.value("""(() => { const times = [];
        for (let n = 0; n < 30; n++) { const at = performance.now(); zoom(n < 15 ? 1.5 : 1 / 1.5, 700); draw();
          times.push(performance.now() - at); } move(0, duration); return times.sort((a, b) => a - b)[15]; })()""")
    check(frame < 50, "half of the frames take less than 50 ms, while zooming:", f"{frame:.1f} ms")
    scroll = await page.value("""(() => { const times = [];
        for (let n = 0; n < 30; n++) { const at = performance.now(); view.scroll += 700; draw();
          times.push(performance.now() - at); } view.scroll = 0; return times.sort((a, b) => a - b)[15]; })()""")
    check(scroll < 50, "and while scrolling:", f"{scroll:.1f} ms")
    await page.key("/")
    for letter in "10.0.1.7:":
        await page.key(letter)
    check(await page.value("document.getElementById('found').textContent") == "1 of 1,000", "a search finds a peer")
    await page.key("Enter")
    story = await page.value("document.getElementById('story').innerText")
    check("connection 257" in story and "10.0.1.7:40257" in story, "and Enter tells the task's story", story[:200]
          if "connection 257" not in story else None)
    await page.shoot("many-search")
    await page.key("Escape")
    check(await page.value("document.getElementById('found').textContent") == "", "Escape ends the search")
    await page.value("search('#' + 7)")
    check(await page.value("view.rows.length") == 1, "#7 is one task")
    await page.value("choose(view.rows[0], true)")
    check(HOSTILE.replace("\u2028", "") in (await page.value("document.querySelector('#story h2').textContent"))
          .replace("\u2028", ""), "a hostile name is text")
    check(await page.value("document.images.length + document.querySelectorAll('#story script').length") == 0,
          "and makes no elements")
    await page.key("Escape")
    await page.value("search('')")
    before = await page.value("view.to - view.from")
    await page.mouse("mouseWheel", 800, 400, deltaX=0, deltaY=-900)
    await page.settled()
    check(await page.value("view.to - view.from") < before / 2, "the wheel zooms")
    for _ in range(9):
        await page.key("+")
    await page.shoot("many-near")
    from0 = await page.value("view.from")
    await page.key("ArrowRight")
    check(await page.value("view.from") > from0, "an arrow key moves")
    from0, scroll0 = await page.value("view.from"), await page.value("view.scroll")
    await page.mouse("mousePressed", 900, 600, button="left", clickCount=1)
    for step in range(1, 6):
        await page.mouse("mouseMoved", 900 - 20 * step, 600 - 30 * step, button="left", buttons=1)
    await page.mouse("mouseReleased", 800, 450, button="left", clickCount=1)
    await page.settled()
    check(await page.value("view.from") > from0 and await page.value("view.scroll") == scroll0 + 150,
          "dragging moves in time and through the lanes")
    await page.key("0")
    check(await page.value("view.from === 0 && view.to === duration"), "0 shows everything again")
    await page.value("showSpan(taskLanes[20], taskLanes[20].longest)")
    await page.shoot("many-span")
    await page.key("s")
    await page.shoot("many-statistics")
    await page.open(path, 390, 800, touch=True)
    await page.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[
        {"x": 150, "y": 400}, {"x": 250, "y": 400}])
    for step in range(1, 6):
        await page.call("Input.dispatchTouchEvent", type="touchMove", touchPoints=[
            {"x": 150 - 20 * step, "y": 400}, {"x": 250 + 20 * step, "y": 400}])
    await page.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    check(await page.value("(view.to - view.from) / duration") < 0.5, "two fingers zoom")
    await page.shoot("many-small")


async def run(debug, scratch):
    tour = os.path.join(scratch, "tour.html")
    subprocess.run([COMMAND, "tour", "--trace", tour], check=True, stdout=subprocess.DEVNULL)
    with open(tour, encoding="utf-8") as page:
        frame = page.read()
    many = os.path.join(scratch, "many.html")
    with open(many, "w", encoding="utf-8") as out:
        out.write(made_page(frame, 1_000, 200_000))
    request = urllib.request.Request(f"http://127.0.0.1:{debug}/json/new?about:blank", method="PUT")
    target = json.load(urllib.request.urlopen(request))["webSocketDebuggerUrl"]
    async with websockets.connect(target, max_size=None) as wire:
        page = Page(wire)
        await look_at_tour(page, tour)
        await look_at_many(page, many)
        for more in MORE:
            name = os.path.splitext(os.path.basename(more))[0]
            painted = await page.open(more)
            check(painted < 2000, f"{name} is painted within two seconds:", f"{painted} ms")
            await page.shoot(name)
            await page.value("zoom(view.to / Math.max(duration / 400, 1e6))")
            await page.shoot(name + "-near")
        check(not page.complaints, "the browser has nothing to complain about", page.complaints or None)


def main():
    debug, scratch = free_port(), tempfile.mkdtemp(prefix="timeline-page-")
    browser = subprocess.Popen(
        [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={scratch}/profile",
         f"--remote-debugging-port={debug}", "--remote-allow-origins=*", "--window-size=1400,900", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{debug}/json/version").close()
                break
            except OSError:
                time.sleep(0.1)
        asyncio.run(run(debug, scratch))
    finally:
        browser.terminate()
        browser.wait(20)
        shutil.rmtree(scratch, ignore_errors=True)
    sys.exit(1 if failures else 0)


main()
