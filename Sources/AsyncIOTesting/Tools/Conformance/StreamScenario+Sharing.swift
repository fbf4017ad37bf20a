import AsyncIO
import AsyncIOKernel
import SystemPackage

extension StreamScenario {
    static let cancelling: [StreamScenario] = [
        StreamScenario("cancelled reads, at any moment and in any way, lose no byte") { stand in
            let (one, other) = try await stand.pair()
            let rounds = 1_500
            let isEnough = Counter()
            let writer = stand.start("writer") {
                var random = Randomness(seed: 11)
                var sent = 0
                while isEnough.value == 0 {
                    let count = Int.random(in: 1...2_000, using: &random)
                    try await one.write(StreamPattern.piece(at: sent, count: count))
                    sent += count
                    await letOthersGoOn(Int.random(in: 0...4, using: &random))
                }
                try await one.closeWriting()
                return sent
            }
            var random = Randomness()
            var (received, cancelled) = (0, 0)
            for _ in 0..<rounds {
                let (limit, before) = (Int.random(in: 1...3_000, using: &random), received)
                let way = Int.random(in: 0..<PatternReader.ways, using: &random)
                let task = stand.start("reader") {
                    var reader = PatternReader(other, from: before)
                    return try await reader.read(upTo: limit, way: way) ? reader.count - before : -1
                }
                await letOthersGoOn(Int.random(in: 0...3, using: &random))
                task.cancel()
                do {
                    let count = try await task.value
                    try demand(count > 0, "the end came early")
                    received += count
                } catch is CancellationError {
                    cancelled += 1
                }
            }
            isEnough.add()
            var reader = PatternReader(other, from: received)
            while try await reader.read(upTo: 65_536) {}
            let sent = try await writer.value
            try demand(reader.count == sent, "\(reader.count) of \(sent) bytes arrived; \(random.note)")
            try demand(cancelled > 0 && cancelled < rounds, "\(cancelled) of \(rounds) reads were cancelled")
        },

        StreamScenario("a read that waits ends when its task is cancelled, and the next one works") { stand in
            let (one, other) = try await stand.pair()
            for round in 0..<100 {
                let task = stand.start("reader") {
                    var reader = PatternReader(other)
                    return try await reader.read(upTo: 10, way: round)
                }
                await letOthersGoOn(round % 7)
                task.cancel()
                try await demandCancellation(from: "a read") { try await task.value }
            }
            try await one.write([1])
            let bytes = try await other.read(upTo: 10)
            try demand(bytes == [1], "received \(bytes as Any)")
        },

        StreamScenario("a task that is cancelled already takes nothing and sends nothing") { stand in
            let (one, other) = try await stand.pair()
            try await one.write([1])
            let task = stand.start("cancelled") {
                await until { Task.isCancelled }
                for way in 0..<PatternReader.ways {
                    var reader = PatternReader(other)
                    try await demandCancellation(from: "a read") { try await reader.read(upTo: 10, way: way) }
                }
                try await demandCancellation(from: "a write") { try await one.write("never") }
            }
            task.cancel()
            try await task.value
            let bytes = try await other.read(upTo: 10)
            try demand(bytes == [1], "received \(bytes as Any)")
            try await one.closeWriting()
            let end = try await other.read(upTo: 10)
            try demand(end == nil, "received \(end as Any)")
        },

        StreamScenario("a write that is cancelled has sent a beginning, and nothing else") { stand in
            for round in 0..<10 {
                let (one, other) = try await stand.pair()
                let total = stand.bulk
                let task = stand.start("writer") {
                    if round % 2 == 0 { return try await one.write(StreamPattern.part(count: total)) }
                    let step = min(50_000, total / 2)
                    let chunks = (0..<total / step).map { StreamPattern.piece(at: $0 * step, count: step) }
                    try await one.write(contentsOf: chunks)
                }
                await letOthersGoOn(round)
                task.cancel()
                try await demandCancellation(from: "a write that nobody reads") { try await task.value }
                one.close()
                var reader = PatternReader(other)
                while try await reader.read(upTo: 65_536) {}
                try demand(reader.count < total, "all bytes arrived, and the write was cancelled")
            }
        },

        StreamScenario("closing needs no task that is not cancelled") { stand in
            let (one, other) = try await stand.pair()
            let task = stand.start("cancelled") {
                await until { Task.isCancelled }
                one.close()
            }
            task.cancel()
            try await task.value
            let end = try await other.read(upTo: 10)
            try demand(end == nil, "received \(end as Any)")
        },
    ]

    static let sharing: [StreamScenario] = [
        StreamScenario("a second reader is sent away with the name of the first, and takes nothing") { stand in
            for way in 0..<PatternReader.ways {
                let (one, other) = try await stand.pair()
                let names = ["lark", "owl"]
                let refused = Log<String>()
                let tasks = names.map { name in
                    stand.start(name) {
                        var reader = PatternReader(other)
                        do { _ = try await reader.read(upTo: 10, way: way) } catch let error as IOError {
                            try demand(error.code == .resourceBusy, "\(error)")
                            refused.add("\(name) \(error)")
                            return 0
                        }
                        return reader.count
                    }
                }
                // Nothing comes before one of them was refused: so the other one waits.
                await until { refused.count == 1 }
                try demandNames(refused.all, names)
                try await one.write(StreamPattern.part(count: 5))
                var counts: [Int] = []
                for task in tasks { counts.append(try await task.value) }
                try demand(counts.contains(0) && (1...5).contains(counts[0] + counts[1]), "received \(counts)")
            }
        },

        StreamScenario("a second writer is sent away with the name of the first, and sends nothing") { stand in
            let (one, other) = try await stand.pair()
            let names = ["lark", "owl"]
            let refused = Log<String>()
            let total = stand.bulk
            let tasks = names.map { name in
                stand.start(name) {
                    do { try await one.write(StreamPattern.part(count: total)) } catch let error as IOError {
                        try demand(error.code == .resourceBusy, "\(error)")
                        refused.add("\(name) \(error)")
                    }
                }
            }
            // Nobody reads before one of them was refused: so the other one waits.
            await until { refused.count == 1 }
            try demandNames(refused.all, names)
            let taken = try unsafe one.tryWrite([UInt8](repeating: 0, count: 10).span.bytes)
            try demand(taken == 0, "tryWrite has written into the middle of a write")
            var reader = PatternReader(other)
            try await reader.read(until: total)
            for task in tasks { try await task.value }
            try await one.closeWriting()
            try await reader.readAll(total)
        },

        StreamScenario("a place that a cancelled task has left is free at once") { stand in
            let (one, other) = try await stand.pair()
            for _ in 0..<50 {
                let task = stand.start("first") { try await other.read(upTo: 10) }
                await letOthersGoOn(3)
                task.cancel()
                try await demandCancellation(from: "a read") { try await task.value }
                try await one.write([1])
                let bytes = try await other.read(upTo: 10)
                try demand(bytes == [1], "received \(bytes as Any)")
            }
        },
    ]

    /// Each report is by one of the tasks, and has to name the other one.
    private static func demandNames(_ reports: [String], _ names: [String]) throws {
        for report in reports {
            for (own, other) in [(names[0], names[1]), (names[1], names[0])] where report.hasPrefix(own) {
                try demand(report.contains(other), "the error does not name the task \"\(other)\": \(report)")
            }
        }
    }
}
