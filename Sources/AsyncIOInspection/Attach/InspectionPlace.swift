import AsyncIOKernel
import Glibc

/// Where the sockets of inspected processes are: in a folder of their user alone, each named after its process.
package enum InspectionPlace {
    /// Why a folder is not used.
    package struct Refusal: Error, Equatable, CustomStringConvertible {
        package let description: String
    }

    /// The folders where a user's sockets may be, the best one first.
    package static func folders(of user: UInt32, runtimeFolder: String?) -> [String] {
        var folders = ["/run/user/\(user)/asyncio", "/tmp/asyncio-\(user)"]
        // A relative path is to be ignored (XDG Base Directory Specification).
        if let runtimeFolder, runtimeFolder.hasPrefix("/") {
            let folder = runtimeFolder.hasSuffix("/") ? "\(runtimeFolder)asyncio" : "\(runtimeFolder)/asyncio"
            if folder != folders[0] { folders.insert(folder, at: 0) }
        }
        return folders
    }

    /// Where this process's environment has a folder for the time of the session.
    package static var runtimeFolder: String? {
        guard let value = unsafe getenv("XDG_RUNTIME_DIR") else { return nil }
        return unsafe String(cString: value)
    }

    /// The name of a process's socket in its folder.
    package static func name(of process: Int32) -> String { "\(process).sock" }

    /// The process whose socket has a name; nil if it is none's.
    package static func process(named name: String) -> Int32? {
        guard name.hasSuffix(".sock"), let process = Int32(name.dropLast(5)), process > 0 else { return nil }
        return Self.name(of: process) == name ? process : nil
    }

    /// The folder for this process's socket: made, if it is not there, and nobody else's.
    static func makeFolder() throws(Refusal) -> String {
        let user = geteuid()
        let folders = folders(of: user, runtimeFolder: runtimeFolder)
        // The runtime folder is passed over where there is none, or it is another user's, as after su(1).
        let folder = folders.dropLast().first { folder in
            let parent = String(folder.prefix(folder.utf8.count - "/asyncio".utf8.count))
            return Status(of: parent).map { $0.isFolder && $0.owner == user } == true
        }
        let chosen = folder ?? folders[folders.count - 1]
        let code = SystemCall.result { unsafe mkdir(chosen, 0o700) }
        if code != -Int(EEXIST) {
            do { try SystemCall.check(code, "make folder", chosen) } catch { throw Refusal(description: "\(error)") }
        }
        try check(chosen, user: user)
        return chosen
    }

    /// Refuses a folder where others could put something in a socket's place.
    package static func check(_ folder: String, user: UInt32) throws(Refusal) {
        guard let status = Status(of: folder) else { throw Refusal(description: "there is no folder \(folder)") }
        if !status.isFolder { throw Refusal(description: "\(folder) is no folder") }
        if status.owner != user { throw Refusal(description: "\(folder) belongs to user \(status.owner)") }
        if status.permissions & 0o077 != 0 {
            let mode = String(status.permissions, radix: 8)
            throw Refusal(description: "\(folder) is open to others (mode \(mode)); try: chmod 700 \(folder)")
        }
    }

    /// Who is behind a socket's file.
    package enum Listener {
        /// Somebody listens.
        case alive
        /// Nobody does, and nobody will.
        case dead
        /// There is no such file, or we may not know.
        case unknown
    }

    /// Whether somebody listens at a path. Does not wait.
    package static func listener(at path: String) -> Listener {
        guard let address = try? SocketAddress.unix(path: path) else { return .unknown }
        let number = SystemCall.socket(family: AF_UNIX, CInt(SOCK_STREAM.rawValue))
        guard number >= 0 else { return .unknown }
        let probe = Descriptor(owning: CInt(truncatingIfNeeded: number))
        switch SystemCall.connect(probe.number, address) {
        case 0..., -Int(EAGAIN), -Int(EINPROGRESS): return .alive
        case -Int(ECONNREFUSED): return .dead
        default: return .unknown
        }
    }

    /// Takes the file of a process away that could not do so itself. True if that is what it was.
    @discardableResult
    package static func removeIfDead(_ path: String) -> Bool {
        guard listener(at: path) == .dead else { return false }
        return SystemCall.result { unsafe unlink(path) } >= 0
    }

    /// What is at a path itself, and not what a link leads to.
    private struct Status {
        let isFolder: Bool
        let owner: UInt32
        let permissions: UInt32

        init?(of path: String) {
            var information = stat()
            guard SystemCall.result({ unsafe lstat(path, &information) }) >= 0 else { return nil }
            isFolder = information.st_mode & S_IFMT == S_IFDIR
            owner = information.st_uid
            permissions = information.st_mode & 0o7777
        }
    }
}
