import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
public import SystemPackage

/// What the file system knows about a file (statx(2)).
public struct FileInformation: Hashable, Sendable {
    /// What it is.
    public let kind: FileKind
    /// How many bytes it has. Files of `/proc` say 0.
    public let size: Int64
    /// How many bytes it takes on the disk: less than its size, if it has holes.
    public let allocatedSize: Int64
    /// Who may do what.
    public let permissions: FilePermissions
    /// The owner.
    public let userID: UInt32
    /// The owner's group.
    public let groupID: UInt32
    /// How many names it has. 0 if it was removed while it is open.
    public let linkCount: UInt32
    /// Its number in its file system.
    public let inode: UInt64
    /// Which file system it is in: equal numbers, with equal inodes, are the same file.
    public let device: UInt64
    /// When its content was changed last.
    public let modified: FileTime
    /// When its content was read last, if the file system keeps that.
    public let accessed: FileTime
    /// When its content or its properties were changed last.
    public let changed: FileTime
    /// When it was made, if the file system knows.
    public let created: FileTime?

    init(_ status: casyncio_status) {
        kind = FileKind(mode: UInt32(status.mode))
        size = Int64(clamping: status.size)
        allocatedSize = Int64(clamping: status.blocks.multipliedReportingOverflow(by: 512).partialValue)
        permissions = FilePermissions(rawValue: CInterop.Mode(status.mode & 0o7777))
        userID = status.user
        groupID = status.group
        linkCount = status.links
        inode = status.inode
        device = UInt64(status.device_major) << 32 | UInt64(status.device_minor)
        modified = FileTime(status.modified)
        accessed = FileTime(status.accessed)
        changed = FileTime(status.changed)
        // STATX_BTIME.
        created = status.mask & 0x800 != 0 ? FileTime(status.created) : nil
    }
}

/// What a name in a folder stands for.
public enum FileKind: Hashable, Sendable {
    /// A file with bytes.
    case regular
    /// A folder.
    case folder
    /// A symbolic link.
    case symbolicLink
    /// A FIFO (fifo(7)), or a pipe.
    case pipe
    /// A socket (unix(7)).
    case socket
    /// A terminal, `/dev/null` or the like.
    case characterDevice
    /// A disk.
    case blockDevice
    /// Something that the file system does not tell.
    case unknown

    init(mode: UInt32) {
        switch mode & UInt32(S_IFMT) {
        case UInt32(S_IFREG): self = .regular
        case UInt32(S_IFDIR): self = .folder
        case UInt32(S_IFLNK): self = .symbolicLink
        case UInt32(S_IFIFO): self = .pipe
        case UInt32(S_IFSOCK): self = .socket
        case UInt32(S_IFCHR): self = .characterDevice
        case UInt32(S_IFBLK): self = .blockDevice
        default: self = .unknown
        }
    }

    /// From getdents64(2), which has the same numbers without their zeros (DTTOIF of <dirent.h>).
    init(entryType: UInt8) { self.init(mode: UInt32(entryType) << 12) }
}

/// A moment in a file's life: the time since 1970-01-01, UTC, without leap seconds.
public struct FileTime: Hashable, Comparable, Sendable {
    /// Whole seconds; negative before 1970.
    public let seconds: Int64
    /// What is over, always forward.
    public let nanoseconds: UInt32

    init(_ moment: casyncio_moment) {
        seconds = moment.seconds
        nanoseconds = moment.nanoseconds
    }

    /// How long it was after 1970.
    public var sinceEpoch: Duration { .seconds(seconds) + .nanoseconds(Int64(nanoseconds)) }

    /// Whether one was before the other.
    public static func < (left: FileTime, right: FileTime) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }
}

/// Whether a path that ends in a symbolic link stands for the link itself, or for what it leads to.
public enum LinkTreatment: Hashable, Sendable {
    /// For what the link leads to.
    case follow
    /// For the link itself.
    case stay
}

extension File {
    /// Asks what stands at a path. Suspends; throws ``IOError``: `ENOENT` if nothing does.
    public static func information(
        at path: some PathConvertible, links: LinkTreatment = .follow, on loop: EventLoop? = nil
    ) async throws -> FileInformation {
        let loop = try EventLoop.required(loop)
        let bytes = try path.bytes(for: "stat")
        return try await FileLane.status(bytes, followsLinks: links == .follow, on: loop, "\(bytes)")
    }

    /// Whether something stands at a path, be it a link that leads nowhere. What is true now may be false a moment
    /// later: better open it, and see. Throws ``IOError`` where the system does not say: `EACCES`.
    public static func exists(at path: some PathConvertible, on loop: EventLoop? = nil) async throws -> Bool {
        do {
            _ = try await information(at: path, links: .stay, on: loop)
            return true
        } catch let error as IOError where error.code == .noSuchFileOrDirectory || error.code == .notDirectory {
            return false
        }
    }
}

extension FileLane {
    /// Asks about a path, or, if that is empty, about the descriptor.
    static func status(
        _ path: PathBytes, in folder: CInt = SystemCall.currentFolder, followsLinks: Bool, on loop: EventLoop,
        _ subject: @autoclosure () -> String
    ) async throws -> FileInformation {
        let memory = UnsafeMutablePointer<casyncio_status>.allocate(capacity: 1)
        unsafe memory.initialize(to: casyncio_status())
        defer { unsafe memory.deallocate() }
        unsafe try await run(
            .status(path, in: folder, followsLinks: followsLinks, into: memory), on: loop, subject())
        return unsafe FileInformation(memory.pointee)
    }

    /// What this machine knows about an open file. Does not block.
    static func cachedStatus(_ number: CInt) -> FileInformation? {
        var status = casyncio_status()
        guard unsafe SystemCall.cachedStatus(number, into: &status) >= 0 else { return nil }
        return FileInformation(status)
    }
}
