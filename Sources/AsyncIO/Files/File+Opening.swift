import AsyncIOKernel
public import AsyncIOLoop
import Glibc
import Synchronization
public import SystemPackage

extension File {
    /// What a new file may be used for, before the process's umask takes away from it: by everybody, for reading and
    /// writing.
    public static let usualPermissions: FilePermissions = [.ownerReadWrite, .groupReadWrite, .otherReadWrite]

    /// Opens the file at a path; a file that is made gets the permissions, without those that the umask takes away.
    ///
    /// Suspends, unless the kernel finds a file for reading in its caches. A FIFO is opened for writing when somebody
    /// reads it: until then the call looks again and again, for at most 50 ms each, and can be cancelled. A FIFO
    /// for reading is opened at once; the first read waits for a writer. A terminal does not become the process's own.
    ///
    /// Throws ``IOError`` with the path: `ENOENT`, `EACCES`, `EEXIST`, `EISDIR` for a folder, `EINVAL` for a path with
    /// a zero byte; and `EventLoopError.noLoop`.
    public static func open(
        _ path: some PathConvertible, _ mode: Mode = .reading,
        permissions: FilePermissions = File.usualPermissions, on loop: EventLoop? = nil
    ) async throws -> File {
        let loop = try EventLoop.required(loop)
        let bytes = try path.bytes(for: "open")
        let descriptor = try await FileLane.open(bytes, mode.flags, UInt32(permissions.rawValue), on: loop)
        return try File(opened: descriptor, bytes, path.filePath, mode, on: loop)
    }

    /// A file that was opened just now, non-blocking.
    convenience init(
        opened descriptor: consuming Descriptor, _ bytes: PathBytes, _ path: FilePath, _ mode: Mode,
        on loop: EventLoop
    ) throws {
        // About an open file of this machine, nobody has to be asked.
        let kind = FileLane.cachedStatus(descriptor.number)?.kind ?? .unknown
        if kind == .folder {
            throw IOError(
                .isDirectory, operation: "open", subject: "\(bytes)", detail: "it is a folder; see Folder.entries(at:)")
        }
        // A ring tries what is non-blocking on the loop's thread, where a file system may block all the same.
        if kind == .regular { SystemCall.setFlags(descriptor.number, mode.flags & ~O_NONBLOCK) }
        self.init(descriptor, path, kind, mode, on: loop)
    }
}

extension FileLane {
    /// Opens a path; what has no positions is opened non-blocking.
    static func open(
        _ path: PathBytes, in folder: CInt = SystemCall.currentFolder, _ flags: CInt, _ permissions: UInt32,
        on loop: EventLoop
    ) async throws -> Descriptor {
        try await enter()
        if let number = openCached(path, in: folder, flags) { return Descriptor(owning: number) }
        var pause = Duration.milliseconds(1)
        var waits = O_NONBLOCK
        while true {
            let call = FileCall.open(path, in: folder, flags: flags | waits, mode: permissions)
            let outcome = await perform(call, on: loop)
            switch outcome.result {
            case Errno.wouldBlock.negated where waits != 0:
                // Somebody has a lease on the file, and is given time to let it go (fcntl(2), F_SETLEASE).
                waits = 0
            case Errno.noSuchAddressOrDevice.negated where flags & O_ACCMODE == O_WRONLY:
                guard try await isPipe(path, in: folder, on: loop) else {
                    try check(outcome, "open", "\(path)", on: loop)
                    continue
                }
                try await loop.sleep(for: pause)
                pause = min(pause * 2, .milliseconds(50))
            default:
                return Descriptor(owning: CInt(truncatingIfNeeded: try check(outcome, "open", "\(path)", on: loop)))
            }
        }
    }

    private static func isPipe(_ path: PathBytes, in folder: CInt, on loop: EventLoop) async throws -> Bool {
        try await status(path, in: folder, followsLinks: true, on: loop, "\(path)").kind == .pipe
    }

    /// The descriptor, if the kernel finds the file in its caches. Other threads' loops ask as well.
    ///
    /// This is what a ring does first, too. A file system that is served by a program (FUSE) may be asked nevertheless.
    static func openCached(_ path: PathBytes, in folder: CInt = SystemCall.currentFolder, _ flags: CInt) -> CInt? {
        guard flags & ~(O_DIRECTORY | O_NOFOLLOW) == O_RDONLY, hasCachedOpen.load(ordering: .relaxed) else {
            return nil
        }
        let result = SystemCall.openCached(path, in: folder, flags | O_NONBLOCK)
        // Before Linux 5.12, or in a container that knows no such call.
        let unknown: [Errno] = [.noFunction, .invalidArgument, .notPermitted]
        if result < 0, unknown.contains(Errno(negated: result)) { hasCachedOpen.store(false, ordering: .relaxed) }
        return result < 0 ? nil : CInt(truncatingIfNeeded: result)
    }

    private static let hasCachedOpen = Atomic(true)
}
