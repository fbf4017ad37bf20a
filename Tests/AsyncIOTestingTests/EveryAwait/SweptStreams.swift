import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting

extension SweptOperation {
    static let streams: [SweptOperation] = [
        SweptOperation("MemoryStream.read loses nothing") { loop in
            let (one, other) = MemoryStream.pair(capacity: 3)
            loop.spawn(name: "writer") {
                for byte in 0..<12 {
                    try await one.write([UInt8(byte)])
                    if byte % 4 == 0 { try await loop.sleep(for: .seconds(1)) }
                }
                one.close()
            }
            return (other, Log<UInt8>())
        } _: { stream, log in
            for _ in 0..<4 { for byte in try await stream.read(upTo: 2) ?? [] { log.add(byte) } }
            var buffer = IOBuffer(capacity: 3)
            _ = try await stream.read(into: &buffer)
            for byte in buffer.withBytes({ unsafe $0.withUnsafeBytes { unsafe [UInt8]($0) } }) { log.add(byte) }
        } then: { stream, log in
            while let bytes = try await stream.read(upTo: 5) { for byte in bytes { log.add(byte) } }
            try expect(log.all == Array(0..<12), "\(log.all)")
        },

        SweptOperation("MemoryStream.write, closeWriting") { loop in
            let (one, other) = MemoryStream.pair(capacity: 2)
            loop.spawn(name: "reader") {
                while let bytes = try await other.read(upTo: 1) {
                    if bytes[0] % 3 == 0 { try await loop.sleep(for: .seconds(1)) }
                }
            }
            return (one, loop)
        } _: { stream, _ in
            try await stream.write([0, 1, 2, 3, 4])
            try await stream.write(contentsOf: [[5], [6, 7], [8]])
            try await stream.closeWriting()
        } then: { stream, loop in
            stream.close()
            try await loop.sleep(for: .seconds(60))
        },

        SweptOperation("BufferedReader keeps what it has received") { loop in
            let (one, other) = MemoryStream.pair(capacity: 4)
            loop.spawn(name: "writer") {
                for part in ["on", "e\ntw", "o\nthr", "ee\nfour\n"] {
                    try await one.write(part)
                    try await loop.sleep(for: .seconds(1))
                }
                one.close()
            }
            return (other, Log<UInt8>())
        } _: { stream, log in
            // What the reader has received and not given out goes with it: here it is taken out at the end.
            let reader = BufferedReader(stream)
            defer { for byte in reader.takeBuffered() { log.add(byte) } }
            while let line = try await reader.readLine() { for byte in Array("\(line)\n".utf8) { log.add(byte) } }
        } then: { stream, log in
            while let bytes = try await stream.read() { for byte in bytes { log.add(byte) } }
            try expect(log.all == Array("one\ntwo\nthree\nfour\n".utf8), String(decoding: log.all, as: UTF8.self))
        },

        SweptOperation("BufferedWriter.write, flush, close") { loop in
            let (one, other) = MemoryStream.pair(capacity: 4)
            loop.spawn(name: "reader") {
                do {
                    while try await other.read(upTo: 3) != nil { try await loop.sleep(for: .seconds(1)) }
                } catch is IOError {}
            }
            return (one, loop)
        } _: { stream, _ in
            let writer = BufferedWriter(stream, highWater: 8)
            defer { writer.abort() }
            for _ in 0..<4 { try await writer.write("hello") }
            try await writer.flush()
            try await writer.write("more")
            try await writer.close()
        } then: { stream, loop in
            stream.close()
            try await loop.sleep(for: .seconds(60))
        },

        SweptOperation("FramedStream.send, receive") { loop in
            let (one, other) = MemoryStream.pair(capacity: 4)
            loop.spawn(name: "echo") {
                let framed = FramedStream(other, LineFraming())
                do {
                    while let line = try await framed.receive() { try await framed.send(line) }
                } catch is IOError {}
                other.close()
            }
            return one
        } _: { stream in
            let framed = FramedStream(stream, LineFraming())
            defer { stream.abort() }
            for line in ["one", "two", "three"] {
                try await framed.send(line)
                let answer = try await framed.receive()
                try expect(answer == line, "\(answer ?? "nothing") came back for \(line)")
            }
        },

        SweptOperation("copy") { loop in
            let (source, near) = MemoryStream.pair(capacity: 4)
            let (far, sink) = MemoryStream.pair(capacity: 4)
            loop.spawn(name: "writer") {
                do { try await source.write([UInt8](repeating: 7, count: 50)) } catch is IOError {}
                source.close()
            }
            loop.spawn(name: "reader") {
                do { while try await sink.read(upTo: 3) != nil { await EventLoop.yield() } } catch is IOError {}
            }
            return (near, far)
        } _: { near, far in
            defer {
                near.close()
                far.close()
            }
            _ = try await copy(from: near, to: far)
        },

        SweptOperation("copyBidirectional, with a limit for silence") { loop in
            let (client, near) = MemoryStream.pair(capacity: 4)
            let (far, server) = MemoryStream.pair(capacity: 4)
            loop.spawn(name: "client") {
                do {
                    try await client.write([1, 2, 3, 4, 5, 6, 7, 8, 9])
                    try await client.closeWriting()
                    while try await client.read(upTo: 2) != nil {}
                } catch is IOError {}
                client.close()
            }
            loop.spawn(name: "server") {
                do {
                    while let bytes = try await server.read(upTo: 4) { try await server.write(bytes) }
                } catch is IOError {}
                server.close()
            }
            return (near, far)
        } _: { near, far in
            defer {
                near.close()
                far.close()
            }
            _ = try await copyBidirectional(near, far, idleTimeout: .seconds(60))
        },

        SweptOperation("File.readAll") { _ in _ = try await File.readAll("/proc/self/comm") },
    ]
}
