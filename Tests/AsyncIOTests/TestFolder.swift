import AsyncIOKernel
import Glibc
import SystemPackage

/// A folder of a test's own, which goes with its content.
final class TestFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/asyncio-XXXXXX".utf8CString)
        let made = unsafe template.withUnsafeMutableBufferPointer { memory in
            unsafe memory.baseAddress.flatMap { unsafe mkdtemp($0) }.map { unsafe String(cString: $0) }
        }
        guard let made else { throw Errno.noSuchFileOrDirectory }
        path = made
    }

    deinit {
        guard let stream = unsafe opendir(path) else { return }
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if name != "." && name != ".." { unsafe unlink(path + "/" + name) }
        }
        unsafe closedir(stream)
        unsafe rmdir(path)
    }

    func path(_ name: String) -> String { path + "/" + name }

    /// The permissions of a file, and whether it is a socket; nil if it is not there.
    static func look(at path: String) -> (mode: mode_t, isSocket: Bool)? {
        var information = stat()
        guard unsafe lstat(path, &information) == 0 else { return nil }
        return (information.st_mode & 0o7777, information.st_mode & S_IFMT == S_IFSOCK)
    }

    /// How many bytes a file has; -1 if it is not there.
    static func size(of path: String) -> Int {
        var information = stat()
        return unsafe lstat(path, &information) == 0 ? Int(information.st_size) : -1
    }

    static func exists(_ path: String) -> Bool { look(at: path) != nil }

    /// A file with a text.
    static func write(_ text: String, to path: String) throws {
        let number = try SystemCall.call("open") { unsafe open(path, O_CREAT | O_WRONLY | O_EXCL, 0o600) }
        _ = unsafe Array(text.utf8).withUnsafeBytes { unsafe Glibc.write(CInt(number), $0.baseAddress, $0.count) }
        close(CInt(number))
    }
}
