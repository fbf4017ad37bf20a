#!/usr/bin/env python3
"""Servers for our client, as others write them: `http_servers.py http.server|aiohttp`. Prints `port N`.

GET /length/N and /chunks/N answer with so many bytes of the pattern; PUT /sum/… with the count and the SHA-256 of what
was handed in.
"""
import hashlib
import http.server
import sys

BLOCK = bytes(range(251)) * 4096


def pieces(count):
    while count > 0:
        yield BLOCK[:count]
        count -= min(count, len(BLOCK))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        _, kind, count = self.path.split("/")
        self.send_response(200)
        if kind == "length":
            self.send_header("Content-Length", count)
        else:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces(int(count)):
            self.wfile.write(piece if kind == "length" else b"%x\r\n%s\r\n" % (len(piece), piece))
        if kind != "length":
            self.wfile.write(b"0\r\n\r\n")

    def do_PUT(self):
        count, total = 0, hashlib.sha256()
        for piece in self.body():
            count += len(piece)
            total.update(piece)
        answer = f"{count} {total.hexdigest()}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def body(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            left = int(self.headers.get("Content-Length", 0))
            while left > 0:
                piece = self.rfile.read(min(left, 1 << 18))
                left -= len(piece)
                yield piece
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass


def serve_with_aiohttp():
    from aiohttp import web

    async def get(request):
        answer = web.StreamResponse()
        if request.match_info["kind"] == "length":
            answer.content_length = int(request.match_info["count"])
        else:
            answer.enable_chunked_encoding()
        await answer.prepare(request)
        for piece in pieces(int(request.match_info["count"])):
            await answer.write(piece)
        await answer.write_eof()
        return answer

    async def put(request):
        count, total = 0, hashlib.sha256()
        async for piece in request.content.iter_any():
            count += len(piece)
            total.update(piece)
        return web.Response(text=f"{count} {total.hexdigest()}")

    application = web.Application(client_max_size=1 << 40)
    application.router.add_get("/{kind}/{count}", get)
    application.router.add_put("/sum/{count}", put)

    async def run():
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        print("port", runner.addresses[0][1], flush=True)
        await asyncio.Event().wait()

    import asyncio
    asyncio.run(run())


if sys.argv[1] == "aiohttp":
    serve_with_aiohttp()
else:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print("port", server.server_address[1], flush=True)
    server.serve_forever()
