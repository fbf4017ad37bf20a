import AsyncIO
import AsyncIOInspection
import AsyncIOLoop
import CAsyncIO
import Glibc

/// Suspends tasks in many ways, and prints for each what its stack names: a line a shape, with the shape's name, the
/// functions that a person expects, those that were found, the line in which the innermost one suspends, the lines that
/// were found, and what it called in a library; `|` between them. With `all`: every
/// frame. With `costs`: what it costs.
@main struct StackProbe {
    static func main() throws {
        // A probe that hangs is ended by the kernel.
        alarm(100)
        if let refusal = TaskReader.refusal { print("refused: \(refusal)") }
        try EventLoop.run { try await play() }
    }

    private static func play() async throws {
        let shapes = Shape.simple + Shape.library + Shape.others
        for shape in shapes { Task(name: shape.name) { try await shape.body() } }
        if CommandLine.arguments.contains("costs") { return await Costs.measure(shapes) }
        for shape in shapes {
            let frames = await Roll.settled(shape.name).map { Symbols.frames(of: $0.stack) } ?? []
            print(shape.report(frames, line: Roll.line(of: shape.name)))
        }
        if CommandLine.arguments.contains("all") {
            for shape in shapes {
                guard let reading = await Roll.settled(shape.name) else { continue }
                print("\n\(shape.name) \(reading.dependency)")
                for address in reading.stack {
                    let frame = Symbols.frame(at: address)
                    print("  \(frame.function ?? "?")  \(frame.file ?? "?"):\(frame.line ?? 0) \(frame.image ?? "?")")
                }
            }
        }
        fflush(nil)
        exit(0)
    }
}

/// A way to be suspended, and the functions that a person expects to see, the innermost first.
struct Shape: Sendable {
    let name: String
    let functions: [String]
    let body: @Sendable () async throws -> Void

    init(_ name: String, _ functions: [String], _ body: @escaping @Sendable () async throws -> Void) {
        self.name = name
        self.functions = functions
        self.body = body
    }

    func report(_ frames: [Frame], line: Int) -> String {
        let own = frames.filter { frame in
            guard let function = frame.function, function.contains("probe_stacks.") else { return false }
            return !["hang()", "Shape.", "StackProbe."].contains(where: function.contains)
        }
        let names = own.compactMap { $0.function?.replacing("probe_stacks.", with: "") }
        let lines = own.map { "\($0.line ?? 0)" }
        let library = frames.first.flatMap { $0.function?.contains("probe_stacks.") == true ? nil : $0.function }
        let parts = [
            name, functions.joined(separator: ", "), names.joined(separator: ", "), "\(line)",
            lines.joined(separator: ", "), library ?? "",
        ]
        return parts.joined(separator: "|")
    }
}

/// The tasks that are looked at, by the names of their shapes.
enum Roll {
    private static let tasks = Locked<[String: (task: UInt, id: UInt64)]>([:])
    private static let lines = Locked<[String: Int]>([:])

    /// Called by the task that is to be looked at, in the line before the one in which it suspends.
    static func enter(_ shape: String, line: Int = #line) {
        lines.withLock { $0[shape] = line + 1 }
        guard let task = unsafe swift_task_getCurrent() else { return }
        let id = unsafe swift_task_getJobTaskId(task)
        let address = UInt(bitPattern: task)
        tasks.withLock { $0[shape] = (address, id) }
    }

    /// A task that was entered.
    static func task(_ shape: String) -> (task: UInt, id: UInt64)? { tasks.withLock { $0[shape] } }

    static func line(of shape: String) -> Int { lines.withLock { $0[shape] ?? 0 } }

    /// The task, once it is suspended, and for good.
    static func settled(_ shape: String) async -> TaskReading? {
        for _ in 0..<1_000 {
            await Task.yield()
            guard let (task, id) = task(shape) else { continue }
            guard let reading = TaskReader.read(task, id: id, frames: 64) else { return nil }
            if !reading.isRunning, !reading.isEnqueued, reading.dependency != .none { return reading }
        }
        return nil
    }
}

/// Suspends for ever.
@inline(never) func hang() async {
    unsafe await withUnsafeContinuation { (_: UnsafeContinuation<Void, Never>) in }
}
