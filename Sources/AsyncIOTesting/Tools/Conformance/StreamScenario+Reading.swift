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

        StreamScenario("arrays, buffers and spans get the same bytes, whatever their sizes") { stand in
            let (one, other) = try await stand.pair()
            let total = stand.some
            let writer = stand.start("writer") {
                try await one.write(StreamPattern.part(count: total))
                try await one.closeWriting()
            }
            var reader = PatternReader(other)
            var random = Randomness()
            while try await reader.read(
                upTo: Int.random(in: 1...70_000, using: &random), way: Int.random(in: 0...2, using: &random))
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
            let held = buffer.withBytes { unsafe $0.withUnsafeBytes { unsafe [UInt8]($0) } }
            try demand(held == [9] + [1, 2, 3].dropFirst(count).prefix(next), "the buffer holds \(held)")
        },

        StreamScenario("a read without room is refused, and takes nothing") { stand in
            let (one, other) = try await stand.pair()
            try await one.write([1])
            for limit in [0, -1, Int.min] {
                try await demandError(.invalidArgument, from: "a read of \(limit)") {
                    try await other.read(upTo: limit)
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
