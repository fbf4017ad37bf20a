import AsyncIOTestSupport
import Testing

@testable import AsyncIOLoop

@Suite("The queue of blocking work")
struct JobQueueTests {
    @Test("gives jobs out in order, and lets go of any of them, as a plain list would")
    func model() throws {
        let loop = try EventLoop(options: .guest())
        defer { loop.discard() }
        var random = Randomness()
        var queue = JobQueue<BlockingJob>()
        var list: [BlockingJob] = []
        var gone: [BlockingJob] = []
        for round in 0..<20_000 {
            // Now it grows, now it shrinks.
            switch (Int.random(in: 0..<10, using: &random), round / 1000 % 2) {
            case (0..<3, _), (3..<6, 0):
                let job = BlockingJob(name: "\(round)", priority: .medium, loop: loop)
                queue.append(job)
                list.append(job)
            case (3..<6, _):
                let expected = list.isEmpty ? nil : list.removeFirst()
                let next = queue.takeNext()
                #expect(next === expected, "\(random.note)")
                if let expected { gone.append(expected) }
            case (6..<9, _):
                guard let index = list.indices.randomElement(using: &random) else { continue }
                let job = list.remove(at: index)
                let isOut = queue.remove(job)
                #expect(isOut, "\(random.note)")
                gone.append(job)
            default:
                guard let job = gone.randomElement(using: &random) else { continue }
                let isOut = queue.remove(job)
                #expect(!isOut, "\(random.note)")
            }
            #expect(queue.count == list.count, "\(random.note)")
        }
        let rest = queue.takeAll()
        #expect(rest.map(\.name) == list.map(\.name) && queue.count == 0)
    }
}
