import AsyncIOKernel
import Glibc

/// What the kernel counts of this process.
enum ProcessTable {
    /// Memory in use, in bytes.
    static var residentBytes: Int {
        let fields = text("/proc/self/statm").split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }

    /// Processor time of the calling thread, in nanoseconds.
    static var threadTime: Int64 {
        text("/proc/thread-self/schedstat").split(separator: " ").first.flatMap { Int64($0) } ?? 0
    }

    static func text(_ path: String) -> String {
        let number = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard number >= 0 else { return "" }
        let descriptor = Descriptor(owning: number)
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = SystemCall.result {
            unsafe bytes.withUnsafeMutableBytes { unsafe read(number, $0.baseAddress, $0.count) }
        }
        descriptor.close()
        return String(decoding: bytes.prefix(max(count, 0)), as: UTF8.self)
    }
}
