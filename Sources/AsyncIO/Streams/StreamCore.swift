import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// What every stream over descriptors is made of: the loop, a handle for each direction, and the verbs.
///
/// The streams' own methods forward here, and are inlined: an operation that ends at once costs no further asynchronous
/// call.
struct StreamCore: Sendable {
    let loop: EventLoop
    /// For a socket the same as the writer.
    let reader: Handle
    let writer: Handle
    /// What errors are about.
    let subject: Subject

    /// An address that need not be printed before something fails, or a name. Indirect: a connection's core is kept in
    /// several places.
    indirect enum Subject: Sendable, CustomStringConvertible {
        case address(SocketAddress)
        case name(String)

        var description: String {
            switch self {
            case .address(let address): "\(address)"
            case .name(let name): name
            }
        }
    }

    /// The most that one read returns.
    static let maximumRead = 65_536

    // MARK: Reading

    @inline(__always)
    func read(upTo limit: Int) async throws -> [UInt8]? {
        try bytes(of: await receive(upTo: limit, .array))
    }

    /// As ``read(upTo:)``, into memory of the loop's, which is given back with ``LentBytes/giveBack(to:)``.
    @inline(__always)
    func lend(upTo limit: Int) async throws -> LentBytes? {
        try lentBytes(of: await receive(upTo: limit, .lent))
    }

    @inline(__always)
    func read(into span: inout OutputRawSpan) async throws -> Int {
        guard span.freeCapacity > 0 else { throw Self.empty(0, "\(subject)") }
        // The span is borrowed until this function returns, so its memory outlives the operation.
        let memory = unsafe span.withUnsafeMutableBytes { memory, count in
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[count...])
        }
        let outcome = unsafe await perform(.receive(reader, into: memory))
        if outcome.result < 0 { try check(outcome, "read") }
        unsafe span.withUnsafeMutableBytes { _, count in count += outcome.result }
        return outcome.result
    }

    // What a server's connections wait in, most of the time, is a read: what it keeps meanwhile, each of them keeps. So
    // the rest is done by functions that do not suspend, or that are not inlined.

    /// A read that waits costs no asynchronous call but the one for that.
    @inline(__always)
    private func receive(upTo limit: Int, _ landing: AsyncIOLoop.Operation.Landing) async throws -> Outcome {
        switch try begin(upTo: limit, landing) {
        case .ended(let outcome): return outcome
        case .waits(let token):
            let outcome = await loop.wait(for: token)
            guard outcome.result == Outcome.again.result else { return outcome }
            if let outcome = loop.receiveAtOnce(reader, limit: limit, landing, after: token) { return outcome }
            return await Self.receiveSlowly(reader, upTo: limit, landing, after: token, on: loop)
        case .isElsewhere, .mustTakeTurns:
            return await Self.receiveSlowly(reader, upTo: limit, landing, after: nil, on: loop)
        }
    }

    @inline(never)
    private func begin(upTo limit: Int, _ landing: AsyncIOLoop.Operation.Landing) throws -> EventLoop.Begun {
        guard limit > 0 else { throw Self.empty(limit, "\(subject)") }
        return loop.begin(.receiveBytes(reader, limit: limit, loop.isCurrent ? .two : .one, landing))
    }

    @inline(never)
    private static func receiveSlowly(
        _ reader: Handle, upTo limit: Int, _ landing: AsyncIOLoop.Operation.Landing, after first: Token?,
        on loop: EventLoop
    ) async -> Outcome {
        let isOnLoop = loop.isCurrent
        let steps = first.map { AsyncIOLoop.Operation.Steps.second(after: $0) } ?? (isOnLoop ? .two : .one)
        return await loop.perform(.receiveBytes(reader, limit: limit, steps, isOnLoop ? landing : .array))
    }

    @inline(never)
    private func bytes(of outcome: Outcome) throws -> [UInt8]? {
        if outcome.result < 0 { try check(outcome, "read") }
        return outcome.result == 0 ? nil : outcome.bytes
    }

    @inline(never)
    private func lentBytes(of outcome: Outcome) throws -> LentBytes? {
        if outcome.result < 0 { try check(outcome, "read") }
        guard outcome.result > 0 else { return nil }
        if let memory = unsafe outcome.lent { return unsafe LentBytes(memory, count: outcome.result) }
        return outcome.bytes.map(LentBytes.init)
    }

    /// An operation that ends at once costs no asynchronous call.
    @inline(__always)
    func perform(_ operation: Operation) async -> Outcome {
        let begun = loop.begin(operation)
        if case .ended(let outcome) = begun { return outcome }
        return await loop.finish(operation, begun)
    }

    static func empty(_ limit: Int, _ subject: String) -> IOError {
        IOError(
            .invalidArgument, operation: "read", subject: subject,
            detail: "room for \(limit) bytes; a read needs room for at least one")
    }

    // MARK: Writing

    @inline(__always)
    func write(_ bytes: RawSpan) async throws {
        // The usual case: the kernel takes everything at once.
        let sent = unsafe bytes.withUnsafeBytes { unsafe loop.sendAtOnce(writer, $0) }
        if sent != bytes.byteCount { try await finishWriting(bytes, sent) }
    }

    @inline(__always)
    func write(_ bytes: [UInt8]) async throws {
        let sent = unsafe bytes.withUnsafeBytes { unsafe loop.sendAtOnce(writer, $0) }
        if sent != bytes.count { unsafe try await finishWriting(bytes.span.bytes, sent) }
    }

    private func finishWriting(_ bytes: RawSpan, _ sent: Int) async throws {
        if sent < 0 { try check(Outcome(sent), "write") }
        // The span is borrowed until this function returns, so its memory outlives the operation.
        let rest = unsafe bytes.withUnsafeBytes { unsafe UnsafeRawBufferPointer(rebasing: $0[sent...]) }
        let outcome = unsafe await perform(.send(writer, rest))
        if outcome.result < 0 { try check(outcome, "write") }
        _ = bytes.byteCount
    }

    func write(contentsOf chunks: [[UInt8]]) async throws {
        let vectors = UnsafeMutableBufferPointer<iovec>.allocate(capacity: chunks.count)
        defer { unsafe vectors.deallocate() }
        var count = 0
        for chunk in chunks where !chunk.isEmpty {
            // The arrays are held by the caller's list, and are not changed, until this function returns.
            let memory = unsafe chunk.withUnsafeBytes { unsafe $0 }
            unsafe vectors[count] = unsafe iovec(
                iov_base: UnsafeMutableRawPointer(mutating: memory.baseAddress), iov_len: memory.count)
            count += 1
        }
        guard count > 0 else { return }
        let list = unsafe UnsafeMutableBufferPointer(rebasing: vectors[..<count])
        let outcome = unsafe await perform(.sendVector(writer, list))
        withExtendedLifetime(chunks) {}
        if outcome.result < 0 { try check(outcome, "write") }
    }

    func tryWrite(_ bytes: RawSpan) throws -> Int {
        if bytes.isEmpty { return 0 }
        guard let outcome = unsafe bytes.withUnsafeBytes({ unsafe loop.performNow(.sendNow(writer, $0)) }) else {
            return 0
        }
        if outcome.result >= 0 { return outcome.result }
        let code = Errno(negated: outcome.result)
        if code == .wouldBlock || code == .resourceBusy { return 0 }
        return try check(outcome, "write")
    }

    // MARK: Ending

    /// What debug mode knows it by: a pipe may have one end only.
    var key: ResourceKey { ResourceKey(reader != .none ? reader : writer) }

    /// The owner says that it lets go, in its `deinit`.
    @inline(__always)
    func letGo(_ kind: StaticString) { OpenResources.letGo(key, "\(kind)(\(subject))", on: loop) }

    func closeWriting() async throws {
        try await check(loop.perform(.finishSending(writer)), "close writing")
    }

    func close(_ closing: Closing = .orderly) {
        loop.performSoon(closing: reader, closing)
        if writer != reader { loop.performSoon(closing: writer, closing) }
    }

    @discardableResult
    func check(_ outcome: Outcome, _ operation: String) throws -> Int {
        try loop.check(outcome, operation, "\(subject)")
    }
}

extension StreamCore {
    /// A core over one socket, which the loop closes from here on.
    static func adopt(
        _ descriptor: consuming Descriptor, _ subject: Subject, on loop: EventLoop
    ) async throws -> StreamCore {
        let handle = try await loop.adopt(descriptor, "\(subject)")
        return StreamCore(loop: loop, reader: handle, writer: handle, subject: subject)
    }

    /// The peer, if the subject is one.
    var peer: SocketAddress {
        if case .address(let address) = subject { return address }
        return .unnamedUnix
    }

    /// Our own address.
    var local: SocketAddress? {
        get async { await loop.perform(.localAddress(reader)).bytes.flatMap(SocketAddress.init(sockaddr:)) }
    }

    /// The value of a socket's option, at most so many bytes.
    func option(_ level: CInt, _ name: CInt, size: Int, _ operation: String) async throws -> [UInt8] {
        let outcome = await loop.perform(.option(reader, level: level, name: name, size: size))
        try check(outcome, operation)
        return outcome.bytes ?? []
    }
}

extension EventLoop {
    /// Gives a descriptor to the loop's driver, which closes it from here on.
    func adopt(
        _ descriptor: consuming Descriptor, _ subject: String, _ medium: Medium = .socket
    ) async throws -> Handle {
        let outcome = await perform(.adopt(descriptor.number, medium))
        // Only an adopted descriptor is no longer ours to close.
        guard outcome.result >= 0 else {
            try check(outcome, "adopt", subject)
            throw CancellationError()
        }
        _ = descriptor.release()
        return Handle(rawValue: outcome.result)
    }
}
