package import AsyncIOKernel
import Glibc
import SystemPackage

/// A folder for one test, made and removed with plain calls of the tests' own.
package final class Scratch: Sendable {
    package let path: String

    package init(in parent: String = "/tmp") throws {
        var template = Array("\(parent)/asyncio-XXXXXX".utf8CString)
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

    package subscript(_ name: String) -> String { "\(path)/\(name)" }

    /// Makes a file with these bytes, and returns its path.
    @discardableResult
    package func file(_ name: String, _ bytes: [UInt8] = [], mode: UInt32 = 0o644) throws -> String {
        let number = try SystemCall.call("open", name) {
            unsafe open(self[name], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        }
        let file = Descriptor(owning: CInt(number))
        try SystemCall.writeAll(bytes, to: file.number)
        return self[name]
    }

    /// Makes a file with this text, and returns its path.
    @discardableResult
    package func file(_ name: String, _ text: String, mode: UInt32 = 0o644) throws -> String {
        try file(name, Array(text.utf8), mode: mode)
    }

    @discardableResult
    package func folder(_ name: String) throws -> String {
        try SystemCall.call("mkdir", name) { unsafe mkdir(self[name], 0o755) }
        return self[name]
    }

    @discardableResult
    package func link(_ name: String, to target: String) throws -> String {
        try SystemCall.call("symlink", name) { unsafe symlink(target, self[name]) }
        return self[name]
    }

    /// The bytes of a file, or nil if there is none.
    package func bytes(_ name: String) -> [UInt8]? {
        let number = SystemCall.result { unsafe open(self[name], O_RDONLY | O_CLOEXEC) }
        guard number >= 0 else { return nil }
        let file = Descriptor(owning: CInt(number))
        return try? SystemCall.bytes(of: file.number, count: 1 << 24)
    }

    /// The names in it, or in a folder of it, in order.
    package func names(_ folder: String = ".") -> [String] {
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

    package func mode(_ name: String) -> UInt32? { Self.status(self[name]).map { $0.st_mode & 0o7777 } }

    /// How many descriptors of the process lead into it.
    package var openDescriptors: Int {
        (0..<4_096).count { number in
            var target = [UInt8](repeating: 0, count: 4_096)
            let count = unsafe target.withUnsafeMutableBytes { memory in
                unsafe memory.baseAddress.map { unsafe readlink("/proc/self/fd/\(number)", $0, memory.count) } ?? -1
            }
            return count > 0 && target.prefix(count).starts(with: path.utf8)
        }
    }

    // MARK: Of files anywhere

    package static func exists(_ path: String) -> Bool { status(path) != nil }

    package static func isSocket(_ path: String) -> Bool { status(path).map { $0.st_mode & S_IFMT } == S_IFSOCK }

    /// How many bytes a file has; nil if it is not there.
    package static func size(of path: String) -> Int? { status(path).map { Int($0.st_size) } }

    /// A link is looked at itself.
    private static func status(_ path: String) -> stat? {
        var status = stat()
        return unsafe lstat(path, &status) == 0 ? status : nil
    }

    /// A file that has no name, to read and to write from its start.
    package static func nameless(_ bytes: [UInt8] = []) throws -> Descriptor {
        var path = Array("/tmp/asyncio-XXXXXX".utf8CString)
        let file = Descriptor(owning: CInt(try SystemCall.call("mkstemp") { unsafe mkstemp(&path) }))
        _ = fcntl(file.number, F_SETFD, FD_CLOEXEC)
        _ = unsafe unlink(path)
        try SystemCall.writeAll(bytes, to: file.number)
        lseek(file.number, 0, SEEK_SET)
        return file
    }
}
