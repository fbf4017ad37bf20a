import AsyncIO
import AsyncIOKernel
import SystemPackage

extension StreamScenario {
    static let ending: [StreamScenario] = [
        // Whoever closes at once must not overtake the bytes, and a short read is no sign of the end.
        StreamScenario("the end comes after the last byte, whatever their number") { stand in
            for count in stride(from: 1, through: 70_000, by: 997) {
                let (one, other) = try await stand.pair()
                let writer = stand.start("writer") {
                    try await one.write(StreamPattern.part(count: count))
                    one.close()
                }
                var reader = PatternReader(other)
                try await reader.readAll(count, upTo: 4_096)
                for _ in 0..<2 {
                    let again = try await other.read(upTo: 10)
                    try demand(again == nil, "after the end came \(again as Any)")
                }
                var buffer = IOBuffer(capacity: 10)
                let atEnd = try await other.read(into: &buffer)
                try demand(atEnd == 0, "after the end came \(atEnd) bytes")
                try await writer.value
            }
        },

        StreamScenario("half-close ends one direction, and the other one goes on") { stand in
            let (one, other) = try await stand.pair()
            try await one.write("question")
            try await one.closeWriting()
            try await one.closeWriting()
            var question: [UInt8] = []
            while let bytes = try await other.read(upTo: 3) { question += bytes }
            try demand(question == Array("question".utf8), "received \(question)")
            let writer = stand.start("writer") {
                try await other.write(StreamPattern.part(count: 300_000))
                try await other.closeWriting()
            }
            var reader = PatternReader(one)
            try await reader.readAll(300_000)
            try await writer.value
        },

        StreamScenario("nothing that was written is lost by half-close or close") { stand in
            for ending in 0...1 {
                let (one, other) = try await stand.pair()
                let total = stand.some
                let writer = stand.start("writer") {
                    try await one.write(StreamPattern.part(count: total))
                    if ending == 0 { try await one.closeWriting() } else { one.close() }
                }
                var reader = PatternReader(other)
                try await reader.readAll(total)
                try await writer.value
            }
        },

        StreamScenario("after half-close, writing fails and reading does not") { stand in
            let (one, other) = try await stand.pair()
            try await one.closeWriting()
            try await demandError(.brokenPipe, from: "a write after half-close") { try await one.write("no") }
            let end = try await other.read(upTo: 10)
            try demand(end == nil, "received \(end as Any)")
            try await other.write("yes")
            var answer: [UInt8] = []
            while answer.count < 3, let bytes = try await one.read(upTo: 10) { answer += bytes }
            try demand(answer == Array("yes".utf8), "received \(answer)")
        },

        StreamScenario("half-close is refused while a write is under way") { stand in
            let (one, other) = try await stand.pair()
            let total = stand.bulk
            let writer = stand.start("writer") { try await one.write(StreamPattern.part(count: total)) }
            // As soon as something has come, the write is under way: nobody reads the rest.
            var reader = PatternReader(other)
            _ = try await reader.read(upTo: 1)
            try await demandError(.resourceBusy, from: "half-close during a write") { try await one.closeWriting() }
            try await reader.read(until: total)
            try await writer.value
            try await one.closeWriting()
            try await reader.readAll(total)
        },

        StreamScenario("after close, every call says so, and closing again does nothing") { stand in
            let (one, other) = try await stand.pair()
            one.close()
            one.close()
            for way in 0..<PatternReader.ways {
                var reader = PatternReader(one)
                try await demandError(.badFileDescriptor, from: "a read after close") {
                    try await reader.read(upTo: 10, way: way)
                }
            }
            try await demandError(.badFileDescriptor, from: "a write after close") { try await one.write("no") }
            try await demandError(.badFileDescriptor, from: "a vectored write after close") {
                try await one.write(contentsOf: [[1], [2]])
            }
            try await demandError(.badFileDescriptor, from: "half-close after close") { try await one.closeWriting() }
            one.abort()
            one.close()
            let end = try await other.read(upTo: 10)
            try demand(end == nil, "received \(end as Any)")
        },

        StreamScenario("close ends the operations that are under way") { stand in
            var random = Randomness()
            var interrupted = 0
            for _ in 0..<50 {
                let (one, other) = try await stand.pair()
                let reader = stand.start("reader") { try await one.read(upTo: 10) }
                let writer = stand.start("writer") { try await one.write(StreamPattern.part(count: stand.bulk)) }
                await letOthersGoOn(Int.random(in: 0...20, using: &random))
                if Bool.random(using: &random) { one.close() } else { one.abort() }
                for error in [
                    try await demandError(.canceled, .badFileDescriptor, from: "a read during close") {
                        try await reader.value
                    },
                    try await demandError(.canceled, .badFileDescriptor, from: "a write during close") {
                        try await writer.value
                    },
                ] where error.code == .canceled {
                    interrupted += 1
                }
                other.close()
            }
            try demand(interrupted > 10, "only \(interrupted) of 100 operations were under way when the end closed")
        },

        StreamScenario("letting an end go closes it") { stand in
            let other: any ByteStream
            do {
                let (one, kept) = try await stand.pair()
                other = kept
                try await one.write("last words")
            }
            var words: [UInt8] = []
            while let bytes = try await other.read(upTo: 100) { words += bytes }
            try demand(words == Array("last words".utf8), "received \(words)")
        },
    ]

    static let breaking: [StreamScenario] = [
        StreamScenario("a writer hears that its peer has closed", needs: .closeIsSeen) { stand in
            let (one, other) = try await stand.pair()
            other.close()
            try await demandError(.brokenPipe, .connectionReset, from: "writing to a peer that has closed") {
                // The first writes may be taken before the peer's answer comes.
                while true { try await one.write([UInt8](repeating: 7, count: 65_536)) }
            }
        },

        StreamScenario("a writer that waits hears that its peer has closed", needs: .closeIsSeen) { stand in
            let (one, other) = try await stand.pair()
            let writer = stand.start("writer") { try await one.write(StreamPattern.part(count: stand.bulk)) }
            var reader = PatternReader(other)
            _ = try await reader.read(upTo: 100)
            other.close()
            try await demandError(.brokenPipe, .connectionReset, from: "writing to a peer that closes") {
                try await writer.value
            }
        },

        StreamScenario("the peer's reader hears of an abort", needs: .abortIsSeen) { stand in
            let (one, other) = try await stand.pair()
            let reader = stand.start("reader") { try await other.read(upTo: 10) }
            await letOthersGoOn(5)
            one.abort()
            try await demandError(.connectionReset, from: "a read while the peer breaks off") { try await reader.value }
        },

        StreamScenario("the peer's writer hears of an abort", needs: .abortIsSeen) { stand in
            let (one, other) = try await stand.pair()
            let writer = stand.start("writer") { try await other.write(StreamPattern.part(count: stand.bulk)) }
            var reader = PatternReader(one)
            _ = try await reader.read(upTo: 100)
            one.abort()
            one.abort()
            try await demandError(.connectionReset, .brokenPipe, from: "a write while the peer breaks off") {
                try await writer.value
            }
        },

        StreamScenario("after abort, every call says so") { stand in
            let (one, _) = try await stand.pair()
            one.abort()
            try await demandError(.badFileDescriptor, from: "a read after abort") { try await one.read(upTo: 10) }
            try await demandError(.badFileDescriptor, from: "a write after abort") { try await one.write("no") }
        },
    ]
}
