#!/usr/bin/env python3
"""The web chat in a real browser: two pages and a plain socket talk; the server restarts, and the pages come back.

usage: web_chat.py ASYNCIO [SCREENSHOT_FOLDER]

Needs chromium and Python's websockets; says so and ends with 0 where one is missing.
"""
import asyncio
import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ASYNCIO = sys.argv[1]
SHOTS = sys.argv[2] if len(sys.argv) > 2 else None
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
try:
    import websockets
except ModuleNotFoundError:
    websockets = None
if not BROWSER or not websockets:
    print("skipped: chromium or Python's websockets is not installed")
    sys.exit(0)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def serve(port, web):
    server = subprocess.Popen([ASYNCIO, "serve", "chat", "--port", str(port), "--web", str(web)],
                              stdout=subprocess.PIPE, text=True)
    while "in browsers" not in (line := server.stdout.readline()):
        if not line:
            sys.exit("the server did not start")
    return server


class Page:
    """One page of the browser, by Chrome's own protocol."""

    def __init__(self, wire):
        self.wire = wire
        self.count = 0

    async def call(self, method, **parameters):
        self.count += 1
        await self.wire.send(json.dumps({"id": self.count, "method": method, "params": parameters}))
        while True:
            answer = json.loads(await asyncio.wait_for(self.wire.recv(), 30))
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(answer["error"])
                return answer["result"]

    async def value(self, script):
        return (await self.call("Runtime.evaluate", expression=script))["result"].get("value")

    async def until(self, script, what):
        for _ in range(300):
            if await self.value(script):
                return print("ok    " + what, flush=True)
            await asyncio.sleep(0.1)
        raise RuntimeError(f"{what}: {await self.value('document.body.innerText')}")

    async def say(self, line):
        await self.value(f"text.value = {json.dumps(line)}; document.getElementById('form').requestSubmit()")

    async def shows(self, line, what):
        await self.until(f"lines.innerText.includes({json.dumps(line)})", what)

    async def shoot(self, name):
        if SHOTS:
            shot = await self.call("Page.captureScreenshot")
            with open(os.path.join(SHOTS, name), "wb") as out:
                out.write(base64.b64decode(shot["data"]))


async def talk(debug, port, web):
    targets = []
    for _ in range(2):
        request = urllib.request.Request(f"http://127.0.0.1:{debug}/json/new?http://127.0.0.1:{web}/", method="PUT")
        targets.append(json.load(urllib.request.urlopen(request))["webSocketDebuggerUrl"])
    first, second = (websockets.connect(target, max_size=None) for target in targets)
    async with first as one, second as two:
        anna, bob = Page(one), Page(two)
        for page, name in [(anna, "anna"), (bob, "bob")]:
            await page.until("state.className === 'on'", f"{name}'s page connects")
            await page.say(name)
            await page.shows(f"You are in #lobby, {name}", f"{name} has a name")
        await anna.say("hello bob, from a page")
        await bob.shows("hello bob, from a page", "bob reads what anna says")
        await bob.say("grüße 😀 <b>not bold</b>")
        await anna.shows("grüße 😀 <b>not bold</b>", "anna reads what bob says, tags and all")
        plain = socket.create_connection(("127.0.0.1", port))
        plain.sendall(b"carl\nhello pages, from nc\n")
        await anna.shows("hello pages, from nc", "the pages read what a plain socket says")
        await anna.say("/who")
        await anna.shows("anna (you), bob, carl", "all are in one room")
        await anna.shoot("chat-1.png")
        await bob.call("Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=1, mobile=True)
        await bob.shoot("chat-2-small.png")
        yield anna, bob
        await anna.until("state.className === 'off'", "anna's page notices the server's end")
        await anna.shoot("chat-3-gone.png")
        yield anna, bob
        for page, name in [(anna, "anna"), (bob, "bob")]:
            await page.until("state.className === 'on'", f"{name}'s page is back")
        await anna.until("lines.innerText.split('You are in #lobby, anna').length === 3", "anna has her name again")
        await bob.until("lines.innerText.split('You are in #lobby, bob').length === 3", "bob, too")
        await bob.say("are you back?")
        await anna.shows("are you back?", "they talk again")
        await anna.shoot("chat-4-back.png")


async def run(debug, port, web):
    server = serve(port, web)
    steps = talk(debug, port, web)
    try:
        await anext(steps)
        server.send_signal(signal.SIGTERM)
        print("ok    " if server.wait(20) == 0 else "FAIL  ", "the server ends with 0", flush=True)
        await anext(steps)
        server = serve(port, web)
        async for _ in steps:
            pass
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def main():
    debug, port, web = free_port(), free_port(), free_port()
    scratch = tempfile.mkdtemp(prefix="web-chat-")
    browser = subprocess.Popen(
        [BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={scratch}",
         f"--remote-debugging-port={debug}", "--remote-allow-origins=*", "--window-size=900,600", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{debug}/json/version").close()
                break
            except OSError:
                time.sleep(0.1)
        asyncio.run(run(debug, port, web))
    finally:
        browser.terminate()
        browser.wait(20)
        shutil.rmtree(scratch, ignore_errors=True)


main()
