package import AsyncIOKernel
package import CAsyncIO
import Glibc

/// What a task asks of files and folders, as data: system calls that may wait for a disk.
///
/// A driver that can carry one out without blocking does so. One that cannot answers ``Outcome/needsThread``, and the
/// floor above lets ``perform()`` do it on a thread of the pool. So a call means the same whoever does it, and a
/// simulation can have a disk of its own.
///
/// Descriptors are plain numbers here: no driver adopts them. Whoever asks keeps the call, the memory and the paths
/// that it names, and the descriptors open, until its outcome has come. `in` says what a relative path is relative to:
/// a folder's descriptor, or ``SystemCall/currentFolder``. Offsets are never negative; nil is the file's own position.
@safe
package enum FileCall: @unchecked Sendable {
    /// Opens a file, close-on-exec. Result: the descriptor, which is the caller's to close.
    case open(PathBytes, in: CInt, flags: CInt, mode: UInt32)
    /// Closes a descriptor. Result: 0, or what a delayed write reports; it is closed either way.
    case close(CInt)
    /// Reads into the caller's memory. Result: bytes, 0 at the end.
    case read(CInt, into: UnsafeMutableRawBufferPointer, at: Int64?)
    /// Writes from the caller's memory. Result: bytes, which may be fewer.
    case write(CInt, UnsafeRawBufferPointer, at: Int64?)
    /// Waits until what was written is on the disk.
    case sync(CInt, FileSync)
    /// Asks what a file is. An empty path asks about the descriptor itself.
    case status(PathBytes, in: CInt, followsLinks: Bool, into: UnsafeMutablePointer<casyncio_status>)
    /// Makes a file shorter, or longer by a hole.
    case truncate(CInt, to: Int64)
    /// Gets disk space for a part of a file, so that writing there cannot fail for lack of it.
    case allocate(CInt, at: Int64, count: Int64, keepsSize: Bool)
    /// Takes or gives back an advisory lock on the whole file, of the open file; `EAGAIN` if another one is in the way.
    case lock(CInt, FileLockChange)
    /// Moves the file's own position, as lseek(2). Result: the new one.
    case seek(CInt, Int64, whence: CInt)
    /// Changes an open file's permission bits.
    case setPermissions(CInt, UInt32)
    /// Lists the next entries of a folder, as getdents64(2) writes them. Result: bytes, 0 at the end.
    case list(CInt, into: UnsafeMutableRawBufferPointer)
    case makeFolder(PathBytes, in: CInt, mode: UInt32)
    /// Removes a name: of a folder that is empty, or of anything else. Links are not followed.
    case remove(PathBytes, in: CInt, isFolder: Bool)
    case rename(PathBytes, in: CInt, to: PathBytes, inFolder: CInt, replaces: Bool)
    /// Gives a file one more name. Symbolic links are not followed.
    case link(PathBytes, in: CInt, at: PathBytes, inFolder: CInt)
    case symbolicLink(to: PathBytes, at: PathBytes, in: CInt)
    /// Reads where a symbolic link leads. Result: bytes; as many as there is room for, if that may be too few.
    case readLink(PathBytes, in: CInt, into: UnsafeMutableRawBufferPointer)
    /// Copies inside the kernel, as copy_file_range(2). Result: bytes, 0 at the end.
    case copyRange(CInt, from: Int64, to: CInt, at: Int64, count: Int)
    /// Lets a file share another one's content, as FICLONE of ioctl_ficlone(2).
    case clone(CInt, to: CInt)
    /// Lets an inotify descriptor watch a path, as inotify_add_watch(2). Result: the watch's number.
    case watch(CInt, PathBytes, mask: UInt32)
}

/// How much of a file waits for the disk: everything, or what is needed to read the data again (fdatasync(2)).
package enum FileSync: Sendable { case all, data }

/// What happens to an advisory lock.
package enum FileLockChange: Sendable { case shared, exclusive, free }

extension FileCall {
    /// The verb, for error messages, timelines and the task tree.
    package var name: String {
        switch self {
        case .open: "open"
        case .close: "close"
        case .read: "read"
        case .write: "write"
        case .sync: "sync"
        case .status: "stat"
        case .truncate: "truncate"
        case .allocate: "allocate"
        case .lock: "lock"
        case .seek: "seek"
        case .setPermissions: "set permissions"
        case .list: "list"
        case .makeFolder: "make folder"
        case .remove: "remove"
        case .rename: "rename"
        case .link, .symbolicLink: "link"
        case .readLink: "read link"
        case .copyRange, .clone: "copy"
        case .watch: "watch"
        }
    }

    /// The number of the descriptor that it works on, or of the folder that a path is relative to.
    package var descriptor: CInt {
        switch self {
        case .open(_, let number, _, _), .close(let number), .read(let number, _, _), .write(let number, _, _),
            .sync(let number, _), .status(_, let number, _, _), .truncate(let number, _),
            .allocate(let number, _, _, _), .lock(let number, _), .seek(let number, _, _),
            .setPermissions(let number, _), .list(let number, _), .makeFolder(_, let number, _),
            .remove(_, let number, _), .rename(_, let number, _, _, _), .link(_, let number, _, _),
            .symbolicLink(_, _, let number), .readLink(_, let number, _), .copyRange(let number, _, _, _, _),
            .clone(let number, _), .watch(let number, _, _):
            number
        }
    }

    /// Does it on the calling thread, which blocks as long as the disk takes.
    package func perform() -> Outcome {
        Outcome(result)
    }

    private var result: Int {
        switch self {
        case .open(let path, let folder, let flags, let mode): SystemCall.open(path, in: folder, flags, mode)
        case .close(let number): SystemCall.close(number)
        case .read(let file, let memory, let offset): unsafe SystemCall.read(file, memory, at: offset ?? -1)
        case .write(let file, let bytes, let offset): unsafe SystemCall.write(file, bytes, at: offset ?? -1)
        case .sync(let file, .all): SystemCall.sync(file)
        case .sync(let file, .data): SystemCall.syncData(file)
        case .status(let path, let folder, let followsLinks, let status):
            unsafe SystemCall.status(path, in: folder, followsLinks: followsLinks, into: status)
        case .truncate(let file, let size): SystemCall.truncate(file, to: size)
        case .allocate(let file, let offset, let count, let keepsSize):
            SystemCall.allocate(file, at: offset, count: count, keepsSize: keepsSize)
        case .lock(let file, .shared): SystemCall.lock(file, F_RDLCK)
        case .lock(let file, .exclusive): SystemCall.lock(file, F_WRLCK)
        case .lock(let file, .free): SystemCall.lock(file, F_UNLCK)
        case .seek(let file, let offset, let whence): SystemCall.seek(file, to: offset, whence)
        case .setPermissions(let file, let mode): SystemCall.setPermissions(file, mode)
        case .list(let folder, let memory): unsafe SystemCall.list(folder, memory)
        case .makeFolder(let path, let folder, let mode): SystemCall.makeFolder(path, in: folder, mode)
        case .remove(let path, let folder, let isFolder): SystemCall.remove(path, in: folder, isFolder: isFolder)
        case .rename(let path, let folder, let newPath, let newFolder, let replaces):
            SystemCall.rename(path, in: folder, to: newPath, in: newFolder, replaces: replaces)
        case .link(let path, let folder, let newPath, let newFolder):
            SystemCall.link(path, in: folder, at: newPath, in: newFolder)
        case .symbolicLink(let target, let path, let folder):
            SystemCall.symbolicLink(to: target, at: path, in: folder)
        case .readLink(let path, let folder, let memory): unsafe SystemCall.readLink(path, in: folder, memory)
        case .copyRange(let source, let from, let sink, let offset, let count):
            SystemCall.copyRange(source, from: from, to: sink, at: offset, count: count)
        case .clone(let source, let sink): SystemCall.clone(source, to: sink)
        case .watch(let inotify, let path, let mask): SystemCall.watch(inotify, path, mask)
        }
    }
}
