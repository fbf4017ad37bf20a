@testable import AsyncIOInspection

/// Random things, the same for the same seed.
struct Dice {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

    mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % max(bound, 1)
    }

    /// Text with all that could break a line.
    mutating func text(count: Int) -> String {
        var text = String.UnicodeScalarView()
        for _ in 0..<count {
            let kind = below(6)
            let value =
                switch kind {
                case 0: below(0x20)
                case 1: [0x09, 0x0a, 0x0d, 0x5c, 0x3d, 0x2c, 0x20, 0x1b, 0x78, 0x74][below(10)]
                case 2: 0x7f + below(0x30)
                case 3: 0x1f300 + below(0x300)
                default: 0x20 + below(0x60)
                }
            if let scalar = Unicode.Scalar(UInt32(value)) { text.append(scalar) }
        }
        return String(text)
    }

    mutating func flip() -> Bool { below(2) == 0 }

    mutating func tree(tasks count: Int) -> TaskTree {
        var tree = TaskTree(process: 1234, program: text(count: 20), loops: [], tasks: [], notes: [])
        for number in 1...3 {
            tree.loops.append(
                LoopView(
                    number: number, name: text(count: 8), driver: "epoll", thread: 12, ticks: 1, jobs: .max,
                    operations: 3, waitingOperations: 4, pendingTimers: 5, ready: 6, busy: .nanoseconds(7),
                    age: .seconds(8), lag: .zero, longestRun: .milliseconds(9)))
        }
        for id in 1...max(count, 1) { tree.tasks.append(task(UInt64(id))) }
        tree.notes = [text(count: 50), ""]
        return tree
    }

    private mutating func task(_ id: UInt64) -> TaskView {
        var wait: Wait?
        if flip() {
            wait = Wait(
                kind: text(count: 5), target: flip() ? text(count: 9) : nil,
                standing: flip() ? text(count: 9) : nil, descriptor: flip() ? 7 : nil,
                left: flip() ? .nanoseconds(below(1 << 40) - 1000) : nil, tasks: (0..<below(4)).map(UInt64.init))
        }
        let kinds: [TaskView.Kind] = [.unstructured, .groupChild, .asyncLet, .unknown]
        let states: [TaskView.State] = [.ready, .running, .waiting]
        return TaskView(
            id: id, name: flip() ? text(count: 12) : nil, loop: below(4), parent: flip() ? UInt64(below(99)) : nil,
            creator: flip() ? .max : nil, kind: kinds[below(4)], origin: flip() ? frame() : nil,
            state: states[below(3)], wait: wait, since: .nanoseconds(below(1 << 50)), age: .nanoseconds(below(1 << 50)),
            runTime: .nanoseconds(below(1 << 40)), runs: UInt64(below(1 << 30)), longestRun: .zero,
            isCancelled: flip(), stack: (0..<below(4)).map { _ in frame() })
    }

    private mutating func frame() -> Frame {
        Frame(
            address: UInt.max - UInt(below(99)), function: flip() ? text(count: 30) : nil,
            file: flip() ? text(count: 9) : nil, line: flip() ? below(999) : nil, image: flip() ? text(count: 9) : nil,
            offset: flip() ? UInt(below(9999)) : nil)
    }
}

extension TaskTree {
    /// As it is answered.
    var answer: [UInt8] {
        var lines = LineWriter()
        lines.add(ProcessLine(pid: process, program: program, loops: loops.count, tasks: tasks.count, age: .zero))
        lines.addContents(of: self)
        lines.addEnd()
        return lines.bytes
    }
}
