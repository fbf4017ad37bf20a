import AsyncIO
import AsyncIOKernel
import SystemPackage

extension StreamScenario {
    static let reading: [StreamScenario] = [
        StreamScenario("what one end writes, the other one reads, both ways") { stand in
            let (one, other) = try await stand.pair()
            for (from, to) in [(one, other), (other, one), (one, other)] {
                try await from.write("hello")
                var received: [UInt8] = []
                while received.count < 5, let bytes = try await to.read(upTo: 100) { received += bytes }
                try demand(received == Array("hello".utf8), "received \(received)")
            }
        },

        StreamScenario("reads of one byte get them all, in order") { stand in
            let (one, other) = try await stand.pair()
            let total = 5_000
            let writer = stand.start("writer") {
                try await one.write(StreamPattern.part(count: total))
                try await one.closeWriting()
            }
            var reader = PatternReader(other)
            for way in 0..<total { _ = try await reader.read(upTo: 1, way: way) }
            try await reader.readAll(total)
            try await writer.value
        },

        StreamScenario("arrays, buffers, spans and lent memory get the same bytes, whatever their sizes") { stand in
            let (one, other) = try await stand.pair()
            let total = stand.some
            let writer = stand.start("writer") {
                try await one.write(StreamPattern.part(count: total))
                try await one.closeWriting()
            }
            var reader = PatternReader(other)
            var random = Randomness()
            while try await reader.read(
                upTo: Int.random(in: 1...70_000, using: &random),
                way: Int.random(in: 0..<PatternReader.ways, using: &random))
            {}
            try demand(reader.count == total, "the end came after \(reader.count) of \(total); \(random.note)")
            try await writer.value
        },

        StreamScenario("a read fills the free part of a span or buffer, and leaves the rest alone") { stand in
            let (one, other) = try await stand.pair()
            try await one.write([1, 2, 3])
            let (count, bytes) = try await other.readIntoSpan(2, after: [7, 8])
            try demand((1...2).contains(count), "\(count) bytes read into room for two")
            try demand(bytes == [7, 8] + [1, 2].prefix(count), "the span holds \(bytes)")
            var buffer = IOBuffer(capacity: 4)
            unsafe buffer.append([9 as UInt8].span.bytes)
            let next = try await other.read(into: &buffer)
            let held = buffer.withBytes { [UInt8]($0) }
            try demand(held == [9] + [1, 2, 3].dropFirst(count).prefix(next), "the buffer holds \(held)")
        },

        StreamScenario("lent bytes stay what they are until the body returns, whatever is read meanwhile") { stand in
            let (one, other) = try await stand.pair()
            let (third, fourth) = try await stand.pair()
            try await one.write([1])
            try await third.write([2])
            let inner: [UInt8]? = try await other.withReceivedBytes(upTo: 10) { bytes in
                try await one.write([3])
                let next = try await other.withReceivedBytes(upTo: 10) { next in
                    let foreign = try await fourth.withReceivedBytes(upTo: 10) { [UInt8]($0) }
                    await letOthersGoOn(3)
                    return (foreign ?? []) + [UInt8](next)
                }
                return [UInt8](bytes) + (next ?? [])
            }
            try demand(inner == [1, 2, 3], "received \(inner as Any)")
        },

        StreamScenario("what a body throws is thrown, and its bytes count as read; at the end there is none") { stand in
            let (one, other) = try await stand.pair()
            try await one.write([1])
            do {
                try await other.withReceivedBytes(upTo: 10) { _ in throw IOError(.ioError, operation: "try") }
                try demand(false, "the error was lost")
            } catch let error as IOError {
                try demand(error.code == .ioError, "the error became \(error)")
            }
            try await one.write([2])
            let next = try await other.withReceivedBytes(upTo: 10) { [UInt8]($0) }
            try demand(next == [2], "then came \(next as Any)")
            try await one.closeWriting()
            for _ in 0..<2 {
                let isCalled: Bool? = try await other.withReceivedBytes(upTo: 10) { _ in true }
                try demand(isCalled == nil, "the body was called at the end")
            }
        },

        StreamScenario("a read without room is refused, and takes nothing") { stand in
            let (one, other) = try await stand.pair()
            try await one.write([1])
            for limit in [0, -1, Int.min] {
                try await demandError(.invalidArgument, from: "a read of \(limit)") {
                    try await other.read(upTo: limit)
                }
                try await demandError(.invalidArgument, from: "a read of \(limit)") {
                    try await other.withReceivedBytes(upTo: limit) { _ in }
                }
            }
            try await demandError(.invalidArgument, from: "a read into a full span") {
                try await other.readIntoSpan(0, after: [1])
            }
            let bytes = try await other.read(upTo: Int.max)
            try demand(bytes == [1], "then came \(bytes as Any)")
        },

        StreamScenario("what is there at once does not wait for more") { stand in
            let (one, other) = try await stand.pair()
            for round in 1...50 {
                try await one.write([UInt8](repeating: 7, count: round))
                var count = 0
                while count < round { count += try await other.read(upTo: 1_000)?.count ?? round }
                try demand(count == round, "\(count) bytes instead of \(round)")
            }
        },
    ]
}
