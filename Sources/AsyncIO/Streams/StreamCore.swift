import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// What every stream over descriptors is made of: the loop, a handle for each direction, and the verbs.
///
/// The streams' own methods forward here, and are inlined: an operation that ends at once costs no further asynchronous
/// call.
@usableFromInline
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

    // What a server's connections wait in, most of the time, is a read: what it keeps meanwhile, each of them keeps. So
    // nearly all of it is done by functions that do not suspend, and a task that waits on its loop does that in its own
    // code's frame, without an asynchronous call in between.

    @inlinable
    @inline(__always)
    func read(upTo limit: Int) async throws -> [UInt8]? {
        var reading = try beginReading(upTo: limit, lending: false)
        if reading.wantsSuspension {
            await suspendRunningTask()
            reading = goOnReading(reading, upTo: limit, lending: false)
        }
        if !reading.hasEnded { reading = await finishReading(reading, upTo: limit, lending: false) }
        return try bytes(of: reading)
    }

    /// As ``read(upTo:)``, into memory of the loop's, which is given back with ``giveBack(_:)``.
    @inlinable
    @inline(__always)
    func lend(upTo limit: Int) async throws -> LentBytes? {
        var reading = try beginReading(upTo: limit, lending: true)
        if reading.wantsSuspension {
            await suspendRunningTask()
            reading = goOnReading(reading, upTo: limit, lending: true)
        }
        if !reading.hasEnded { reading = await finishReading(reading, upTo: limit, lending: true) }
        return try lentBytes(of: reading)
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

    @inlinable
    @inline(__always)
    func write(_ bytes: RawSpan) async throws {
        // The usual case: the kernel takes everything at once.
        let sent = sendAtOnce(bytes)
        if sent != bytes.byteCount { try await finishWriting(bytes, sent) }
    }

    @inlinable
    @inline(__always)
    func write(_ bytes: [UInt8]) async throws {
        let sent = unsafe sendAtOnce(bytes.span.bytes)
        if sent != bytes.count { unsafe try await finishWriting(bytes.span.bytes, sent) }
    }

    @usableFromInline
    func sendAtOnce(_ bytes: RawSpan) -> Int {
        unsafe bytes.withUnsafeBytes { unsafe loop.sendAtOnce(writer, $0) }
    }

    @usableFromInline
    @inline(never)
    func finishWriting(_ bytes: RawSpan, _ sent: Int) async throws {
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
