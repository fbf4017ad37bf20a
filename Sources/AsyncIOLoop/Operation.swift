package import AsyncIOKernel
import Glibc
package import SystemPackage

/// What a task asks of the outside world, as data: the one list that every driver encodes in one place.
///
/// The memory that an operation names belongs to it until its completion has come. The task that asked is suspended
/// that long, so buffers in its frame, or owned by it, stay alive whatever is cancelled, closed or dropped meanwhile.
@safe
package enum Operation: @unchecked Sendable {
    /// Takes a new descriptor under the driver's care. Result: the ``Handle``'s raw value.
    case adopt(CInt)
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
    /// is answered, while it is warm in the cache, and not in one go for all connections of a tick.
    case receiveBytes(Handle, limit: Int, inTwoSteps: Bool)
    /// Sends all of the bytes. Result: their number.
    case send(Handle, UnsafeRawBufferPointer)
    /// Says to the peer that nothing more will be sent. Refused with `EBUSY` while a send is under way.
    case finishSending(Handle)
    /// Asks for the socket's own address. The bytes are a `sockaddr`.
    case localAddress(Handle)
    /// Waits until a read on somebody else's descriptor would not block.
    case waitReadable(CInt)
    /// Waits until a write on somebody else's descriptor would not block.
    case waitWritable(CInt)
    /// Ends what is pending on the descriptor, with `ECANCELED`, and closes it.
    case close(Handle)
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
        case .receive, .receiveBytes: "read"
        case .send: "write"
        case .finishSending: "close writing"
        case .localAddress: "local address"
        case .waitReadable: "wait readable"
        case .waitWritable: "wait writable"
        case .close: "close"
        case .sleep: "sleep"
        }
    }

    /// The descriptor's number, or -1.
    package var descriptor: CInt {
        switch self {
        case .adopt(let number), .waitReadable(let number), .waitWritable(let number): number
        case .accept(let handle), .connect(let handle, _), .receive(let handle, _), .receiveBytes(let handle, _, _),
            .send(let handle, _), .finishSending(let handle), .localAddress(let handle), .close(let handle):
            handle.descriptor
        case .sleep: -1
        }
    }
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

    /// 31 bits, so that a handle travels in the result of an operation as a non-negative number.
    package static let generationMask: UInt32 = 0x7fff_ffff

    package init(rawValue: Int) {
        descriptor = CInt(truncatingIfNeeded: rawValue)
        generation = UInt32(truncatingIfNeeded: rawValue >> 32)
    }

    package var rawValue: Int { Int(generation) << 32 | Int(UInt32(bitPattern: descriptor)) }
}

/// Names one operation under way. Exactly one completion carries it.
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
package struct Outcome: Sendable {
    package var result: Int
    package var bytes: [UInt8]?

    package init(_ result: Int, bytes: [UInt8]? = nil) {
        self.result = result
        self.bytes = bytes
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
