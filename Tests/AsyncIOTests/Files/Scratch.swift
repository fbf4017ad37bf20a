import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc
import SystemPackage

/// A folder for one test, made and removed with plain calls of the tests' own.
final class Scratch: Sendable {
    let path: String

    init(in parent: String = "/tmp") throws {
        var template = Array("\(parent)/asyncio-files-XXXXXX".utf8CString)
        let made = unsafe template.withUnsafeMutableBufferPointer { template in
            unsafe template.baseAddress.map { unsafe mkdtemp($0) } != nil
        }
        guard made else { throw IOError(.ioError, operation: "mkdtemp", subject: parent) }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for name in names() { remove(name) }
        _ = unsafe rmdir(path)
    }

    private func remove(_ name: String) {
        guard unsafe unlink(self[name]) != 0 else { return }
        _ = unsafe chmod(self[name], 0o700)
        for inner in names(name) { remove("\(name)/\(inner)") }
        _ = unsafe rmdir(self[name])
    }

    subscript(_ name: String) -> String { "\(path)/\(name)" }

    /// Makes a file with these bytes, and returns its path.
    @discardableResult
    func file(_ name: String, _ bytes: [UInt8] = [], mode: mode_t = 0o644) throws -> String {
        let number = try SystemCall.call("open", name) {
            unsafe open(self[name], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        }
        let file = Descriptor(owning: CInt(number))
        try SystemCall.writeAll(bytes, to: file.number)
        return self[name]
    }

    @discardableResult
    func folder(_ name: String) throws -> String {
        try SystemCall.call("mkdir", name) { unsafe mkdir(self[name], 0o755) }
        return self[name]
    }

    @discardableResult
    func link(_ name: String, to target: String) throws -> String {
        try SystemCall.call("symlink", name) { unsafe symlink(target, self[name]) }
        return self[name]
    }

    /// The bytes of a file, or nil if there is none.
    func bytes(_ name: String) -> [UInt8]? {
        let number = SystemCall.result { unsafe open(self[name], O_RDONLY | O_CLOEXEC) }
        guard number >= 0 else { return nil }
        let file = Descriptor(owning: CInt(number))
        return try? SystemCall.bytes(of: file.number, count: 1 << 24)
    }

    /// The names in it, or in a folder of it, in order.
    func names(_ folder: String = ".") -> [String] {
        guard let stream = unsafe opendir(self[folder]) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    func mode(_ name: String) -> mode_t? {
        var status = stat()
        return unsafe lstat(self[name], &status) == 0 ? status.st_mode & 0o7777 : nil
    }

    /// How many descriptors of the process lead into it.
    var openDescriptors: Int {
        (0..<4_096).count { number in
            var target = [UInt8](repeating: 0, count: 4_096)
            let count = unsafe target.withUnsafeMutableBytes { memory in
                unsafe memory.baseAddress.map { unsafe readlink("/proc/self/fd/\(number)", $0, memory.count) } ?? -1
            }
            return count > 0 && target.prefix(count).starts(with: path.utf8)
        }
    }
}
