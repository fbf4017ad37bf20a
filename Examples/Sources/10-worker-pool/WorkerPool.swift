import AsyncIO

/// Many jobs, few workers: at most three at a time, values in the order of the jobs; and a semaphore for the same.
@main
struct WorkerPool {
    static func main() throws {
        try EventLoop.run {
            guard let loop = EventLoop.current else { return }
            let busy = Busy()
            let squares = try await gatherEach(1...10, limit: 3) { number in
                await busy.begin()
                try await loop.sleep(for: .milliseconds(5))
                await busy.end()
                return number * number
            }
            print(squares)
            print("at most \(await busy.peak) at a time")

            let oven = AsyncSemaphore(permits: 2, name: "oven")
            try await withTaskScope { scope in
                for loaf in 1...4 {
                    try scope.spawn(name: "loaf \(loaf)") {
                        try await oven.withPermit { try await loop.sleep(for: .milliseconds(5)) }
                        print("loaf \(loaf) is baked")
                    }
                }
            }
        }
    }

    @MainActor
    final class Busy {
        private var now = 0
        private(set) var peak = 0
        nonisolated init() {}
        func begin() {
            now += 1
            peak = max(peak, now)
        }
        func end() { now -= 1 }
    }
}
