import AsyncIO
import AsyncIOLoop
import Glibc

/// How a task at a queue ended, for tests to compare.
enum QueueEnding<Value: Equatable & Sendable>: Equatable, Sendable {
    case value(Value)
    case cancelled
    case closed(ClosedError.Reason)
    case failed(String)
}

extension BackgroundTask where Success: Equatable {
    /// Waits for the task, and says how it ended.
    var queueEnding: QueueEnding<Success> {
        get async {
            do { return .value(try await value) } catch { return QueueEnding(error) }
        }
    }
}

extension QueueEnding {
    init(_ error: any Error) {
        switch error {
        case is CancellationError: self = .cancelled
        case let error as ClosedError: self = .closed(error.reason)
        default: self = .failed("\(type(of: error))")
        }
    }

    /// How a suspending call ends.
    init(of body: () async throws -> Value) async {
        do { self = .value(try await body()) } catch { self.init(error) }
    }
}

/// Something whose end is noticed.
final class Mortal: Sendable {
    let number: Int
    private let atEnd: @Sendable (Int) -> Void

    init(_ number: Int, atEnd: @escaping @Sendable (Int) -> Void) {
        self.number = number
        self.atEnd = atEnd
    }

    deinit { atEnd(number) }
}
