import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// What both kinds of datagram sockets are made of: the loop, a handle, the rooms for messages, and the verbs.
final class DatagramCore: Sendable {
    let loop: EventLoop
    let handle: Handle
    let traits: Traits
    /// The tasks that wait until something can be sent, in a queue: the driver knows one writer at a time.
    let senders = AsyncLock(name: "sending datagrams")
    let state: Locked<State>

    /// What does not change.
    struct Traits: Sendable {
        var isUnix = false
        /// Control messages are wanted.
        var hasControl = false
        /// One message may be several datagrams.
        var coalesces = false
    }

    struct State {
        var local: SocketAddress
        /// The peer of a connected socket.
        var peer: SocketAddress?
        /// The largest datagrams that the kernel is asked to cut out of a message; lowered when it refuses.
        var segmentLimit = 0
        var isClosed = false
        /// Rooms that no receive uses now; mostly one.
        var incoming: [IncomingRoom] = []
        var outgoing: OutgoingRoom?
        /// The socket's place in the file system.
        var place: SocketPlace?
    }

    init(_ loop: EventLoop, _ handle: Handle, _ traits: Traits, _ state: sending State) {
        self.loop = loop
        self.handle = handle
        self.traits = traits
        self.state = Locked(state)
        OpenResources.opened(ResourceKey(handle))
    }

    deinit {
        OpenResources.letGo(
            ResourceKey(handle), "\(traits.isUnix ? "UnixDatagramSocket" : "UDPSocket")(\(local))", on: loop)
        close()
    }

    var local: SocketAddress { state.withLock { $0.local } }
    var peer: SocketAddress? { state.withLock { $0.peer } }

    func close() {
        let place = state.withLock { state in
            state.isClosed = true
            state.incoming = []
            state.outgoing = nil
            return state.place.take()
        }
        // First the name: while the socket is open, nobody else's file can be taken for ours.
        place?.giveUp()
        loop.performSoon(closing: handle)
    }

    func connect(to address: SocketAddress) async throws {
        let target = UnsafeMutablePointer<SocketAddress>.allocate(capacity: 1)
        unsafe target.initialize(to: address)
        defer {
            unsafe target.deinitialize(count: 1)
            unsafe target.deallocate()
        }
        let outcome = unsafe await loop.perform(.connect(handle, UnsafePointer(target)))
        try loop.check(outcome, "connect", "\(address)")
        // The kernel has chosen the address that the peer is reached from. In a task that is cancelled meanwhile the
        // question goes unanswered.
        let local = await loop.perform(.localAddress(handle)).bytes.flatMap(SocketAddress.init(sockaddr:))
        state.withLock { state in
            state.peer = address
            if let local { state.local = local }
        }
    }

    @inline(__always)
    func perform(_ operation: Operation) async -> Outcome {
        let begun = loop.begin(operation)
        if case .ended(let outcome) = begun { return outcome }
        return await loop.finish(operation, begun)
    }

    // MARK: Receiving

    /// Longer than any datagram over IP.
    static let maximumLength = 65_535
    /// Unix datagrams are limited by the sender's buffer; this is more than any system's.
    static let maximumUnixLength = 16 << 20
    /// The most room for one batch: as many of the longest datagrams over IP as one call takes. Of longer ones there
    /// are fewer in a batch.
    static let maximumBatchSize = 64 << 20

    func receive(upTo limit: Int) async throws -> Datagram {
        let limit = try checked(limit, 1)
        let room = unsafe try await fill(1, upTo: limit)
        defer { giveBack(room) }
        return try take(from: room, upTo: limit).datagram
    }

    func receive(into span: inout OutputRawSpan) async throws -> Datagram.Info {
        let free = span.freeCapacity
        guard free > 0 else { throw noRoom(0) }
        // The span is borrowed until this function returns, so its memory outlives the operation.
        let memory = unsafe span.withUnsafeMutableBytes { memory, count in
            unsafe UnsafeMutableRawBufferPointer(rebasing: memory[count...])
        }
        let room = unsafe try await fill(1, upTo: free, into: memory)
        defer { giveBack(room) }
        let slice = try take(from: room, upTo: free)
        unsafe span.withUnsafeMutableBytes { _, count in
            // One of several in the room; otherwise it is where it shall be.
            if let from = unsafe slice.bytes.baseAddress, let to = memory.baseAddress, unsafe from != to {
                unsafe memory.copyMemory(from: slice.bytes)
            }
            unsafe count += slice.bytes.count
        }
        return slice.info
    }

    func receiveBatch(
        upTo count: Int, limit: Int, _ body: (Datagram.Info, RawSpan) throws -> Void
    ) async throws -> Int {
        let limit = try checked(limit, count)
        let most = min(IncomingRoom.maximumCount, max(Self.maximumBatchSize / limit, 1))
        let room = unsafe try await fill(min(count, most), upTo: limit)
        defer { giveBack(room) }
        var taken = 0
        while taken < count, let slice = next(in: room, upTo: limit) {
            taken += 1
            // The room's memory stays as it is until the next receive.
            try body(slice.info, unsafe RawSpan(_unsafeBytes: slice.bytes))
        }
        return taken
    }

    func tryReceive(upTo limit: Int) throws -> Datagram? {
        let limit = try checked(limit, 1)
        let room = takeRoom(1, limit)
        defer { giveBack(room) }
        if room.hasMore { return next(in: room, upTo: limit)?.datagram }
        unsafe room.prepare(1, upTo: wanted(limit), withControl: traits.hasControl)
        guard let outcome = unsafe loop.performNow(.receiveMessageNow(handle, room.header)) else { return nil }
        if outcome.result < 0 {
            let code = Errno(negated: outcome.result)
            if code == .wouldBlock || code == .resourceBusy { return nil }
            try check(outcome, "receive")
        }
        room.received(length: outcome.result)
        return next(in: room, upTo: limit)?.datagram
    }

    /// A room with something in it: what was left of an earlier receive, or what comes.
    private func fill(
        _ count: Int, upTo limit: Int, into memory: UnsafeMutableRawBufferPointer? = nil
    ) async throws -> IncomingRoom {
        let room = takeRoom(count, unsafe memory == nil || traits.coalesces ? limit : 0)
        if room.hasMore {
            if EventLoop.hasHadItsTurn { await EventLoop.yield() }
            guard !Task.isCancelled else {
                giveBack(room)
                throw CancellationError()
            }
            return room
        }
        unsafe room.prepare(
            count, upTo: wanted(limit), into: traits.coalesces ? nil : memory, withControl: traits.hasControl)
        let outcome =
            count == 1
            ? unsafe await perform(.receiveMessage(handle, room.header))
            : unsafe await perform(.receiveMessages(handle, room.list(count)))
        guard outcome.result >= 0 else {
            giveBack(room)
            try check(outcome, "receive")
            throw CancellationError()
        }
        if count == 1 { room.received(length: outcome.result) } else { room.received(messages: outcome.result) }
        return room
    }

    /// Several datagrams in one message need room for them all.
    private func wanted(_ limit: Int) -> Int { traits.coalesces ? Self.maximumLength : limit }

    private func take(from room: IncomingRoom, upTo limit: Int) throws -> IncomingRoom.Slice {
        // A receive that has ended well has brought at least one.
        guard let slice = next(in: room, upTo: limit) else {
            throw IOError(.ioError, operation: "receive", subject: "\(local)", detail: "the kernel gave no datagram")
        }
        return slice
    }

    @inline(__always)
    private func next(in room: IncomingRoom, upTo limit: Int) -> IncomingRoom.Slice? {
        room.take(upTo: limit, port: traits.hasControl ? local.port ?? 0 : 0, unknownPeer: .unnamedUnix)
    }

    private func takeRoom(_ count: Int, _ limit: Int) -> IncomingRoom {
        let size = traits.coalesces ? Self.maximumLength : limit
        let kept = state.withLock { state -> IncomingRoom? in
            let index =
                state.incoming.firstIndex { $0.hasMore }
                ?? state.incoming.firstIndex { $0.count >= count && $0.size >= size }
            guard let index else {
                state.incoming.removeAll()
                return nil
            }
            return state.incoming.remove(at: index)
        }
        return kept ?? IncomingRoom(count: count, size: size)
    }

    private func giveBack(_ room: IncomingRoom) {
        state.withLock { state in
            guard !state.isClosed, room.hasMore || state.incoming.isEmpty else { return }
            state.incoming.append(room)
        }
    }

    private func checked(_ limit: Int, _ count: Int) throws -> Int {
        guard limit > 0, count > 0 else { throw noRoom(min(limit, count)) }
        return min(limit, traits.isUnix ? Self.maximumUnixLength : Self.maximumLength)
    }

    private func noRoom(_ number: Int) -> IOError {
        IOError(
            .invalidArgument, operation: "receive", subject: "\(local)",
            detail: "room for \(number); a receive needs room for at least one datagram of one byte")
    }

    @discardableResult
    func check(_ outcome: Outcome, _ operation: String) throws -> Int {
        try loop.check(outcome, operation, "\(local)")
    }

    /// Whether an error only says that the socket was closed, by us.
    func isEnd(_ error: any Error) -> Bool {
        guard let error = error as? IOError else { return false }
        return (error.code == .canceled || error.code == .badFileDescriptor) && state.withLock { $0.isClosed }
    }
}
