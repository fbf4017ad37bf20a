import AsyncIOKernel
import Synchronization

/// The loop of last resort: a thread that runs what no loop takes any more.
///
/// A task that outlives its loop, or that is started after takeover while no loop runs on the main thread, is not lost
/// and does not hang whoever waits for it. It runs here; its operations on the closed loop fail with a clear error. The
/// thread is started with the first such job and stays.
enum Afterlife {
    static let loop: EventLoop = {
        let options = EventLoop.Options(name: "afterlife", mode: .guest, interrupts: [])
        do {
            return try SystemCall.askingTheKernel { try LoopThread(options: options).release() }
        } catch {
            fatalError("asyncio: no thread or descriptors left for tasks that outlived their loop: \(error)")
        }
    }()

    /// Whether the caller runs here.
    static var isCurrent: Bool { EventLoop.current.map { $0 === loop } ?? false }

    /// Runs a job. The main actor's stay on the main thread: they wait for the next run there.
    static func run(_ word: ReadyWord) {
        if word.kind == .main { MainLoop.postpone(word) } else { loop.enqueue(word) }
    }
}
