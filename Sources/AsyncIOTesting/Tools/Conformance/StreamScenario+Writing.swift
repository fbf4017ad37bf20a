import AsyncIO
import AsyncIOKernel
import SystemPackage

extension StreamScenario {
    static let writing: [StreamScenario] = [
        StreamScenario("writing nothing does nothing, and ends") { stand in
            let (one, other) = try await stand.pair()
            try await one.write([])
            try await one.write("")
            try await one.write(contentsOf: [])
            try await one.write(contentsOf: [[], [], []])
            try await one.write(contentsOf: [[], [1], []])
            let first = try await other.read(upTo: 10)
            try demand(first == [1], "received \(first as Any)")
            try await one.closeWriting()
            let next = try await other.read(upTo: 10)
            try demand(next == nil, "received \(next as Any)")
        },

        StreamScenario("5,000 chunks in one call arrive in order") { stand in
            let (one, other) = try await stand.pair()
            var random = Randomness()
            var chunks: [[UInt8]] = []
            var total = 0
            for _ in 0..<5_000 {
                let size = Bool.random(using: &random) ? Int.random(in: 0...3, using: &random) : 400
                chunks.append(StreamPattern.piece(at: total, count: size))
                total += size
            }
            let writer = stand.start("writer") { [chunks] in
                try await one.write(contentsOf: chunks)
                try await one.closeWriting()
            }
            var reader = PatternReader(other)
            try await reader.readAll(total, upTo: 10_007)
            try await writer.value
        },

        StreamScenario("a very big buffer, written in one call, arrives") { stand in
            let (one, other) = try await stand.pair()
            let total = stand.huge
            let writer = stand.start("writer") {
                try await one.write(StreamPattern.part(count: total))
                try await one.closeWriting()
            }
            var reader = PatternReader(other)
            try await reader.readAll(total, upTo: 1_000_003)
            try await writer.value
        },

        StreamScenario("a writer waits for a peer that does not read, and everything arrives once it does") { stand in
            let (one, other) = try await stand.pair()
            let (total, step) = (stand.bulk, 65_536)
            let written = Counter()
            let writer = stand.start("writer") {
                while written.value < total {
                    let piece = StreamPattern.piece(at: written.value, count: min(step, total - written.value))
                    try await one.write(piece)
                    written.add(piece.count)
                }
                try await one.closeWriting()
            }
            var last = -1
            while written.value != last {
                last = written.value
                try await Task.sleep(for: .milliseconds(60))  // sleeps: that a writer is at rest shows in time alone
            }
            try demand(last < total, "\(last) bytes were taken, and nobody has read one")
            var reader = PatternReader(other)
            try await reader.readAll(total)
            try await writer.value
        },

        StreamScenario("a write that takes long lets the other direction go on") { stand in
            let (one, other) = try await stand.pair()
            let total = stand.bulk
            let writer = stand.start("writer") {
                try await one.write(StreamPattern.part(count: total))
            }
            for round in 0..<100 {
                try await other.write([UInt8(round)])
                let bytes = try await one.read(upTo: 10)
                try demand(bytes == [UInt8(round)], "received \(bytes as Any)")
            }
            var reader = PatternReader(other)
            try await reader.read(until: total)
            try await writer.value
        },

        StreamScenario("tryWrite takes what there is room for, and never waits") { stand in
            let (one, other) = try await stand.pair()
            let total = stand.bulk
            var taken = 0
            var rest = 0
            while taken < total {
                let piece = StreamPattern.piece(at: taken, count: 65_536)
                let count = try unsafe one.tryWrite(piece.span.bytes)
                try demand((0...piece.count).contains(count), "\(count) bytes taken of \(piece.count)")
                taken += count
                if count == 0 { break }
            }
            try demand(taken < total, "\(taken) bytes were taken, and nobody has read one")
            let none = try unsafe one.tryWrite([UInt8]().span.bytes)
            try demand(none == 0, "\(none) bytes taken of none")
            // Whatever was not taken here goes the other way.
            let writer = stand.start("writer") { [taken] in
                try await one.write(StreamPattern.part(at: taken, count: 100_000))
                try await one.closeWriting()
            }
            rest = 100_000
            var reader = PatternReader(other)
            try await reader.readAll(taken + rest)
            try await writer.value
        },

        StreamScenario("both directions at once, in pieces of any size") { stand in
            let (one, other) = try await stand.pair()
            let total = stand.some
            let work = [(one, UInt64(1)), (other, 2)].flatMap { stream, seed in
                [
                    stand.start("writer \(seed)") {
                        var random = Randomness(seed: seed)
                        var sent = 0
                        while sent < total {
                            let count = min(Int.random(in: 1...40_000, using: &random), total - sent)
                            try await stream.write(StreamPattern.piece(at: sent, count: count))
                            sent += count
                        }
                        try await stream.closeWriting()
                    },
                    stand.start("reader \(seed)") {
                        var random = Randomness(seed: seed)
                        var reader = PatternReader(stream)
                        while try await reader.read(
                            upTo: Int.random(in: 1...40_000, using: &random),
                            way: Int.random(in: 0..<PatternReader.ways, using: &random)
                        ) {}
                        try demand(reader.count == total, "the end came after \(reader.count) of \(total) bytes")
                    },
                ]
            }
            for task in work { try await task.value }
        },
    ]
}
