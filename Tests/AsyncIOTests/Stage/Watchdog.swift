import AsyncIOKernel
import AsyncIOLoop
import Glibc
import Synchronization

/// Ends the process, with a message, when a test hangs: there is nothing left to wait for then.
final class Watchdog: Sendable {
    private let isDone = Condition(false)

    init(_ what: String, seconds: Int = 400) {
        let deadline = Instant.monotonicNow.advanced(by: .seconds(seconds))
        let isDone = isDone
        let thread = try? SystemThread.start(name: "watchdog") {
            guard isDone.wait(until: deadline, { $0 ? true : nil }) == nil else { return }
            let line = "watchdog: \(what): not done after \(seconds) s\n"
            _ = unsafe line.withCString { unsafe write(2, $0, strlen($0)) }
            abort()
        }
        thread?.detach()
    }

    func stop() {
        isDone.withLock { $0 = true }
        isDone.broadcast()
    }
}

/// What a loop tells its error handler.
final class Reports: Sendable {
    private let all = Mutex<[String]>([])

    var handler: EventLoop.ErrorHandler {
        EventLoop.ErrorHandler { report in self.all.withLock { $0.append("\(report)") } }
    }

    var lines: [String] { all.withLock { $0 } }
}

/// A number that several tasks count up.
final class Tally: Sendable {
    private let value = Atomic(0)
    var count: Int { value.load(ordering: .sequentiallyConsistent) }
    func add(_ amount: Int = 1) { value.add(amount, ordering: .sequentiallyConsistent) }
}

/// Lets others run until the condition holds. Whether it ever does is the watchdog's business.
func until(_ condition: () async throws -> Bool) async rethrows {
    while try await !condition() { await Task.yield() }
}
