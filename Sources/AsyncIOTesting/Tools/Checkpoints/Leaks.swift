import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import Glibc

/// What a piece of a test has left behind on its loop.
public struct Leaks: Error, Hashable, Sendable, CustomStringConvertible {
    /// The names of tasks that were started and have not ended, oldest first. A task that waits where nobody will ever
    /// wake it is one of them, and so is its continuation. Children show as their parents.
    public var tasks: [String] = []
    /// Operations that are under way.
    public var operations = 0
    /// Timers that are pending.
    public var timers = 0
    /// Bodies that a timeout has left behind.
    public var abandoned = 0
    /// Descriptors that are open, each with what it refers to: `17 socket:[4711]`.
    public var descriptors: [String] = []

    /// What is looked at.
    public struct Kinds: OptionSet, Sendable {
        /// One bit for each kind.
        public let rawValue: Int
        /// Wraps bits.
        public init(rawValue: Int) { self.rawValue = rawValue }
        /// Tasks, operations, timers and abandoned bodies of the loop.
        public static let loop = Kinds(rawValue: 1)
        /// The descriptors of a simulated host; elsewhere those of the whole process, of which other tests may open
        /// some meanwhile: for tests that run alone (`.serialized`, or a process of their own).
        public static let descriptors = Kinds(rawValue: 2)
    }

    /// Whether nothing is left.
    public var isEmpty: Bool { self == Leaks() }

    /// `left behind: 2 tasks (ticker, pump), 1 timer`.
    public var description: String {
        func count(_ number: Int, _ one: String, _ many: String) -> String? {
            number > 0 ? "\(number) \(number == 1 ? one : many)" : nil
        }
        let parts = [
            count(tasks.count, "task", "tasks").map { "\($0) (\(tasks.joined(separator: ", ")))" },
            count(operations, "operation under way", "operations under way"),
            count(timers, "timer", "timers"),
            count(abandoned, "body that a timeout has left", "bodies that timeouts have left"),
            count(descriptors.count, "descriptor", "descriptors").map {
                "\($0) (\(descriptors.joined(separator: ", ")))"
            },
        ].compactMap { $0 }
        return parts.isEmpty ? "nothing is left behind" : "left behind: \(parts.joined(separator: ", "))"
    }
}

/// Runs a body and looks at what it leaves behind on the loop that it runs on: throws ``Leaks`` that name it.
///
/// ```swift
/// try await checkLeaks {
///     let connection = try await pool.connect()
///     try await connection.close()
/// }
/// ```
///
/// What ends by itself within a second of real time is no leak; on a virtual clock, what ends without any time passing.
/// What was there before does not count. Throws the body's error, if it has one, before it looks; and
/// `EventLoopError.noLoop` where no loop runs.
@discardableResult
public func checkLeaks<Success: Sendable>(
    of kinds: Leaks.Kinds = .loop, _ body: @concurrent @Sendable () async throws -> Success
) async throws -> Success {
    guard let loop = EventLoop.current else { throw EventLoopError.noLoop }
    let check = await LeakCheck.begin(on: loop, kinds)
    let result: Result<Success, any Error>
    do { result = .success(try await body()) } catch { result = .failure(error) }
    let leaks = await check.end()
    let value = try result.get()
    if !leaks.isEmpty { throw leaks }
    return value
}

/// What was on a loop before, to be compared with what is there after. Used on the loop's thread.
final class LeakCheck: @unchecked Sendable {
    let census: TaskCensus
    private let loop: EventLoop
    private let kinds: Leaks.Kinds
    private let before: Leaks
    private let background: [String]
    /// The first task that counts.
    private let marker: UInt64
    private let owner: TaskID?

    private static let patience = Duration.seconds(1)

    private init(_ loop: EventLoop, _ kinds: Leaks.Kinds, marker: UInt64) {
        self.loop = loop
        self.kinds = kinds
        self.marker = marker
        owner = TaskID.current
        background = loop.backgroundNames
        before = Self.count(loop, kinds)
        census = TaskCensus.begin(on: loop)
    }

    static func begin(on loop: EventLoop, _ kinds: Leaks.Kinds = .loop) async -> LeakCheck {
        // Tasks are numbered in the order of their creation.
        let marker = await Task(executorPreference: loop) { TaskID.current?.number ?? 0 }.value
        return LeakCheck(loop, kinds, marker: marker)
    }

    /// What is left when everything has come to rest.
    func end() async -> Leaks {
        await settle()
        var leaks = look()
        let end = now.advanced(by: Self.patience)
        while !leaks.isEmpty && isRealTime && now < end {
            try? await loop.sleep(for: .milliseconds(1))
            leaks = look()
        }
        census.end(on: loop)
        return leaks
    }

    /// In a simulated world, the time of that.
    private var now: Instant { loop.driver is SimulatedDriver ? loop.driver.now : Instant.monotonicNow }
    private var isRealTime: Bool { !(loop.driver is VirtualDriver) }

    /// Lets everybody run who is ready, and those who become ready by it.
    private func settle() async {
        var quiet = 0
        // One that never comes to rest is left, too.
        var turns = 10_000
        while quiet < 3 && turns > 0 {
            turns -= 1
            let jobs = loop.jobsRun
            await EventLoop.yield()
            // Its own job is one.
            quiet = loop.jobsRun <= jobs &+ 1 ? quiet + 1 : 0
        }
    }

    private func look() -> Leaks {
        var now = Self.count(loop, kinds)
        now.operations = max(0, now.operations - before.operations)
        now.timers = max(0, now.timers - before.timers)
        now.abandoned = max(0, now.abandoned - before.abandoned)
        let known = Set(before.descriptors)
        now.descriptors.removeAll { known.contains($0) }
        guard kinds.contains(.loop) else { return now }
        now.tasks = census.living.filter { $0.id.number > marker && $0.id != owner }.map(\.name)
        // A background task that has not run yet is in no census.
        var unseen = loop.backgroundNames
        for name in background + now.tasks {
            if let index = unseen.firstIndex(of: name) { unseen.remove(at: index) }
        }
        now.tasks += unseen
        return now
    }

    private static func count(_ loop: EventLoop, _ kinds: Leaks.Kinds) -> Leaks {
        var leaks = Leaks()
        if kinds.contains(.loop) {
            let statistics = loop.statisticsNow
            leaks.operations = statistics.waitingOperations
            leaks.timers = statistics.pendingTimers
            leaks.abandoned = statistics.abandonedTasks
        }
        if kinds.contains(.descriptors) {
            leaks.descriptors = (loop.driver as? SimulatedDriver)?.kernel.descriptorNames ?? openDescriptors()
        }
        return leaks
    }

    /// What /proc/self/fd lists, but for the descriptor that it is listed with.
    private static func openDescriptors() -> [String] {
        guard let stream = unsafe opendir("/proc/self/fd") else { return [] }
        defer { unsafe closedir(stream) }
        let own = unsafe dirfd(stream)
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            guard let number = CInt(name), number != own else { continue }
            names.append("\(number) \(target(of: name))")
        }
        return names.sorted()
    }

    private static func target(of name: String) -> String {
        var target = [CChar](repeating: 0, count: 256)
        let length = unsafe target.withUnsafeMutableBufferPointer { memory in
            guard let start = memory.baseAddress else { return 0 }
            return unsafe readlink("/proc/self/fd/\(name)", start, memory.count)
        }
        return String(decoding: target.prefix(max(length, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
