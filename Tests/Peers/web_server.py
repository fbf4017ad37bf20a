"""Python's own HTTP server with bodies of any size, for a look at what others send and understand.

It prints its port. `GET /length/N`, `/chunks/N`, `/end/N` and `/gzip/N` answer N bytes, whose ends are told in that
way; `POST` answers how many bytes came, and their Adler-32.
"""

import gzip
import http.server
import zlib

PERIOD = bytes((i * 7 + 3) & 255 for i in range(251)) * 277


def pattern(count):
    """The bytes as pieces."""
    while count > 0:
        yield PERIOD[:count]
        count -= len(PERIOD)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def log_message(self, *_):
        pass

    def do_GET(self):
        kind, count = self.path.strip("/").split("/")
        count = int(count)
        pieces = pattern(count)
        self.send_response(200)
        if kind == "gzip":
            body = gzip.compress(b"".join(pieces))
            pieces, count = [body], len(body)
            self.send_header("Content-Encoding", "gzip")
        if kind == "chunks":
            self.send_header("Transfer-Encoding", "chunked")
        elif kind == "end":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(count))
        self.end_headers()
        if self.command == "HEAD":
            return
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if kind == "chunks" else piece)
        if kind == "chunks":
            self.wfile.write(b"0\r\nX-End: yes\r\n\r\n")

    do_HEAD = do_GET

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                assert self.rfile.readline() == b"\r\n"
            assert self.rfile.readline() == b"\r\n"
        else:
            left = int(self.headers["Content-Length"])
            while left:
                piece = self.rfile.read(min(left, 1 << 20))
                yield piece
                left -= len(piece)

    def do_POST(self):
        count, total = 0, 1
        for piece in self.body():
            count, total = count + len(piece), zlib.adler32(piece, total)
        body = b"%d %d" % (count, total)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
