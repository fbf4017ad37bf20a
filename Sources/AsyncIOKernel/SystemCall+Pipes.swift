package import CAsyncIO
import Glibc
import SystemPackage

// The calls of pipes and files, typed. Each returns its value or a negated error number.
extension SystemCall {
    /// read(2), for what is no socket.
    package static func read(_ descriptor: CInt, _ memory: UnsafeMutableRawPointer?, _ count: Int) -> Int {
        result { unsafe Glibc.read(descriptor, memory, count) }
    }

    /// write(2), for what is no socket, without SIGPIPE.
    package static func write(_ descriptor: CInt, _ memory: UnsafeRawPointer?, _ count: Int) -> Int {
        var vector = unsafe iovec(iov_base: UnsafeMutableRawPointer(mutating: memory), iov_len: count)
        return result { unsafe casyncio_writev(descriptor, &vector, 1) }
    }

    /// writev(2), without SIGPIPE.
    package static func write(_ descriptor: CInt, _ vectors: UnsafeMutablePointer<iovec>, _ count: Int) -> Int {
        result { unsafe casyncio_writev(descriptor, vectors, CInt(clamping: count)) }
    }

    /// splice(2) from a socket or pipe into a pipe.
    package static func spliceIn(_ descriptor: CInt, _ pipe: CInt, _ count: Int) -> Int {
        result { casyncio_splice_in(descriptor, pipe, count) }
    }

    /// splice(2) out of a pipe, without SIGPIPE.
    package static func spliceOut(_ pipe: CInt, _ descriptor: CInt, _ count: Int) -> Int {
        result { casyncio_splice_out(pipe, descriptor, count) }
    }

    /// sendfile(2), without SIGPIPE.
    package static func sendFile(
        _ descriptor: CInt, _ file: CInt, _ offset: UnsafeMutablePointer<Int64>, _ count: Int
    ) -> Int {
        result { unsafe casyncio_send_file(descriptor, file, offset, count) }
    }

    /// The file's bytes from an offset, at most so many; none at its end. Blocks while they are read.
    package static func bytes(of file: CInt, at offset: Int64, count: Int) throws(IOError) -> [UInt8] {
        var failure: IOError?
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { memory, initialized in
            let result = result { unsafe pread(file, memory.baseAddress, count, off_t(offset)) }
            initialized = max(result, 0)
            guard result < 0 else { return }
            failure = IOError(Errno(negated: result), operation: "read", subject: "descriptor \(file)")
        }
        if let failure { throw failure }
        return bytes
    }

    /// Asks for more room in a pipe, and returns how many bytes it has (F_SETPIPE_SZ of fcntl(2)).
    package static func growPipe(_ pipe: CInt, to wish: Int) -> Int {
        let grown = result { fcntl(pipe, CInt(CASYNCIO_SET_PIPE_SIZE), CInt(clamping: wish)) }
        return grown > 0 ? grown : max(result { fcntl(pipe, CInt(CASYNCIO_GET_PIPE_SIZE)) }, 4096)
    }

    /// pipe2(2), close-on-exec and non-blocking: two new numbers, which the caller owns.
    package static func pipe() throws(IOError) -> (reader: CInt, writer: CInt) {
        var ends: [CInt] = [-1, -1]
        try call("pipe") { unsafe casyncio_pipe(&ends) }
        return (ends[0], ends[1])
    }
}
