package import CAsyncIO
import Glibc

/// Answers a thread's system calls in place of the kernel: the ground of a simulation.
///
/// Everything in the package that asks the kernel goes through ``SystemCall``, whose functions ask the thread's
/// stand-in first, if it has one (``SystemCall/standIn``). So the code above them, down to the retries after `EAGAIN`,
/// is the same over a simulated kernel. What a stand-in does not know, it refuses by name, ``refuse(_:)``; nothing
/// reaches the real kernel for want of an answer.
///
/// Each call answers as the kernel does: its value, or a negated error number. Descriptors are the stand-in's own
/// numbers. Memory is the caller's, and is not touched after the call.
package protocol SystemStandIn: AnyObject {
    /// Notes that somebody has asked for what is not simulated, and returns the negated error number for it.
    func refuse(_ call: StaticString) -> Int

    // Sockets.
    func socket(family: CInt, type: CInt) -> Int
    func socketPair(type: CInt) -> (result: Int, CInt, CInt)
    func bind(_ descriptor: CInt, _ address: SocketAddress) -> Int
    func listen(_ descriptor: CInt, backlog: CInt) -> Int
    /// The bytes are the peer's `sockaddr`.
    func accept(_ descriptor: CInt) -> (Int, [UInt8])
    func connect(_ descriptor: CInt, _ address: SocketAddress) -> Int
    func localAddress(_ descriptor: CInt) -> (Int, [UInt8])
    func peerAddress(_ descriptor: CInt) -> (Int, [UInt8])
    func pendingError(_ descriptor: CInt) -> Int
    func finishSending(_ descriptor: CInt) -> Int
    func option(_ descriptor: CInt, level: CInt, name: CInt, size: Int) -> (Int, [UInt8])
    func setOption(_ descriptor: CInt, level: CInt, name: CInt, value: [UInt8]) -> Int
    func receive(_ descriptor: CInt, message: UnsafeMutablePointer<msghdr>) -> Int
    func send(_ descriptor: CInt, message: UnsafeMutablePointer<msghdr>) -> Int

    // Sockets and pipes.
    func read(_ descriptor: CInt, into memory: UnsafeMutableRawBufferPointer) -> Int
    func write(_ descriptor: CInt, _ bytes: UnsafeRawBufferPointer) -> Int
    func pipe() -> (result: Int, CInt, CInt)
    func close(_ descriptor: CInt) -> Int

    // Files of sockets.
    /// Opens the file at a path itself, so that it can be told from others.
    func openItself(_ path: [UInt8]) -> Int
    func identity(of path: [UInt8]) -> FileIdentity?
    func identity(of descriptor: CInt) -> FileIdentity?
    func setPermissions(_ descriptor: CInt, _ permissions: UInt32) -> Int
    func unlink(_ path: [UInt8]) -> Int

    // Files. What waits for a disk comes another way, as data to the driver.
    func open(_ path: [UInt8], flags: CInt, mode: UInt32) -> Int
    func isOpen(_ descriptor: CInt) -> Bool
    /// What is known about an open file without asking a disk.
    func status(of descriptor: CInt, into status: UnsafeMutablePointer<casyncio_status>) -> Int
    func openWatch() -> Int
    func unwatch(_ inotify: CInt, _ watch: CInt)
    /// What new files and folders are not to have.
    var umask: UInt32 { get }

    // Names. Nil: this host does not know it.
    func addresses(of host: String) -> [SocketAddress]?
    func name(of address: SocketAddress) -> String?
    /// How long the answer takes.
    func timeToLookUp() -> Duration

    // Processes.
    func spawn(_ plan: inout casyncio_spawn) -> Int
    func copy(_ descriptor: CInt, notBelow limit: CInt) -> Int
    func openProcess(_ process: CInt) -> Int
    /// With the process's descriptor.
    func signal(_ process: CInt, _ signal: CInt, wholeGroup: Bool) -> Int
    func takeEnd(of process: CInt, _ end: inout casyncio_process_end, keepsIt: Bool) -> Int
    func isChild(_ process: CInt) -> Int
    func killAndReap(_ process: CInt)
    func checkRunnable(_ path: String) -> Int
    func checkFolder(_ path: String) -> Int
    /// The variables that a child inherits, as `NAME=value`.
    var environment: [[UInt8]] { get }
    func waitingBytes(_ descriptor: CInt) -> Int

    // Signals.
    /// A descriptor that becomes readable when one of the signals has come.
    func listen(to signals: UInt64) -> Int
    /// The signals that have come since the last call, each once.
    func takeSignals(_ listener: CInt) -> UInt64
    /// Hears no more; the descriptor becomes readable.
    func ignoreSignals(_ listener: CInt)

    /// A number that nobody can guess, drawn from the seed.
    func randomNumber() -> UInt64
    /// How many processors this host has.
    var processors: Int { get }
}

extension SystemCall {
    /// Who answers the calling thread's system calls, if not the kernel.
    @inline(__always)
    package static var standIn: (any SystemStandIn)? {
        guard let pointer = unsafe casyncio_stand_in() else { return nil }
        return unsafe Unmanaged<StandInHolder>.fromOpaque(pointer)._withUnsafeGuaranteedRef { $0.standIn }
    }

    /// Whether a stand-in answers the calling thread's system calls.
    @inline(__always)
    package static var isSimulated: Bool { unsafe casyncio_stand_in() != nil }

    /// Lets a stand-in answer the calling thread's system calls; nil gives them back to the kernel. The holder is the
    /// caller's, and has to live until then.
    package static func answerCalls(_ holder: StandInHolder?) {
        unsafe casyncio_set_stand_in(holder.map { unsafe Unmanaged.passUnretained($0).toOpaque() })
    }
}

extension SystemCall {
    /// Runs a body whose system calls go to the kernel, whatever stand-in the thread has.
    package static func askingTheKernel<Result, Failure: Error>(
        _ body: () throws(Failure) -> Result
    ) throws(Failure) -> Result {
        let standIn = unsafe casyncio_stand_in()
        casyncio_set_stand_in(nil)
        defer { unsafe casyncio_set_stand_in(standIn) }
        return try body()
    }
}

extension SystemStandIn {
    /// recvmmsg(2): the messages that are there, at least one.
    func receive(
        _ descriptor: CInt, _ messages: UnsafeMutablePointer<casyncio_message>, _ count: Int
    ) -> Int {
        unsafe each(messages, count) { unsafe receive(descriptor, message: $0) }
    }

    /// sendmmsg(2): as many of the messages as are taken, at least one.
    func send(
        _ descriptor: CInt, _ messages: UnsafeMutablePointer<casyncio_message>, _ count: Int
    ) -> Int {
        unsafe each(messages, count) { unsafe send(descriptor, message: $0) }
    }

    private func each(
        _ messages: UnsafeMutablePointer<casyncio_message>, _ count: Int,
        _ call: (UnsafeMutablePointer<msghdr>) -> Int
    ) -> Int {
        for index in 0..<count {
            let result = unsafe call(&messages[index].header)
            if result < 0 { return index > 0 ? index : result }
            unsafe messages[index].length = CUnsignedInt(clamping: result)
        }
        return count
    }
}

/// A stand-in in one word.
package final class StandInHolder {
    let standIn: any SystemStandIn

    package init(_ standIn: any SystemStandIn) { self.standIn = standIn }
}
