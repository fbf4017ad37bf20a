import AsyncIO
import AsyncIOInspection
import AsyncIOKernel
import Glibc

/// `asyncio top` on a terminal.
final class TopView {
    private enum Event: Sendable {
        case tree(TaskTree, Instant)
        case keys([UInt8])
        case resized
        case failed(any Error)
    }

    private let attachment: Attachment
    private let every: Duration
    private let events = AsyncQueue<Event>(capacity: 16)
    private let wantsStacks = Watch(false, name: "stacks")
    private var model = TopModel()

    init(_ attachment: Attachment, every: Duration, order: TopModel.Order) {
        self.attachment = attachment
        self.every = every
        model.order = order
    }

    /// Shows the process until somebody quits, or it ends. Gives the terminal back in any case.
    func show() async throws {
        let loop = try EventLoop.here()
        let stream = try await StandardStream.open()
        guard FullScreen.enter() else { return }
        defer { FullScreen.leave() }
        let resizing = try loop.onSignal(.windowChange) { [events] in _ = events.tryPut(.resized) }
        defer { resizing.cancel() }
        try await withThrowingTaskGroup { group in
            group.addTask(name: "looks") { [attachment, every, events, wantsStacks] in
                await Self.reporting(to: events) {
                    try await Self.look(at: attachment, every: every, wantsStacks, events)
                }
            }
            group.addTask(name: "keys") { [events] in
                await Self.reporting(to: events) {
                    // After its end, as with `< /dev/null`, nobody presses a key.
                    while let bytes = try await stream.read(upTo: 256) { try await events.put(.keys(bytes)) }
                }
            }
            defer { group.cancelAll() }
            try await draw(on: stream)
        }
    }

    private static func reporting(to events: AsyncQueue<Event>, _ body: () async throws -> Void) async {
        do { try await body() } catch { try? await events.put(.failed(error)) }
    }

    private static func look(
        at attachment: Attachment, every: Duration, _ wantsStacks: Watch<Bool>, _ events: AsyncQueue<Event>
    ) async throws {
        let wishes = wantsStacks.subscribe()
        while true {
            let tree = try await attachment.tree(stacks: wishes.value)
            try await events.put(.tree(tree, .monotonicNow))
            // At once, when somebody wants stacks.
            do { try await withTimeout(every) { _ = try await wishes.next() } } catch is TimeoutError {}
        }
    }

    /// Draws whatever happens, until somebody quits.
    private func draw(on stream: StandardStream) async throws {
        while true {
            switch try await events.get() {
            case .tree(let tree, let instant): if !model.isPaused || model.tree == nil { model.take(tree, at: instant) }
            case .resized: break
            case .failed(let error): throw error
            case .keys(let bytes):
                for key in TopKey.keys(in: bytes) {
                    switch model.press(key) {
                    case .nothing: break
                    case .quit: return
                    case .suspend: FullScreen.suspend()
                    }
                }
                if wantsStacks.value != model.showsStack { wantsStacks.set(model.showsStack) }
            }
            // Only the last of several is worth a picture.
            guard events.isEmpty, model.tree != nil else { continue }
            let size = try? SystemCall.terminalSize(STDOUT_FILENO)
            let screen = TopScreen(model, columns: Int(size?.columns ?? 80), rows: Int(size?.rows ?? 24))
            model.page = screen.page
            try await stream.write(Array(screen.escapes.utf8))
        }
    }
}
