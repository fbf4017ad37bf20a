import AsyncIOKernel
public import AsyncIOLoop
import Glibc
public import SystemPackage

/// What can be done with folders, and with the names in them.
///
/// Every call suspends, may be made from any thread, and throws ``IOError`` with the path it was about,
/// `EventLoopError.noLoop` where no loop runs and none is named, and `CancellationError` if the task was cancelled
/// before the call had begun.
public enum Folder {
    /// What a new folder may be used for, before the process's umask takes away from it: by everybody, for everything.
    public static let usualPermissions: FilePermissions = [
        .ownerReadWriteExecute, .groupReadWriteExecute, .otherReadWriteExecute,
    ]

    /// Makes a folder. Throws `EEXIST` if something has the name already.
    public static func make(
        _ path: some PathConvertible, permissions: FilePermissions = Folder.usualPermissions, on loop: EventLoop? = nil
    ) async throws {
        let loop = try EventLoop.required(loop)
        let bytes = try path.bytes(for: "make folder")
        try await FileLane.run(
            .makeFolder(bytes, in: SystemCall.currentFolder, mode: UInt32(permissions.rawValue)), on: loop, "\(bytes)")
    }

    /// Makes a folder, and those above it, as far as they are missing. A folder that exists is no error; something else
    /// in its place is: `EEXIST`, `ENOTDIR`. Those above get the same permissions, and let their owner go on in
    /// any case (`mkdir -p` of POSIX).
    public static func makeAll(
        _ path: some PathConvertible, permissions: FilePermissions = Folder.usualPermissions, on loop: EventLoop? = nil
    ) async throws {
        let loop = try EventLoop.required(loop)
        let permissionsAbove = permissions.union([.ownerWrite, .ownerExecute])
        var missing: [FilePath] = []
        var next = path.filePath
        // From below: mostly all but the last exist.
        while true {
            do {
                try await make(next, permissions: missing.isEmpty ? permissions : permissionsAbove, on: loop)
                break
            } catch let error as IOError where error.code == .noSuchFileOrDirectory {
                missing.append(next)
                guard next.removeLastComponent(), !next.isEmpty else { throw error }
            } catch let error as IOError where error.code == .fileExists {
                if try await File.information(at: next, on: loop).kind != .folder { throw error }
                break
            }
        }
        while let folder = missing.popLast() {
            do {
                try await make(folder, permissions: missing.isEmpty ? permissions : permissionsAbove, on: loop)
            } catch let error as IOError where error.code == .fileExists {
                // Somebody else was faster.
                if try await File.information(at: folder, on: loop).kind != .folder { throw error }
            }
        }
    }

    /// Removes a folder that is empty: `ENOTEMPTY` otherwise. A link to a folder is no folder: `ENOTDIR`.
    public static func remove(_ path: some PathConvertible, on loop: EventLoop? = nil) async throws {
        let loop = try EventLoop.required(loop)
        let bytes = try path.bytes(for: "remove")
        try await FileLane.run(
            .remove(bytes, in: SystemCall.currentFolder, isFolder: true), on: loop, "\(bytes)")
    }

    /// Watches a name in a folder, whatever has it: the file that is there, one that is made only later, and one that
    /// takes the other's place, as editors and ``File/replace(_:with:permissions:on:)`` do it.
    ///
    /// ```swift
    /// for try await event in try await Folder.watch("/etc/app", name: "app.conf") {
    ///     if event.kind == .written || event.kind == .movedHere { try await reload() }
    /// }
    /// ```
    ///
    /// Otherwise as ``FileWatcher/open(_:depth:on:)``. Of the folder itself, an event with its path is told when it is
    /// removed, moved or unmounted. Throws ``IOError`` as that does; `ENOTDIR` if the path leads to no folder, `EINVAL`
    /// for what cannot be a name in one.
    public static func watch(
        _ path: some PathConvertible, name: some PathConvertible, on loop: EventLoop? = nil
    ) async throws -> FileWatcher {
        let bytes = name.pathBytes
        guard !bytes.isEmpty, !bytes.contains(UInt8(ascii: "/")), !bytes.contains(0), bytes != Array(".".utf8),
            bytes != Array("..".utf8)
        else {
            throw IOError(
                .invalidArgument, operation: "watch", subject: "\(name.filePath) in \(path.filePath)",
                detail: "a name in a folder has no slash, and is not . or ..")
        }
        return try await FileWatcher.open(path, .shallow, name: bytes, on: loop)
    }

    /// Suspends until the names in a folder are on the disk: those made, renamed and removed before.
    public static func sync(at path: some PathConvertible, on loop: EventLoop? = nil) async throws {
        let loop = try EventLoop.required(loop)
        let bytes = try path.bytes(for: "sync")
        let descriptor = try await FileLane.open(bytes, O_RDONLY | O_DIRECTORY, 0, on: loop)
        do {
            try await FileLane.run(.sync(descriptor.number, .all), on: loop, "\(bytes)")
        } catch let error as IOError where error.code == .invalidArgument {
            // A file system that keeps no names on a disk.
        }
        _ = descriptor.number
    }
}

extension File {
    /// Removes a name that is no folder's. A link is removed itself, and not what it leads to. The file's bytes go
    /// with its last name, when nobody has it open.
    public static func remove(_ path: some PathConvertible, on loop: EventLoop? = nil) async throws {
        let loop = try EventLoop.required(loop)
        let bytes = try path.bytes(for: "remove")
        try await FileLane.run(
            .remove(bytes, in: SystemCall.currentFolder, isFolder: false), on: loop, "\(bytes)")
    }

    /// Gives a file or folder another name in the same file system, at once: whoever looks sees the old state or the
    /// new one. Throws `EEXIST` if the new name exists and must not be replaced, `EXDEV` between file systems.
    ///
    /// Some file systems cannot rename without replacing (NFS, FUSE). There, a file has both names for a moment, and a
    /// folder is refused with `EINVAL`, unless it may replace an empty one.
    public static func rename(
        _ path: some PathConvertible, to newPath: some PathConvertible, existing: Existing = .keep,
        on loop: EventLoop? = nil
    ) async throws {
        let loop = try EventLoop.required(loop)
        let (from, to) = (try path.bytes(for: "rename"), try newPath.bytes(for: "rename"))
        try await FileLane.rename(from, to: to, existing, on: loop, "\(from) to \(to)")
    }

    /// What becomes of something that has the name already.
    public enum Existing: Hashable, Sendable {
        /// It stays, and the call throws ``IOError`` with `EEXIST`.
        case keep
        /// It is replaced, at once.
        case replace
    }

    /// Gives a file one more name, in the same file system. Throws `EEXIST` if it exists, `EXDEV`, `EPERM` for folders.
    public static func link(
        _ path: some PathConvertible, at newPath: some PathConvertible, on loop: EventLoop? = nil
    ) async throws {
        let loop = try EventLoop.required(loop)
        let (from, to) = (try path.bytes(for: "link"), try newPath.bytes(for: "link"))
        let here = SystemCall.currentFolder
        try await FileLane.run(.link(from, in: here, at: to, inFolder: here), on: loop, "\(from) at \(to)")
    }

    /// Makes a symbolic link that leads to the target, which need not exist. A target that does not begin with `/` is
    /// relative to the link's folder. Throws `EEXIST` if something has the name already.
    public static func symbolicLink(
        to target: some PathConvertible, at path: some PathConvertible, on loop: EventLoop? = nil
    ) async throws {
        let loop = try EventLoop.required(loop)
        let (target, place) = (try target.bytes(for: "link"), try path.bytes(for: "link"))
        try await FileLane.run(
            .symbolicLink(to: target, at: place, in: SystemCall.currentFolder), on: loop, "\(place) to \(target)")
    }

    /// Where a symbolic link leads, as it stands there. Throws `EINVAL` for what is no link.
    public static func readLink(_ path: some PathConvertible, on loop: EventLoop? = nil) async throws -> FilePath {
        let loop = try EventLoop.required(loop)
        let bytes = try path.bytes(for: "read link")
        // PATH_MAX: no link is longer (symlink(2)).
        let memory = IOBuffer(capacity: 4_096)
        let count = unsafe try await FileLane.run(
            .readLink(bytes, in: SystemCall.currentFolder, into: memory.freeSpace), on: loop, "\(bytes)")
        return unsafe FilePath(bytes: Array(memory.freeSpace.prefix(count)))
    }
}

extension FileLane {
    /// Gives something another name.
    static func rename(
        _ from: PathBytes, to: PathBytes, _ existing: File.Existing, on loop: EventLoop, _ subject: String
    ) async throws {
        let here = SystemCall.currentFolder
        let call = FileCall.rename(from, in: here, to: to, inFolder: here, replaces: existing == .replace)
        let outcome = await perform(call, on: loop)
        let unknown: [Errno] = [.invalidArgument, .noFunction]
        guard existing == .keep, outcome.result < 0, unknown.contains(Errno(negated: outcome.result)) else {
            try check(outcome, call.name, subject, on: loop)
            return
        }
        // RENAME_NOREPLACE is for those file systems that know it (renameat2(2)). A link replaces nothing either.
        guard try await status(from, followsLinks: false, on: loop, subject).kind != .folder else {
            throw IOError(
                .invalidArgument, operation: call.name, subject: subject,
                detail: "the file system cannot rename a folder without replacing (see File.Existing.replace), "
                    + "or the folder would come to stand in itself")
        }
        try Task.checkCancellation()
        try await UncancelledTask.start(name: call.name) {
            try await link(from, to: to, on: loop, subject)
        }.value
    }

    /// Gives a file another name, with both of them for a moment; if it throws, it has the old one alone.
    private static func link(
        _ from: PathBytes, to: PathBytes, on loop: EventLoop, _ subject: String
    ) async throws {
        let here = SystemCall.currentFolder
        let linked = await perform(.link(from, in: here, at: to, inFolder: here), on: loop)
        let unknown: [Errno] = [.notPermitted, .notSupported, .noFunction, .invalidArgument]
        if linked.result < 0, unknown.contains(Errno(negated: linked.result)) {
            throw IOError(
                .invalidArgument, operation: "rename", subject: subject,
                detail: "the file system can neither rename without replacing nor link; see File.Existing.replace")
        }
        try check(linked, "rename", subject, on: loop)
        let removed = await performAnyway(.remove(from, in: here, isFolder: false), on: loop)
        if removed.result < 0 {
            await performAnyway(.remove(to, in: here, isFolder: false), on: loop)
            try check(removed, "rename", subject, on: loop)
        }
    }
}
