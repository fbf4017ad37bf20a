import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage

extension Transcript {
    static let streams = [
        Transcript("Streams: lines, in pieces that do not fit them") { stage in
            let (client, server) = try await stage.connection()
            let writing = stage.client.start {
                for piece in ["on", "e\ntw", "o\r\n", "\n", "thr", "ee"] {
                    try await client.write(piece)
                    try await stage.settle()
                }
                client.close()
            }
            await stage.tell("lines", at: stage.server) {
                var lines: [String] = []
                for try await line in BufferedReader(server).lines { lines.append(line) }
                return "\(lines)"
            }
            await stage.tell("writer", writing)
        },

        Transcript("Streams: exact reads, numbers, limits, and an end too soon") { stage in
            let (client, server) = try await stage.connection()
            try await stage.client {
                try await client.write([0, 0, 1, 2, 65, 66, 67, 13, 10] + Bytes.pattern(100))
                client.close()
            }
            await stage.tell("server", at: stage.server) {
                let reader = BufferedReader(server)
                stage.note("number: \(try await reader.readInteger() as UInt32)")
                stage.note("peek: \(try await reader.peek(2))")
                stage.note("line: \(try await reader.readLine() ?? "none")")
                do { _ = try await reader.read(until: "zzz", limit: 50) } catch { stage.note("\(error)") }
                stage.note("skipped: \(try await reader.skip(40))")
                _ = try await reader.read(exactly: 1_000)
            }
        },

        Transcript("Streams: frames by length, both ways") { stage in
            let (client, server) = try await stage.connection()
            let serving = stage.server.start {
                let framed = FramedStream(server, LengthPrefixFraming(limit: 100_000))
                while let frame = try await framed.receive() { try await framed.send(frame.reversed()) }
                try await framed.close()
            }
            await stage.tell("client") {
                let framed = FramedStream(client, LengthPrefixFraming(limit: 100_000))
                for count in [0, 1, 255, 70_000] {
                    try await framed.send(Bytes.pattern(count))
                    stage.note("\(try await framed.receive()?.reversed() == Bytes.pattern(count))")
                }
                try await framed.closeWriting()
                return try await framed.receive() == nil
            }
            await stage.tell("server", serving)
        },

        Transcript("Streams: a proxy carries both directions and their ends") { stage in
            let (client, near) = try await stage.connection()
            let (far, server) = try await stage.connection()
            let proxying = Task(executorPreference: EventLoop.current) {
                // The proxy stands at the server for one connection, and at the client for the other one.
                try await copyBidirectional(near, far)
            }
            await stage.tell("client writes") {
                try await client.write(Bytes.pattern(100_000))
                try await client.closeWriting()
            }
            await stage.tell("server reads", at: stage.server) { try await server.readAll() }
            await stage.tell("server answers", at: stage.server) {
                try await server.write("answer")
                try await server.closeWriting()
            }
            await stage.tell("client reads") { try await client.readAll() }
            await stage.tell("proxy", proxying)
        },

        Transcript("Streams: a copy counts, and ends with its source") { stage in
            await stage.tell("copied") {
                let (one, other) = try await UnixStream.pair()
                let (reader, writer) = try await PipeStream.oneWay()
                let copying = stage.client.start { try await copy(from: other, to: writer) }
                try await one.write("through socket and pipe")
                try await one.closeWriting()
                let count = try await copying.value
                writer.close()
                var all: [UInt8] = []
                while let bytes = try await reader.read() { all += bytes }
                return "\(count), \(String(decoding: all, as: UTF8.self))"
            }
        },

        Transcript("Streams: files are sent whole and in part") { stage in
            let path = stage.folder + "/file"
            let (client, server) = try await stage.connection()
            await stage.tell("sent") {
                try await File.writeAll(path, Bytes.pattern(300_000))
                let whole = try await client.sendFile(at: path)
                let part = try await client.sendFile(at: path, from: 1_000, count: 50)
                let rest = try await client.sendFile(at: path, from: 299_990, count: 50)
                let beyond = try await client.sendFile(at: path, from: 400_000)
                return [whole, part, rest, beyond]
            }
            await stage.tell("a file that is not there") { try await client.sendFile(at: path + "x") }
            await stage.tell("a folder") { try await client.sendFile(at: stage.folder) }
            await stage.tell("close") { try await client.closeWriting() }
            await stage.tell("received", at: stage.server) { try await server.readAll() }
        },

        Transcript("Streams: a buffered writer gathers, and tells its error at the next call") { stage in
            let (client, server) = try await stage.connection()
            await stage.tell("write") {
                let writer = BufferedWriter(client)
                for number in 0..<1_000 { try await writer.write("line \(number)\n") }
                try await writer.flush()
                try await writer.close()
            }
            await stage.tell("server reads", at: stage.server) { try await server.readAll() }
        },
    ]
}
