import AsyncIOTestSupport
import Testing

@testable import AsyncIO

/// A pipe as one would explain it: bytes in a list, at most so many; a writer that waits, and a reader that does.
private struct NaivePipe {
    let capacity: Int
    var inside: [UInt8] = []
    var rest: [UInt8] = []
    var readerWaits = false
    var reading = PipeMachine.ReadingEnd.open
    var writing = PipeMachine.WritingEnd.open

    init(capacity: Int) { self.capacity = capacity }

    var refusal: PipeMachine.Fault? {
        if writing == .closed || writing == .aborted { return .closedHere }
        if reading == .aborted { return .peerAborted }
        if writing == .finished { return .finishedHere }
        return reading == .closed ? .peerClosed : nil
    }

    func outlook(_ size: Int) -> PipeMachine.Reading {
        if reading != .open { return .fault(.closedHere) }
        if writing == .aborted { return .fault(.peerAborted) }
        if !inside.isEmpty { return .bytes(min(size, inside.count)) }
        return writing == .open ? .empty : .end
    }

    mutating func refill() {
        let taken = rest.prefix(capacity - inside.count)
        inside += taken
        rest.removeFirst(taken.count)
        if !inside.isEmpty { readerWaits = false }
    }

    mutating func dropAll() {
        inside = []
        rest = []
        readerWaits = false
    }
}

/// The machine and the naive pipe, side by side. Each step returns what went wrong, if anything did.
@safe
private final class PipeLife {
    private var model: NaivePipe
    private var machine: PipeMachine
    private let visitors = Visitors()
    private let label = TaskLabel(task: TaskID(1), name: nil)
    /// Who waits.
    private var reader: Int?
    private var writer: Int?
    /// What a writer that waits has to hand over stays where it is.
    private let source = UnsafeMutableRawBufferPointer.allocate(byteCount: 4_000, alignment: 1)
    private let target = UnsafeMutableRawBufferPointer.allocate(byteCount: 4_000, alignment: 1)

    init(capacity: Int) {
        model = NaivePipe(capacity: capacity)
        machine = PipeMachine(capacity: capacity)
        for index in 0..<4_000 { unsafe source[index] = UInt8(truncatingIfNeeded: index &* 31 >> 2) }
    }

    deinit {
        unsafe source.deallocate()
        unsafe target.deallocate()
    }

    func step(_ random: inout Randomness) -> String? {
        let size = Int.random(in: 1...2_000, using: &random)
        let failure: String? =
            switch Int.random(in: 0..<24, using: &random) {
            case 0..<8: write(Int.random(in: 0...2_000, using: &random), size)
            case 8..<17: read(size)
            case 17: cancelReader()
            case 18: cancelWriter()
            case 19: finish()
            default: Int.random(in: 0..<4, using: &random) == 0 ? end(Int.random(in: 0..<4, using: &random)) : nil
            }
        return failure ?? compare()
    }

    private func write(_ from: Int, _ size: Int) -> String? {
        guard writer == nil else { return nil }
        let bytes = unsafe UnsafeRawBufferPointer(rebasing: source[from..<from + size])
        let (number, task) = visitors.arrive(note: PipeMachine.Wish.write.rawValue)
        let answer = visitors.visit(&machine) { unsafe $0.wait(toWrite: bytes, task, as: label, waking: &$1) }
        if let refusal = model.refusal { return answer == .fault(refusal) ? nil : "a write got \(answer)" }
        unsafe model.rest = Array(bytes)
        model.refill()
        writer = model.rest.isEmpty ? nil : number
        return answer == (writer == nil ? .taken(size) : .full) ? nil : "a write got \(answer)"
    }

    private func read(_ size: Int) -> String? {
        guard reader == nil else { return nil }
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: target[..<size])
        let expected = model.outlook(size)
        let answer = visitors.visit(&machine) { unsafe $0.read(into: room, waking: &$1) }
        guard answer == expected else { return "a read got \(answer), not \(expected)" }
        if case .bytes(let count) = answer {
            guard unsafe room[..<count].elementsEqual(model.inside.prefix(count)) else {
                return "a read got other bytes"
            }
            model.inside.removeFirst(count)
            model.refill()
        }
        if answer == .empty {
            let (number, task) = visitors.arrive(note: PipeMachine.Wish.read.rawValue)
            _ = visitors.visit(&machine) { machine, _ in machine.wait(toRead: task, as: label) }
            (reader, model.readerWaits) = (number, true)
            if machine.arriveToRead() != .fault(.busy(label)) { return "a second reader was let in" }
        }
        return nil
    }

    private func cancelReader() -> String? {
        guard let number = reader else { return nil }
        visitors.cancel(number, in: &machine)
        (reader, model.readerWaits) = (nil, false)
        return nil
    }

    private func cancelWriter() -> String? {
        guard let number = writer else { return nil }
        visitors.cancel(number, in: &machine)
        (writer, model.rest) = (nil, [])
        return nil
    }

    private func finish() -> String? {
        let fault = visitors.visit(&machine) { $0.finish(waking: &$1) }
        if writer != nil && model.writing == .open { return fault == .busy(label) ? nil : "finished during a write" }
        if model.writing == .open && model.reading != .aborted {
            (model.writing, model.readerWaits) = (.finished, false)
        }
        return nil
    }

    private func end(_ way: Int) -> String? {
        let isWriting = model.writing == .open || model.writing == .finished
        let isReading = model.reading == .open
        switch way {
        case 0:
            visitors.visit(&machine) { $0.closeWriting(waking: &$1) }
            if isWriting { (model.writing, model.rest, model.readerWaits) = (.closed, [], false) }
        case 1:
            visitors.visit(&machine) { $0.closeReading(waking: &$1) }
            if isReading { model.reading = .closed }
        case 2:
            visitors.visit(&machine) { $0.abortWriting(waking: &$1) }
            if isWriting { model.writing = .aborted }
        default:
            visitors.visit(&machine) { $0.abortReading(waking: &$1) }
            if isReading { model.reading = .aborted }
        }
        if way == 2 ? isWriting : way != 0 && isReading { model.dropAll() }
        return nil
    }

    /// Whoever waits in the one waits in the other.
    private func compare() -> String? {
        if let number = reader {
            if (visitors.fate(number) == .waits) != model.readerWaits { return "the reader" }
            if !model.readerWaits {
                machine.readerLeaves()
                reader = nil
            }
        }
        if let number = writer {
            if (visitors.fate(number) == .waits) == model.rest.isEmpty { return "the writer" }
            if model.rest.isEmpty { writer = nil }
        }
        return machine.ring.count == model.inside.count ? nil : "\(machine.ring.count) bytes inside"
    }
}

@Suite("The machine behind a stream in memory")
struct PipeMachineTests {
    @Test("does what a naive one does: random calls of both ends, cancelled at any point")
    func random() {
        var random = Randomness()
        let note = random.note
        for _ in 0..<(Stress.isOn ? 20_000 : 1_000) {
            let life = PipeLife(capacity: Int.random(in: 1...1_500, using: &random))
            for step in 0..<Int.random(in: 1...60, using: &random) {
                guard let failure = life.step(&random) else { continue }
                Issue.record("step \(step): \(failure); \(note)")
                return
            }
        }
    }

    @Test("an empty ring keeps little memory, and one that holds little takes little")
    func memory() {
        var ring = ByteRing(capacity: 1 << 20)
        let bytes = [UInt8](repeating: 1, count: 600_000)
        var count = unsafe bytes.withUnsafeBytes { unsafe ring.append($0) }
        #expect(count == 600_000 && ring.room == (1 << 20) - 600_000)
        var allocated = ring.allocated
        #expect(allocated == 1 << 20)
        var room = bytes
        count = unsafe room.withUnsafeMutableBytes { unsafe ring.take(into: $0) }
        allocated = ring.allocated
        #expect(count == 600_000 && allocated == 0)
        count = unsafe bytes[..<5].withUnsafeBytes { unsafe ring.append($0) }
        allocated = ring.allocated
        #expect(count == 5 && allocated == 512)
    }
}
