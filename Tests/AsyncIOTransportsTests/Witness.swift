import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import Synchronization

/// One callback, as a test expects it.
enum Called: Hashable, Sendable, CustomStringConvertible {
    case made
    /// So many bytes, in however many calls.
    case data(Int)
    case eof
    case pause
    case resume
    /// The error's text; nil if there was none.
    case lost(String?)

    var description: String {
        switch self {
        case .made: "made"
        case .data(let count): "data(\(count))"
        case .eof: "eof"
        case .pause: "pause"
        case .resume: "resume"
        case .lost(let error): "lost(\(error ?? "nil"))"
        }
    }
}

/// What a witness does beside remembering.
struct Script: Sendable {
    var made: @Sendable (Transport) throws -> Void = { _ in }
    var data: @Sendable (Transport, [UInt8]) throws -> Void = { _, _ in }
    var eof: @Sendable (Transport) throws -> Bool = { _ in false }
    var pause: @Sendable (Transport) throws -> Void = { _ in }
    var resume: @Sendable (Transport) throws -> Void = { _ in }
    var lost: @Sendable (Transport, (any Error)?) throws -> Void = { _, _ in }

    static let echo = Script(data: { $0.write($1) })
}

/// A protocol that remembers what it was called with, and whether it was called where and when it should be.
actor Witness: StreamProtocol {
    nonisolated let loop: EventLoop
    nonisolated let isMade = Gate()
    nonisolated let isLost = Gate()
    nonisolated let memory = Condition(Memory())
    private let script: Script
    private(set) var transport: Transport?
    private var depth = 0

    struct Memory {
        var calls: [Called] = []
        var received: [UInt8] = []
        var keepsBytes = true
        var faults: [String] = []
        var transport: Transport?
    }

    init(loop: EventLoop, _ script: Script = Script(), keepsBytes: Bool = true) {
        self.loop = loop
        self.script = script
        memory.withLock { $0.keepsBytes = keepsBytes }
    }

    nonisolated var calls: [Called] { memory.withLock { $0.calls } }
    nonisolated var received: [UInt8] { memory.withLock { $0.received } }
    nonisolated var faults: [String] { memory.withLock { $0.faults } }
    /// The transport, as anybody may have it.
    nonisolated var line: Transport? { memory.withLock { $0.transport } }

    /// How many bytes have come.
    nonisolated var count: Int {
        calls.reduce(0) { sum, call in if case .data(let count) = call { sum + count } else { sum } }
    }

    func connectionMade(_ transport: Transport) throws {
        self.transport = transport
        memory.withLock { $0.transport = transport }
        note(.made)
        defer { isMade.open() }
        try nested { try script.made(transport) }
    }

    func dataReceived(_ bytes: [UInt8]) throws {
        memory.withLock { memory in
            if memory.keepsBytes { memory.received += bytes }
            if bytes.isEmpty { memory.faults.append("no bytes") }
            guard case .data(let count) = memory.calls.last else { return memory.calls.append(.data(bytes.count)) }
            memory.calls[memory.calls.count - 1] = .data(count + bytes.count)
        }
        check(.data(bytes.count))
        guard let transport else { return fault("data before made") }
        try nested { try script.data(transport, bytes) }
    }

    func eofReceived() throws -> Bool {
        note(.eof)
        guard let transport else { return false }
        var stays = false
        try nested { stays = try script.eof(transport) }
        return stays
    }

    func pauseWriting() throws {
        note(.pause)
        guard let transport else { return }
        try nested { try script.pause(transport) }
    }

    func resumeWriting() throws {
        note(.resume)
        guard let transport else { return }
        try nested { try script.resume(transport) }
    }

    func connectionLost(_ error: (any Error)?) throws {
        note(.lost(error.map { "\($0)" }))
        defer { isLost.open() }
        guard let transport else { return }
        try nested { try script.lost(transport, error) }
        self.transport = nil
    }

    private func note(_ call: Called) {
        memory.withLock { $0.calls.append(call) }
        check(call)
    }

    /// On the loop's thread, and only `pause` and `resume` inside of others.
    private func check(_ call: Called) {
        if !loop.isCurrent { fault("\(call) on another thread") }
        if depth > 0 && call != .pause && call != .resume { fault("\(call) inside another call") }
    }

    private func fault(_ text: String) { memory.withLock { $0.faults.append(text) } }

    private func nested(_ body: () throws -> Void) rethrows {
        depth += 1
        defer { depth -= 1 }
        try body()
    }

    /// For a protocol that takes over in the middle.
    func adopt(_ transport: Transport) { self.transport = transport }
}

struct Refusal: Error, Hashable, CustomStringConvertible {
    var description: String { "refused" }
}
