import AsyncIOKernel
import SystemPackage

/// What a driver knows of one descriptor number.
struct SocketState {
    /// Tells this owner of the number from earlier ones. Zero is never used by an owner.
    var generation: UInt32 = 0
    /// The driver closes it.
    var isAdopted = false
    /// It was accepted here, and nothing of ours hands its number over: there is no copy of it, unless of the process.
    var isSecret = false
    /// Which calls it takes.
    var medium = Medium.socket
    /// The driver reports when it becomes ready.
    var isWatched = false
    /// The driver may receive by itself what comes.
    var canBeFed = false
    /// The driver receives by itself, or has bytes left of it: receives take from there.
    var isFed = false
    /// The driver receives by itself.
    var feedIsOpen = false
    /// A read may bring something: it has to be tried.
    var mayRead = true
    /// A write may be taken: it has to be tried.
    var mayWrite = true
    /// The peer has finished or an error waits: short reads say nothing any more.
    var isFinished = false
    /// A read that brings less than it could has emptied it. True of TCP alone: a Unix socket stops behind bytes that
    /// carry descriptors, a terminal behind each line, a pipe of packets behind each packet.
    var shortReadMeansEmpty = false
    /// The error that a send has met, and so taken away from the read that should have reported it; a negated number.
    var brokenBy = 0
    /// The operation that waits to read, or to accept.
    var reader: Token?
    /// The operation that waits to write, or to connect.
    var writer: Token?
}

/// What a driver has to do when a descriptor becomes ready.
@safe
struct PendingOperation {
    enum Kind {
        case none, accept, connect, receive, receiveBytes, receiveMessage, receiveMessages, spliceIn, relay, send,
            sendVector, sendMessage, sendMessages, spliceOut, sendFile, waitReadable, waitWritable
    }

    var kind = Kind.none
    /// Received bytes are lent, and not copied into an array.
    var lends = false
    /// Readiness is enough of a completion.
    var inTwoSteps = false
    var descriptor: CInt = -1
    var generation: UInt32 = 0
    /// The caller's memory: bytes, vectors, messages, an offset.
    var memory: UnsafeMutableRawPointer?
    /// Bytes to receive at most, or still to send; vectors or messages in the memory.
    var count = 0
    /// The pipe or file at the other end.
    var other: CInt = -1
    /// Bytes already sent.
    var done = 0
    /// It could go on, but has done enough for one turn.
    var takesTurns = false

    /// It takes bytes of a stream, and may as well take those that the driver has received by itself.
    var awaitsBytes: Bool { kind == .receiveBytes || kind == .receive || kind == .relay }

    var isReader: Bool {
        switch kind {
        case .accept, .receive, .receiveBytes, .receiveMessage, .receiveMessages, .spliceIn, .relay, .waitReadable:
            true
        case .none, .connect, .send, .sendVector, .sendMessage, .sendMessages, .spliceOut, .sendFile, .waitWritable:
            false
        }
    }
}

extension DescriptorCore {
    /// Whether the handle's owner still owns the number.
    @inline(__always)
    func isCurrent(_ handle: Handle) -> Bool {
        let number = Int(handle.descriptor)
        return number >= 0 && number < sockets.count && sockets[number].generation == handle.generation
            && sockets[number].isAdopted
    }

    /// Makes room for a number and gives it to a new owner.
    func beginOwnership(of number: CInt, isAdopted: Bool, _ medium: Medium = .socket, isTCP: Bool = false) -> Handle {
        let index = Int(number)
        sockets.reserve(index)
        // The number can only be new if somebody closed it behind our back: whoever still waits there is told.
        endWaiting(index, Errno.badFileDescriptor.negated)
        if sockets[index].isWatched || sockets[index].isFed {
            unsafe source?.abandon(Handle(descriptor: number, generation: sockets[index].generation))
            stored[number] = nil
        }
        var state = SocketState()
        state.generation = nextGeneration(after: sockets[index].generation)
        state.isAdopted = isAdopted
        state.medium = medium
        state.shortReadMeansEmpty = isTCP
        state.canBeFed = isTCP && feedsStreams
        sockets[index] = state
        return Handle(descriptor: number, generation: state.generation)
    }

    /// Ends what is under way on a number.
    func endWaiting(_ index: Int, _ result: Int) {
        if let reader = sockets[index].reader { end(reader, result) }
        // A relay between two directions of one socket is both.
        if let writer = sockets[index].writer { end(writer, result) }
    }

    func endOwnership(of number: CInt) {
        let index = Int(number)
        var state = SocketState()
        state.generation = nextGeneration(after: sockets[index].generation)
        sockets[index] = state
    }

    private func nextGeneration(after generation: UInt32) -> UInt32 {
        let next = (generation &+ 1) & Handle.generationMask
        return next == 0 ? 1 : next
    }

    /// Remembers what to do later for a token.
    func remember(_ operation: PendingOperation, for token: Token) {
        let index = Int(token.index)
        pending.reserve(index)
        pending[index] = operation
        pending[index].generation = token.generation
    }

    /// What a token still waits for.
    func pendingOperation(_ token: Token) -> PendingOperation? {
        let index = Int(token.index)
        guard index < pending.count, pending[index].kind != .none, pending[index].generation == token.generation else {
            return nil
        }
        return pending[index]
    }

    /// The verb and the descriptor of what a token waits for.
    package func describe(_ token: Token) -> (verb: String, descriptor: CInt)? {
        pendingOperation(token).map { ("\($0.kind)", $0.descriptor) }
    }

    func forget(_ token: Token) {
        pending[Int(token.index)] = PendingOperation()
    }
}
