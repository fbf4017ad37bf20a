package import AsyncIOKernel
package import CAsyncIO
import Glibc
package import SystemPackage

/// What a task asks of the outside world, as data: the one list that every driver encodes in one place.
///
/// The memory that an operation names belongs to it until its completion has come. The task that asked is suspended
/// that long, so buffers in its frame, or owned by it, stay alive whatever is cancelled, closed or dropped meanwhile.
@safe
package enum Operation: @unchecked Sendable {
    /// Takes a new descriptor under the driver's care. Result: the ``Handle``'s raw value.
    case adopt(CInt, Medium)
    /// Accepts one connection, non-blocking and close-on-exec, and adopts it. Result: its ``Handle``'s raw value; the
    /// bytes are the peer's `sockaddr`.
    case accept(Handle)
    /// Connects a socket. Result: 0. The address is read at once.
    case connect(Handle, UnsafePointer<SocketAddress>)
    /// Receives what is there into the caller's memory. Result: bytes, 0 at the end.
    case receive(Handle, into: UnsafeMutableRawBufferPointer)
    /// Receives what is there, at most `limit` bytes, into memory of the driver's: nothing is held while waiting.
    ///
    /// A task that runs on the loop asks for it in two steps: the driver may report ``Outcome/again`` when something
    /// has come, and the task asks again when it runs. So what the kernel has for one connection is read just before it
    /// is answered, while it is warm in the cache, and not in one go for all connections of a tick. The place of the
    /// reader stays the task's between the steps; so the second one always has to come.
    case receiveBytes(Handle, limit: Int, Steps, Landing = .array)
    /// Sends all of the bytes. Result: their number.
    case send(Handle, UnsafeRawBufferPointer)
    /// Sends all of the bytes that the list names; the driver shortens the list as it goes. Result: their number.
    case sendVector(Handle, UnsafeMutableBufferPointer<iovec>)
    /// Sends what is taken at once. Result: bytes, or `EAGAIN`. Never waits.
    case sendNow(Handle, UnsafeRawBufferPointer)
    /// Receives one message, as recvmsg(2). Result: bytes; the rest stands in the header.
    case receiveMessage(Handle, UnsafeMutablePointer<msghdr>)
    /// Receives one message that is there, or `EAGAIN`. Never waits.
    case receiveMessageNow(Handle, UnsafeMutablePointer<msghdr>)
    /// Sends one message, whole, as sendmsg(2). Result: bytes. Of a stream's message the kernel may take a part; the
    /// driver sends the rest, without the descriptors, which have gone with the first byte, and shortens the list of
    /// vectors meanwhile.
    case sendMessage(Handle, UnsafeMutablePointer<msghdr>)
    /// Sends one message if it is taken at once, or `EAGAIN`. Never waits.
    case sendMessageNow(Handle, UnsafeMutablePointer<msghdr>)
    /// Receives the messages that are there, at least one, as recvmmsg(2). Result: their number.
    case receiveMessages(Handle, UnsafeMutableBufferPointer<casyncio_message>)
    /// Sends as many of the messages as are taken, at least one, as sendmmsg(2). Result: their number.
    case sendMessages(Handle, UnsafeMutableBufferPointer<casyncio_message>)
    /// Moves what is there into an empty pipe, as splice(2). Result: bytes, 0 at the end.
    case spliceIn(Handle, pipe: CInt, count: Int)
    /// Moves all of so many bytes out of a pipe that holds them. Result: their number.
    case spliceOut(Handle, pipe: CInt, count: Int)
    /// Passes on what comes from one socket to another, as long as the pieces are small and are taken at once: a
    /// message costs its two system calls, and wakes no task. Takes the reader's place of the one and the writer's of
    /// the other. Result: 0 at the end; otherwise the bytes that were received last and are the caller's to send. Bytes
    /// that were passed on are counted.
    case relay(Handle, to: Handle, ByteCounter)
    /// Sends bytes of a regular file from the offset, which moves, as sendfile(2). Result: bytes; fewer than asked for
    /// only at the end of the file.
    case sendFile(Handle, file: CInt, offset: UnsafeMutablePointer<Int64>, count: Int)
    /// Says to the peer that nothing more will be sent: shuts a socket's sending side down, closes a pipe. Refused with
    /// `EBUSY` while a send is under way.
    case finishSending(Handle)
    /// Asks for the socket's own address. The bytes are a `sockaddr`.
    case localAddress(Handle)
    /// Asks for an option's value, at most so many bytes, as getsockopt(2).
    case option(Handle, level: CInt, name: CInt, size: Int)
    /// Sets an option, as setsockopt(2).
    case setOption(Handle, level: CInt, name: CInt, value: [UInt8])
    /// Waits until a read on somebody else's descriptor would not block.
    case waitReadable(CInt)
    /// Waits until a write on somebody else's descriptor would not block.
    case waitWritable(CInt)
    /// Ends what is pending on the descriptor, with `ECANCELED`, and closes it.
    case close(Handle, Closing)
    /// Takes an idle descriptor out of the driver's care, open. Result: its number, which is the caller's to close.
    /// Refused with `EBUSY` while an operation is under way.
    case disown(Handle)
    /// Does something to a file or folder, or answers ``Outcome/needsThread``: the driver could only block. Result: as
    /// the call says.
    indirect case file(FileCall)
    /// Waits until the instant. The loop's own; drivers never see it.
    case sleep(Instant)
}

extension Operation {
    /// The verb, for error messages, timelines and the task tree.
    package var name: String {
        switch self {
        case .adopt: "adopt"
        case .accept: "accept"
        case .connect: "connect"
        case .receive, .receiveBytes, .receiveMessage, .receiveMessageNow, .receiveMessages, .spliceIn, .relay:
            "read"
        case .send, .sendVector, .sendNow, .sendMessage, .sendMessageNow, .sendMessages, .spliceOut: "write"
        case .sendFile: "send file"
        case .finishSending: "close writing"
        case .localAddress: "local address"
        case .option: "read option"
        case .setOption: "set option"
        case .waitReadable: "wait readable"
        case .waitWritable: "wait writable"
        case .close: "close"
        case .disown: "hand over"
        case .file(let call): call.name
        case .sleep: "sleep"
        }
    }

    /// The descriptor's number, or -1.
    package var descriptor: CInt {
        switch self {
        case .adopt(let number, _), .waitReadable(let number), .waitWritable(let number): number
        case .accept(let handle), .connect(let handle, _), .receive(let handle, _), .receiveBytes(let handle, _, _, _),
            .receiveMessage(let handle, _), .receiveMessageNow(let handle, _), .receiveMessages(let handle, _),
            .spliceIn(let handle, _, _), .relay(let handle, _, _), .send(let handle, _), .sendVector(let handle, _),
            .sendNow(let handle, _),
            .sendMessage(let handle, _), .sendMessageNow(let handle, _), .sendMessages(let handle, _),
            .spliceOut(let handle, _, _), .sendFile(let handle, _, _, _),
            .finishSending(let handle), .localAddress(let handle), .option(let handle, _, _, _),
            .setOption(let handle, _, _, _), .close(let handle, _), .disown(let handle):
            handle.descriptor
        case .file(let call): call.descriptor
        case .sleep: -1
        }
    }

    /// Which of a descriptor's two places it takes while it is under way: one reader, one writer.
    package var side: Side? {
        switch self {
        case .accept, .receive, .receiveBytes, .receiveMessage, .receiveMessageNow, .receiveMessages, .spliceIn,
            .relay, .waitReadable:
            .reader
        case .connect, .send, .sendVector, .sendNow, .sendMessage, .sendMessageNow, .sendMessages, .spliceOut,
            .sendFile, .finishSending, .waitWritable:
            .writer
        case .adopt, .localAddress, .option, .setOption, .close, .disown, .file, .sleep: nil
        }
    }

    /// A descriptor's two directions.
    package enum Side { case reader, writer }

    /// How a task asks for something to be read.
    package enum Steps: Sendable {
        /// It gets what comes.
        case one
        /// It may be told to ask again.
        case two
        /// It was told to, by the completion of this token.
        case second(after: Token)
    }

    /// Where received bytes are to be found.
    package enum Landing: Sendable {
        /// In an array of their own.
        case array
        /// In memory of the driver's, which it gets back with ``EventLoop/takeBack(_:)``. For tasks that run on the
        /// loop.
        case lent
    }

    /// The second step of a read that got ``Outcome/again``.
    package func second(after first: Token) -> Operation {
        guard case .receiveBytes(let handle, let limit, _, let landing) = self else { return self }
        return .receiveBytes(handle, limit: limit, .second(after: first), landing)
    }

    /// A second step is taken whether or not the task has been cancelled: something has come for it.
    @inline(__always)
    var isSecondStep: Bool {
        if case .receiveBytes(_, _, .second, _) = self { true } else { false }
    }
}

/// What kind of descriptor a driver takes care of: sockets and others have different calls.
package enum Medium: Sendable { case socket, pipe }

/// How a descriptor is closed.
package enum Closing: Sendable {
    /// What was sent is still delivered.
    case orderly
    /// The connection is broken off (SO_LINGER of socket(7) with no time).
    case abortive
}

/// A descriptor under a driver's care, with the generation that tells it from later owners of the same number.
///
/// A handle that outlives its descriptor is refused with `EBADF`: it never reaches the socket that got the number next.
package struct Handle: Hashable, Sendable {
    package let descriptor: CInt
    package let generation: UInt32

    package init(descriptor: CInt, generation: UInt32) {
        self.descriptor = descriptor
        self.generation = generation & Handle.generationMask
    }

    /// Nobody's: every operation on it is refused.
    package static let none = Handle(descriptor: -1, generation: 0)

    /// 31 bits, so that a handle travels in the result of an operation as a non-negative number.
    package static let generationMask: UInt32 = 0x7fff_ffff

    package init(rawValue: Int) {
        descriptor = CInt(truncatingIfNeeded: rawValue)
        generation = UInt32(truncatingIfNeeded: rawValue >> 32)
    }

    package var rawValue: Int { Int(generation) << 32 | Int(UInt32(bitPattern: descriptor)) }
}

/// Names one operation under way. Exactly one completion carries it.
@usableFromInline
package struct Token: Hashable, Sendable {
    package let index: UInt32
    package let generation: UInt32
    package init(index: UInt32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }
}

/// How an operation ended: the kernel's number, non-negative or a negated error number, and received bytes if the
/// driver supplied the memory.
@safe
@usableFromInline
package struct Outcome: @unchecked Sendable {
    package var result: Int
    package var bytes: [UInt8]?
    /// Memory that holds `result` received bytes; whoever gets it gives it back.
    package var lent: UnsafeMutableRawPointer?

    package init(_ result: Int, bytes: [UInt8]? = nil) {
        self.result = result
        self.bytes = bytes
        unsafe lent = nil
    }
}

/// What a driver answers to a new operation.
package enum Submission {
    /// Done at once: no completion will come.
    case completed(Outcome)
    /// Under way: the completion comes from ``Driver/wait(until:into:)``, once.
    case pending
}

extension Errno {
    /// What an operation reports that came after its loop's end: ESHUTDOWN.
    package static var loopClosed: Errno { Errno(rawValue: Glibc.ESHUTDOWN) }
}

extension Outcome {
    /// Something has come: the same operation, asked for again, will find it.
    package static let again = Outcome(Int.min)
    /// The driver cannot do it without blocking: the caller lets a thread of the pool do it. Nothing was done yet.
    package static let needsThread = Outcome(Int.min + 1)
    /// The end of an operation that was cancelled.
    package static var cancelled: Outcome { Outcome(Errno.canceled.negated) }
}

/// A driver's report that an operation has ended.
package struct Completion: Sendable {
    package let token: Token
    package let outcome: Outcome
    package init(_ token: Token, _ outcome: Outcome) {
        self.token = token
        self.outcome = outcome
    }
}
