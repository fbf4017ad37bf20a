import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage

extension Transcript {
    static let locals = [
        Transcript("Unix: by a path: who is who, what is said, and no file afterwards") { stage in
            let path = stage.folder + "/socket"
            await stage.tell("nobody is there") { _ = try await UnixStream.connect(path) }
            await stage.tell("talk") {
                let listener = try await UnixListener.bind(path)
                let client = try await UnixStream.connect(path)
                let server = try await listener.accept()
                stage.note(
                    "\(listener), \(client), \(server), \(await client.local as Any), \(await server.local as Any)")
                let kind = try await File.information(at: path).kind
                stage.note("there is a \(kind)")
                let users = [try await client.peerCredentials.userID, try await server.peerCredentials.userID]
                stage.note("our own users: \(users == [getuid(), getuid()])")
                try await client.write("ping")
                try await client.closeWriting()
                stage.note("server reads \(String(decoding: try await server.gather(4), as: UTF8.self))")
                stage.note("server reads \(try await server.read() == nil)")
                try await server.write("pong")
                server.close()
                listener.close()
                return try await client.gather(4)
            }
            await stage.tell("is the file there?") { try await File.exists(at: path) }
        },

        Transcript("Unix: a path in use, one that is no socket, one without a folder, and one that is too long") {
            stage in
            let path = stage.folder + "/socket"
            let listener = try await stage.client { try await UnixListener.bind(path) }
            await stage.tell("bind again") { _ = try await UnixListener.bind(path) }
            await stage.tell("bind again, refusing") {
                _ = try await UnixListener.bind(path, options: UnixOptions(staleFile: .refuse))
            }
            let file = stage.folder + "/file"
            await stage.tell("bind to a file") {
                try await File.writeAll(file, [1])
                _ = try await UnixListener.bind(file)
            }
            await stage.tell("connect to a file") { _ = try await UnixStream.connect(file) }
            await stage.tell("bind without a folder") { _ = try await UnixListener.bind(stage.folder + "/no/socket") }
            await stage.tell("bind to a long path") {
                _ = try await UnixListener.bind("/" + String(repeating: "x", count: 108))
            }
            listener.close()
        },

        Transcript("Unix: abstract names leave no file, and are free again") { stage in
            let name = "asyncio-transcript-\(stage.folder.replacing("/", with: "-"))-\(getpid())"
            stage.names.set("NAME", for: name)
            await stage.tell("talk") {
                let address = try SocketAddress.unix(abstract: name)
                let listener = try await UnixListener.bind(to: address)
                let client = try await UnixStream.connect(to: address)
                let server = try await listener.accept()
                stage.note("\(listener), \(client.peer), \(await server.local as Any)")
                try await server.write("hello")
                server.close()
                do { _ = try await UnixListener.bind(to: address) } catch { stage.note("\(error)") }
                listener.close()
                do { _ = try await UnixStream.connect(to: address) } catch { stage.note("\(error)") }
                try await UnixListener.bind(to: address).close()
                return try await client.gather(5)
            }
        },

        Transcript("Unix: close with unread data, write to one who has gone") { stage in
            await stage.tell("pair") {
                let (one, other) = try await UnixStream.pair()
                stage.note("\(one), \(one.peer), \(await one.local as Any)")
                try await one.write("unread")
                other.close()
                do { stage.note("read: \(try await one.read() as Any)") } catch { stage.note("read: \(error)") }
                do { stage.note("read: \(try await one.read() as Any)") } catch { stage.note("read: \(error)") }
                try await one.write("x")
            }
            await stage.tell("pair that is closed in order") {
                let (one, other) = try await UnixStream.pair()
                other.close()
                stage.note("read: \(try await one.read() as Any)")
                try await one.write("x")
            }
            await stage.tell("pair that finishes") {
                let (one, other) = try await UnixStream.pair()
                try await one.closeWriting()
                stage.note("read: \(try await other.read() as Any)")
                try await other.write("back")
                stage.note("read: \(try await one.gather(4).count)")
                try await one.write("x")
            }
        },

        Transcript("Unix: a megabyte waits for its reader") { stage in
            await stage.tell("received") {
                let (one, other) = try await UnixStream.pair()
                async let sent: Void = {
                    try await one.write(Bytes.pattern(1 << 20))
                    one.close()
                }()
                try await stage.settle()
                var all: [UInt8] = []
                while let bytes = try await other.read(upTo: 10_000) { all += bytes }
                try await sent
                return all
            }
        },

        Transcript("Unix: datagrams arrive whole, in order, with their sender's path") { stage in
            let (here, there) = (stage.folder + "/here", stage.folder + "/there")
            await stage.tell("talk") {
                let receiver = try await UnixDatagramSocket.bind(there)
                let sender = try await UnixDatagramSocket.bind(here)
                stage.note("\(receiver), \(sender)")
                try await sender.send("one", to: receiver.local)
                try await sender.send("", to: receiver.local)
                try await sender.send(Bytes.pattern(5_000), to: receiver.local)
                for _ in 0..<3 {
                    let datagram = try await receiver.receive(upTo: 1_000)
                    stage.note("\(datagram.bytes.count) of \(datagram.info.length) from \(datagram.peer)")
                }
                let connected = try await UnixDatagramSocket.connect(there)
                try await connected.send("nameless")
                stage.note("from \(try await receiver.receive().peer)")
                receiver.close()
                stage.note("there is a file: \(try await File.exists(at: there))")
                do { try await connected.send("gone") } catch { stage.note("\(error)") }
                do { try await sender.send("gone", to: receiver.local) } catch { stage.note("\(error)") }
                try await sender.send(Bytes.pattern(212_960), to: sender.local)
                stage.note("\(try await sender.receive().bytes.count)")
                try await sender.send(Bytes.pattern(212_961), to: sender.local)
            }
        },

        Transcript("Unix: a full queue makes senders wait") { stage in
            await stage.tell("received") {
                let (one, other) = try await UnixDatagramSocket.pair()
                async let sent: Void = { for number in 0..<500 { try await one.send([UInt8(number % 251)]) } }()
                try await stage.settle()
                var all: [UInt8] = []
                while all.count < 500 { all += try await other.receive().bytes }
                try await sent
                return all
            }
        },

        Transcript("Pipes: their end, their break, and much through them") { stage in
            await stage.tell("received") {
                let (reader, writer) = try await PipeStream.oneWay()
                async let sent: Void = {
                    try await writer.write(Bytes.pattern(500_000))
                    writer.close()
                }()
                try await stage.settle()
                var all: [UInt8] = []
                while let bytes = try await reader.read(upTo: 7_000) { all += bytes }
                try await sent
                stage.note("at the end: \(try await reader.read() as Any)")
                return all
            }
            await stage.tell("no reader") {
                let (reader, writer) = try await PipeStream.oneWay()
                reader.close()
                try await writer.write("x")
            }
            await stage.tell("the reader goes while somebody writes") {
                let (reader, writer) = try await PipeStream.oneWay()
                let writing = stage.client.start { try await writer.write(Bytes.pattern(500_000)) }
                try await stage.settle()
                reader.close()
                try await writing.value
            }
            await stage.tell("the wrong way") {
                let (reader, writer) = try await PipeStream.oneWay()
                do { _ = try await writer.read() } catch { stage.note("\(error)") }
                try await reader.write("x")
            }
            await stage.tell("cancelled") {
                let (reader, writer) = try await PipeStream.oneWay()
                let reading = stage.client.start { try await reader.read() }
                try await stage.settle()
                reading.cancel()
                do { _ = try await reading.value } catch { stage.note("\(error is CancellationError)") }
                try await writer.write("kept")
                return try await reader.gather(4)
            }
        },
    ]
}
