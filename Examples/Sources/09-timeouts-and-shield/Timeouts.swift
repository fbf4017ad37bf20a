import AsyncIO

/// A limit in time for anything; work that must be finished all the same; and clean-up that is never cut short.
@main
struct Timeouts {
    static func main() throws {
        try EventLoop.run {
            guard let loop = EventLoop.current else { return }

            do {
                try await withTimeout(.milliseconds(50)) { try await loop.sleep(for: .seconds(60)) }
            } catch let error as TimeoutError {
                print("gave up: \(error)")
            }

            // A limit on silence, not on the whole: each sign of life moves it.
            try await withTimeout(.milliseconds(40)) { deadline in
                for part in 1...3 {
                    try await loop.sleep(for: .milliseconds(20))
                    deadline.reschedule(in: .milliseconds(40))
                    print("part \(part)")
                }
            }

            // What has begun is finished, though the caller has stopped waiting for it.
            let committed = AsyncEvent(name: "committed")
            do {
                try await withTimeout(.milliseconds(10)) {
                    try await shield(name: "commit") {
                        try await loop.sleep(for: .milliseconds(30))
                        print("committed")
                        committed.set()
                    }
                }
            } catch is TimeoutError {
                print("not waiting any longer")
            }
            try await committed.wait()
        }
    }
}
