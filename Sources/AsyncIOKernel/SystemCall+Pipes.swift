package import CAsyncIO
import Glibc
import SystemPackage

// The calls of pipes and files, typed. Each returns its value or a negated error number.
extension SystemCall {
    /// read(2), for what is no socket.
    package static func read(_ descriptor: CInt, _ memory: UnsafeMutableRawPointer?, _ count: Int) -> Int {
        if let standIn { return unsafe standIn.read(descriptor, into: .init(start: memory, count: count)) }
        return result { unsafe Glibc.read(descriptor, memory, count) }
    }

    /// write(2), for what is no socket, without SIGPIPE.
    package static func write(_ descriptor: CInt, _ memory: UnsafeRawPointer?, _ count: Int) -> Int {
        if let standIn { return unsafe standIn.write(descriptor, .init(start: memory, count: count)) }
        var vector = unsafe iovec(iov_base: UnsafeMutableRawPointer(mutating: memory), iov_len: count)
        return result { unsafe casyncio_writev(descriptor, &vector, 1) }
    }

    /// writev(2), without SIGPIPE.
    package static func write(_ descriptor: CInt, _ vectors: UnsafeMutablePointer<iovec>, _ count: Int) -> Int {
        if let standIn {
            var message = unsafe msghdr()
            unsafe message.msg_iov = vectors
            unsafe message.msg_iovlen = count
            return unsafe standIn.send(descriptor, message: &message)
        }
        return result { unsafe casyncio_writev(descriptor, vectors, CInt(clamping: count)) }
    }

    /// splice(2) from a socket or pipe into a pipe.
    package static func spliceIn(_ descriptor: CInt, _ pipe: CInt, _ count: Int) -> Int {
        if isSimulated { return Errno.invalidArgument.negated }
        return result { casyncio_splice_in(descriptor, pipe, count) }
    }

    /// splice(2) out of a pipe, without SIGPIPE.
    package static func spliceOut(_ pipe: CInt, _ descriptor: CInt, _ count: Int) -> Int {
        if isSimulated { return Errno.invalidArgument.negated }
        return result { casyncio_splice_out(pipe, descriptor, count) }
    }

    /// sendfile(2), without SIGPIPE.
    package static func sendFile(
        _ descriptor: CInt, _ file: CInt, _ offset: UnsafeMutablePointer<Int64>, _ count: Int
    ) -> Int {
        if isSimulated { return Errno.invalidArgument.negated }
        return result { unsafe casyncio_send_file(descriptor, file, offset, count) }
    }

    /// The file's bytes from an offset, or from where it stands, at most so many; none at its end. Blocks while they
    /// are read.
    package static func bytes(of file: CInt, at offset: Int64? = nil, count: Int) throws(IOError) -> [UInt8] {
        try unsafe bytes(of: file, count) { memory in
            guard let offset else { return unsafe read(file, memory, count) }
            return result { unsafe pread(file, memory, count, off_t(offset)) }
        }
    }

    /// The bytes that a descriptor has ready, at most so many; nil at the end, none if somebody else was faster. Only
    /// after it was said to be ready: a socket does not block then, whoever else reads from it.
    package static func sharedBytes(of descriptor: CInt, count: Int) throws(IOError) -> [UInt8]? {
        var isTaken = false
        let bytes = try unsafe bytes(of: descriptor, count) { memory in
            let received = result { unsafe recv(descriptor, memory, count, CInt(MSG_DONTWAIT)) }
            isTaken = received == Errno.wouldBlock.negated
            if isTaken { return 0 }
            return received == Errno.notSocket.negated ? unsafe read(descriptor, memory, count) : received
        }
        return bytes.isEmpty && !isTaken ? nil : bytes
    }

    private static func bytes(
        of descriptor: CInt, _ count: Int, _ call: (UnsafeMutableRawPointer?) -> Int
    ) throws(IOError) -> [UInt8] {
        var error: IOError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { memory, initialized in
            let result = unsafe call(UnsafeMutableRawPointer(memory.baseAddress))
            initialized = max(result, 0)
            if result < 0 { error = failure("read", descriptor, result) }
        }
        if let error { throw error }
        return bytes
    }

    /// Writes all of the bytes to a file, and blocks meanwhile.
    package static func writeAll(_ bytes: [UInt8], to file: CInt) throws(IOError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = unsafe rest.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
            guard written >= 0 else { throw failure("write", file, written) }
            rest = rest.dropFirst(written)
        }
    }

    /// Writes what a descriptor takes, and returns how many bytes that was. Only after it was said to be ready: a
    /// socket does not block then, whoever else writes to it.
    package static func writeShared(_ bytes: ArraySlice<UInt8>, to descriptor: CInt) throws(IOError) -> Int {
        let written = unsafe bytes.withUnsafeBytes { bytes in
            let flags = CInt(MSG_DONTWAIT) | CInt(MSG_NOSIGNAL)
            let sent = result { unsafe Glibc.send(descriptor, bytes.baseAddress, bytes.count, flags) }
            guard sent == Errno.notSocket.negated else { return sent == Errno.wouldBlock.negated ? 0 : sent }
            return unsafe write(descriptor, bytes.baseAddress, bytes.count)
        }
        guard written >= 0 else { throw failure("write", descriptor, written) }
        return written
    }

    private static func failure(_ operation: String, _ descriptor: CInt, _ result: Int) -> IOError {
        IOError(Errno(negated: result), operation: operation, subject: "descriptor \(descriptor)")
    }

    /// Asks for more room in a pipe, and returns how many bytes it has (F_SETPIPE_SZ of fcntl(2)).
    package static func growPipe(_ pipe: CInt, to wish: Int) -> Int {
        let grown = result { fcntl(pipe, CInt(CASYNCIO_SET_PIPE_SIZE), CInt(clamping: wish)) }
        return grown > 0 ? grown : max(result { fcntl(pipe, CInt(CASYNCIO_GET_PIPE_SIZE)) }, 4096)
    }

    /// pipe2(2), close-on-exec and non-blocking: two new numbers, which the caller owns.
    package static func pipe() throws(IOError) -> (reader: CInt, writer: CInt) {
        if let standIn {
            let ends = standIn.pipe()
            try check(ends.result, "pipe")
            return (ends.1, ends.2)
        }
        var ends: [CInt] = [-1, -1]
        try call("pipe") { unsafe casyncio_pipe(&ends) }
        return (ends[0], ends[1])
    }
}
