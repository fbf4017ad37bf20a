import asyncio

HOST = "127.0.0.1"
LIMIT = 65536  # what streams read at once, as the other peers


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


async def serve(server):
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


async def echo_protocols(port):
    loop = asyncio.get_running_loop()
    await serve(await loop.create_server(Echo, HOST, port, backlog=4096))


running = set()  # the loop refers to tasks weakly, as asyncio's documentation warns


async def pump(reader, writer):
    while data := await reader.read(LIMIT):
        writer.write(data)
        await writer.drain()


async def echo_streams(port):
    async def client(reader, writer):
        running.add(task := asyncio.current_task())
        task.add_done_callback(running.discard)
        try:
            await pump(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    await serve(await asyncio.start_server(client, HOST, port, backlog=4096, limit=LIMIT))


class End(asyncio.Protocol):
    """One end of a proxied connection."""

    other = None
    transport = None
    read_ended = False
    early = b""  # what came before the target was there: asyncio starts to read after connection_made

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        if self.other:
            self.other.transport.write(data)
        else:
            self.early += data

    def eof_received(self):
        self.read_ended = True
        if not self.other:
            return True
        if self.other.read_ended:
            self.other.transport.close()
            return False  # closes this end's
        self.other.transport.write_eof()
        return True

    def pause_writing(self):
        self.other.transport.pause_reading()

    def resume_writing(self):
        self.other.transport.resume_reading()

    def connection_lost(self, _):
        if self.other:
            self.other.transport.close()


async def proxy_protocols(port, target):
    loop = asyncio.get_running_loop()
    connecting = set()

    class Client(End):
        def connection_made(self, transport):
            super().connection_made(transport)
            transport.pause_reading()
            task = loop.create_task(self.connect())
            connecting.add(task)
            task.add_done_callback(connecting.discard)

        async def connect(self):
            try:
                _, server = await loop.create_connection(End, HOST, target)
            except OSError:
                self.transport.close()
                return
            self.other, server.other = server, self
            server.transport.write(self.early)
            if self.transport.is_closing():
                server.transport.close()
            elif self.read_ended:
                server.transport.write_eof()
            else:
                self.transport.resume_reading()

    await serve(await loop.create_server(Client, HOST, port, backlog=4096))


async def proxy_streams(port, target):
    async def one_way(reader, writer):
        await pump(reader, writer)
        writer.write_eof()

    async def client(reader, writer):
        running.add(task := asyncio.current_task())
        task.add_done_callback(running.discard)
        try:
            up_reader, up_writer = await asyncio.open_connection(HOST, target, limit=LIMIT)
        except OSError:
            writer.close()
            return
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(one_way(reader, up_writer))
                group.create_task(one_way(up_reader, writer))
        except* OSError:
            pass
        finally:
            writer.close()
            up_writer.close()

    await serve(await asyncio.start_server(client, HOST, port, backlog=4096, limit=LIMIT))


class EchoDatagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


async def udp_protocols(port):
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(EchoDatagrams, (HOST, port))
    print("ready", flush=True)
    await asyncio.Event().wait()
