import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// A channel as one would explain it: two lines of tasks, and what becomes of each.
private struct NaiveChannel {
    typealias Ending = QueueEnding<Int?>

    let capacity: Int
    var inside: [Int] = []
    var senders: [(task: Int, item: Int)] = []
    var receivers: [Int] = []
    var closed: ClosedError.Reason?
    var endings: [Int: Ending] = [:]

    mutating func settle() {
        while true {
            if let receiver = receivers.first, !inside.isEmpty {
                endings[receiver] = .value(inside.removeFirst())
                receivers.removeFirst()
            } else if let sender = senders.first, inside.count < capacity, closed == nil {
                inside.append(sender.item)
                endings[sender.task] = .value(nil)
                senders.removeFirst()
            } else {
                break
            }
        }
        guard let closed else { return }
        for sender in senders { endings[sender.task] = .closed(closed) }
        for receiver in receivers { endings[receiver] = closed == .finished ? .value(nil) : .closed(closed) }
        (senders, receivers) = ([], [])
    }

    mutating func leave(_ task: Int) {
        let waits = senders.contains { $0.task == task } || receivers.contains(task)
        guard waits else { return }
        senders.removeAll { $0.task == task }
        receivers.removeAll { $0 == task }
        endings[task] = .cancelled
        settle()
    }
}

@Suite("A channel's tasks against a naive channel")
struct ChannelModelTests {
    /// The channel, and the tasks at it that have not ended.
    private struct Scene {
        var sender: Channel<Int>.Sender?
        var receiver: Channel<Int>.Receiver?
        weak var sendersEnd: Channel<Int>.Sender?
        weak var receiversEnd: Channel<Int>.Receiver?
        var model: NaiveChannel
        var tasks: [Int: BackgroundTask<Int?>] = [:]
        /// Tasks that have not begun, in the order in which they will.
        var unborn: [(task: Int, item: Int?)] = []
        var next = 0

        init(capacity: Int) {
            let ends = Channel<Int>.make(capacity: QueueCapacity(capacity))
            (sender, receiver) = (ends.sender, ends.receiver)
            (sendersEnd, receiversEnd) = (ends.sender, ends.receiver)
            model = NaiveChannel(capacity: capacity)
        }

        mutating func send(on loop: EventLoop) {
            guard let sender else { return }
            next += 1
            let item = next
            tasks[item] = loop.spawn {
                try await sender.send(item)
                return nil
            }
            unborn.append((item, item))
        }

        mutating func receive(on loop: EventLoop) {
            guard let receiver else { return }
            next += 1
            tasks[next] = loop.spawn { try await receiver.next() }
            unborn.append((next, nil))
        }

        mutating func cancel(_ task: Int) {
            tasks[task]?.cancel()
            if unborn.contains(where: { $0.task == task }) {
                unborn.removeAll { $0.task == task }
                model.endings[task] = .cancelled
            } else {
                model.leave(task)
            }
        }

        /// What the model says of everything that has been asked for, once all tasks have run.
        mutating func settle() {
            for (task, item) in unborn {
                if let item { model.senders.append((task, item)) } else { model.receivers.append(task) }
                model.settle()
            }
            unborn = []
            // A task at an end keeps it.
            if sender == nil && model.senders.isEmpty && model.closed == nil { model.closed = .finished }
            if receiver == nil && model.receivers.isEmpty && model.closed != .cancelled {
                model.closed = .cancelled
                model.inside = []
            }
            model.settle()
        }
    }

    @Test("random sends, receives, cancellations and ends that go come out the same", arguments: Setting.virtual)
    func random(setting: Setting) async throws {
        var random = Randomness()
        let seed = random.next()
        let note = random.note
        let failure = try await withVirtualTime(setting) { loop async throws -> String? in
            var random = Randomness(seed: seed)
            var steps = 0
            while steps < Stress.modelSteps / 5 {
                if let failure = await Self.life(on: loop, steps: &steps, &random) { return failure }
            }
            return nil
        }
        #expect(failure == nil, "\(note)")
    }

    private static func life(on loop: EventLoop, steps: inout Int, _ random: inout Randomness) async -> String? {
        var scene = Scene(capacity: Int.random(in: 1...3, using: &random))
        for _ in 0..<Int.random(in: 1...60, using: &random) {
            // Several in one tick: each cancellation before and after each hand-over. Where an end is held by tasks
            // alone, the channel ends as they do, and one at a time is enough to tell apart.
            let isWhole = scene.sender != nil && scene.receiver != nil
            batch: for _ in 0..<(isWhole ? Int.random(in: 1...3, using: &random) : 1) {
                steps += 1
                switch Int.random(in: 0..<100, using: &random) {
                case 0..<35: scene.send(on: loop)
                case 35..<65: scene.receive(on: loop)
                case 65..<90:
                    guard let task = scene.tasks.keys.sorted().randomElement(using: &random) else { continue }
                    scene.cancel(task)
                case 90..<94:
                    // Nobody who has just been let go may be overtaken by the model's own order.
                    guard scene.unborn.isEmpty, let sender = scene.sender else { continue }
                    scene.next += 1
                    let isIn = sender.trySend(scene.next)
                    let hadRoom =
                        scene.model.closed == nil
                        && (scene.model.inside.count < scene.model.capacity || !scene.model.receivers.isEmpty)
                    if isIn != hadRoom { return "trySend said \(isIn)" }
                    if isIn { scene.model.inside.append(scene.next) }
                    scene.model.settle()
                case 94..<98:
                    guard scene.unborn.isEmpty, let receiver = scene.receiver else { continue }
                    if receiver.tryReceive() != scene.model.inside.first { return "tryReceive took another item" }
                    if !scene.model.inside.isEmpty { scene.model.inside.removeFirst() }
                    scene.model.settle()
                default:
                    guard scene.unborn.isEmpty, Int.random(in: 0..<4, using: &random) == 0 else { continue }
                    if let failure = await compare(&scene) { return failure }
                    if Bool.random(using: &random) { scene.sender = nil } else { scene.receiver = nil }
                    break batch
                }
            }
            if let failure = await compare(&scene) { return failure }
        }
        for task in scene.tasks.values { task.cancel() }
        for task in scene.tasks.values { _ = await task.queueEnding }
        return nil
    }

    private static func compare(_ scene: inout Scene) async -> String? {
        for _ in 0..<6 { await Task.yield() }
        scene.settle()
        for (number, task) in scene.tasks {
            guard let expected = scene.model.endings.removeValue(forKey: number) else { continue }
            let ending = await task.queueEnding
            if ending != expected { return "task \(number): \(ending) instead of \(expected)" }
            scene.tasks[number] = nil
        }
        // Who waits in the model waits in truth: at an end that is alive.
        let statistics = scene.sendersEnd?.statistics ?? scene.receiversEnd?.statistics
        guard let statistics else { return scene.tasks.isEmpty ? nil : "tasks wait at a channel that is gone" }
        let model = scene.model
        guard statistics.count == model.inside.count, statistics.waitingPutters == model.senders.count,
            statistics.waitingGetters == model.receivers.count
        else { return "\(statistics) instead of \(model)" }
        return nil
    }
}
