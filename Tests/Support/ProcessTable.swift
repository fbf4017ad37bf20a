import AsyncIOKernel
import Glibc
import SystemPackage

/// What the kernel counts of this process.
package enum ProcessTable {
    /// Memory in use, in bytes.
    package static var residentBytes: Int {
        let fields = text("/proc/self/statm").split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) : 0
    }

    /// Processor time of the calling thread, in nanoseconds.
    package static var threadTime: Int64 {
        text("/proc/thread-self/schedstat").split(separator: " ").first.flatMap { Int64($0) } ?? 0
    }

    /// Descriptors that are open.
    package static var descriptors: Int { entries("/proc/self/fd") }

    /// Threads that live.
    package static var threads: Int { entries("/proc/self/task") }

    private static func entries(_ folder: String) -> Int {
        guard let stream = unsafe opendir(folder) else { return 0 }
        defer { unsafe closedir(stream) }
        var count = 0
        while let entry = unsafe readdir(stream) {
            if unsafe entry.pointee.d_name.0 != CChar(UInt8(ascii: ".")) { count += 1 }
        }
        return count
    }

    /// A file's text; empty if there is none.
    package static func text(_ path: String) -> String { (try? contents(of: path)) ?? "" }

    /// A file's text, of whatever length.
    package static func contents(of path: String) throws -> String {
        let number = CInt(try SystemCall.call("open", path) { unsafe open(path, O_RDONLY | O_CLOEXEC) })
        let file = Descriptor(owning: number)
        var all: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = try SystemCall.call("read", path) {
                unsafe part.withUnsafeMutableBytes { unsafe read(file.number, $0.baseAddress, $0.count) }
            }
            if count == 0 { return String(decoding: all, as: UTF8.self) }
            all += part.prefix(count)
        }
    }
}

extension ProcessTable {
    /// Threads that live under a name, of at most 15 bytes.
    package static func threads(named name: String) -> Int {
        guard let stream = unsafe opendir("/proc/self/task") else { return 0 }
        defer { unsafe closedir(stream) }
        var count = 0
        while let entry = unsafe readdir(stream) {
            let thread = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
                unsafe name.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if text("/proc/self/task/\(thread)/comm") == name + "\n" { count += 1 }
        }
        return count
    }
}
