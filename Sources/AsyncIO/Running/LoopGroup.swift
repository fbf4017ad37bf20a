import AsyncIOKernel
public import AsyncIOLoop
import Synchronization

/// Several loops, each on a thread of its own: one for each core, if nothing else is asked for.
///
/// ```swift
/// let group = try LoopGroup()
/// try await group.serve("127.0.0.1", 7000) { connection in … }
/// try await group.shutdown()
/// ```
///
/// Nothing is shared between the loops, and no task moves from one to another: a connection stays where it was
/// accepted. What the loops have to share lives in one actor for each of them, see ``Sharded``. Work that blocks or
/// computes goes to the threads of `offload`, of which each loop has its own.
///
/// Every method may be called from any thread. A group that is let go without ``shutdown(drain:grace:)`` or ``close()``
/// ends its loops by itself, and blocks the thread meanwhile.
public final class LoopGroup: Sendable, CustomStringConvertible {
    /// The loops, in a fixed order.
    public let loops: [EventLoop]
    private let threads: [LoopThread]
    private let turn = Atomic(0)
    private let servers = Locked<[ServerReference]>([])

    /// Starts the threads and their loops, and returns when they run.
    ///
    /// Without a count there are as many loops as ``usableCores``. A loop that runs already may be one of them,
    /// `including` it: it counts as the first, and is not ended with the group. The options are those of each loop; its
    /// number is added to their name. Throws ``IOError`` if the system refuses a descriptor or a thread; what has been
    /// started is ended then.
    public init(
        count: Int? = nil, including first: EventLoop? = nil,
        options: EventLoop.Options = EventLoop.Options(name: "loop", interrupts: [])
    ) throws {
        let count = max(count ?? Self.usableCores, 1)
        let given = first.map { [$0] } ?? []
        var threads: [LoopThread] = []
        for number in (given.count..<count).map({ $0 + 1 }) {
            var own = options
            own.name = "\(options.name) \(number)"
            // The threads that were started end with the array.
            threads.append(try LoopThread(options: own))
        }
        self.threads = threads
        loops = given + threads.map(\.loop)
    }

    /// How many cores this process may use: as many as the calling thread may run on (sched_getaffinity(2)), and no
    /// more than the processor time that its control group has (`cpu.max` of cgroups(7)), rounded up; at least one.
    public static var usableCores: Int {
        let processors = SystemCall.usableProcessors
        guard let quota = ProcessorQuota.current else { return processors }
        return max(min(processors, quota), 1)
    }

    /// `LoopGroup(4 loops)`.
    public var description: String { "LoopGroup(\(loops.count) \(loops.count == 1 ? "loop" : "loops"))" }

    /// The loops one after the other, in turn.
    public func next() -> EventLoop {
        let number = turn.wrappingAdd(1, ordering: .relaxed).oldValue
        return loops[Int(UInt(bitPattern: number) % UInt(loops.count))]
    }

    /// Starts a background task on a loop of the group; without one, on the next in turn. See
    /// `EventLoop.spawn(name:file:line:_:)`.
    @discardableResult
    public func spawn<Success: Sendable>(
        on loop: EventLoop? = nil, name: String? = nil, file: StaticString = #fileID, line: UInt = #line,
        _ body: sending @escaping () async throws -> Success
    ) -> BackgroundTask<Success> {
        (loop ?? next()).spawn(name: name, file: file, line: line, body)
    }

    // MARK: Ending

    /// Ends everything in good order: first the servers of the group, which may drain, then its loops with their
    /// background tasks; all loops at the same time.
    ///
    /// The grace period is what cancelled handlers may take, and then again what cancelled background tasks may take.
    /// Suspends until the threads have ended; not cancellable, since it is itself the clean-up: a caller that is
    /// cancelled only ends the drain time. A task on a loop of the group is part of what ends: there it only asks for
    /// the end. Calling it again does nothing. Throws ``LoopGroupError`` if tasks ignored their cancellation, after all
    /// has ended.
    public func shutdown(drain: Duration = .zero, grace: Duration = .seconds(5)) async throws {
        let servers = servers.withLock { $0.compactMap(\.server) }
        // Not in the caller's own task: its cancellation would reach the children, and they would wait no more.
        let ending = UncancelledTask.start(name: "shutdown") { try await self.end(servers, drain, grace) }
        try await withTaskCancellationHandler {
            try await ending.value
        } onCancel: {
            for server in servers { server.beginShutdown(.zero, grace) }
        }
    }

    private func end(_ servers: [TCPServer], _ drain: Duration, _ grace: Duration) async throws {
        await withDiscardingTaskGroup { group in
            for server in servers {
                // Ends with an error only if it is cancelled.
                group.addTask(name: "shutdown") { _ = try? await server.shutdown(drain: drain, grace: grace) }
            }
        }
        await withDiscardingTaskGroup { group in
            for thread in threads {
                group.addTask(name: "shutdown \(thread.loop.name)") { await thread.shutdown(grace: grace) }
            }
        }
        let errors = threads.compactMap { thread in thread.failure.map { (loop: thread.loop.name, error: $0) } }
        if !errors.isEmpty { throw LoopGroupError(errors: errors) }
    }

    /// Ends the loops and joins their threads; blocks the caller meanwhile. For synchronous code.
    public func close() { for thread in threads { thread.close() } }

    /// Remembers a server, to end it before its loops.
    func register(_ server: TCPServer) {
        servers.withLock { servers in
            servers.removeAll { $0.server == nil }
            servers.append(ServerReference(server: server))
        }
    }
}

/// A server that may have gone.
private struct ServerReference: Sendable {
    weak let server: TCPServer?
}

/// Several loops could not end in good order: see ``LoopGroup/shutdown(drain:grace:)``.
public struct LoopGroupError: Error, CustomStringConvertible {
    /// What stood against it, with the loop's name. The loops' error handlers know it already.
    public let errors: [(loop: String, error: EventLoopError)]

    /// One line.
    public var description: String { errors.map { "\($0.loop): \($0.error)" }.joined(separator: "; ") }
}
