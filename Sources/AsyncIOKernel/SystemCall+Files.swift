package import CAsyncIO
import Glibc
import SystemPackage

// The calls of files and folders, typed. Each blocks while the disk is asked, and returns its value or a negated error
// number. A folder's descriptor says what a relative path is relative to.
extension SystemCall {
    /// The current folder, for paths that are relative to it (AT_FDCWD of openat(2)).
    package static var currentFolder: CInt { CInt(CASYNCIO_AT_FDCWD) }

    /// openat(2), close-on-exec; a terminal does not become the process's own.
    package static func open(_ path: PathBytes, in folder: CInt, _ flags: CInt, _ mode: UInt32) -> Int {
        standIn.flatMap { folder == currentFolder ? $0.open(path.bytes, flags: flags, mode: mode) : nil }
            ?? result { unsafe openat(folder, path.pointer, flags | O_CLOEXEC | O_NOCTTY, mode_t(mode)) }
    }

    /// openat2(2), if the kernel finds the file without asking a disk; `EAGAIN` otherwise. Does not block.
    package static func openCached(_ path: PathBytes, in folder: CInt, _ flags: CInt) -> Int {
        if isSimulated { return Errno.wouldBlock.negated }
        return result { unsafe casyncio_open_cached(folder, path.pointer, flags | O_CLOEXEC | O_NOCTTY) }
    }

    /// openat2(2) of what stands below the folder: `EXDEV` for a path or a link that leads out of it. Blocks, unless it
    /// is only for what the kernel finds without asking a disk, `EAGAIN` otherwise. `ENOSYS` before Linux 5.6.
    package static func open(
        _ path: PathBytes, beneath folder: CInt, _ flags: CInt, cachedOnly: Bool
    ) -> Int {
        if isSimulated { return Errno.noFunction.negated }
        return result {
            unsafe casyncio_open_beneath(folder, path.pointer, flags | O_CLOEXEC | O_NOCTTY, cachedOnly ? 1 : 0)
        }
    }

    /// F_SETFL of fcntl(2): appending, non-blocking and the like. Does not block.
    package static func setFlags(_ file: CInt, _ flags: CInt) {
        // A simulated descriptor never blocks, and its file remembers how it was opened.
        if !isSimulated { _ = result { fcntl(file, F_SETFL, flags) } }
    }

    /// preadv2(2); an offset of -1 is the file's own position.
    package static func read(_ file: CInt, _ memory: UnsafeMutableRawBufferPointer, at offset: Int64) -> Int {
        result { unsafe casyncio_read_at(file, memory.baseAddress, memory.count, offset, 0) }
    }

    /// pwritev2(2); an offset of -1 is the file's own position.
    package static func write(_ file: CInt, _ bytes: UnsafeRawBufferPointer, at offset: Int64) -> Int {
        result { unsafe casyncio_write_at(file, bytes.baseAddress, bytes.count, offset, 0) }
    }

    /// What the page cache holds: preadv2(2) with RWF_NOWAIT. Does not block.
    package static func readCached(_ file: CInt, _ memory: UnsafeMutableRawBufferPointer, at offset: Int64) -> Int {
        if isSimulated { return Errno.wouldBlock.negated }
        return result {
            unsafe casyncio_read_at(file, memory.baseAddress, memory.count, offset, CInt(CASYNCIO_RWF_NOWAIT))
        }
    }

    /// What the page cache takes: pwritev2(2) with RWF_NOWAIT. Does not block.
    package static func writeCached(_ file: CInt, _ bytes: UnsafeRawBufferPointer, at offset: Int64) -> Int {
        if isSimulated { return Errno.wouldBlock.negated }
        return result {
            unsafe casyncio_write_at(file, bytes.baseAddress, bytes.count, offset, CInt(CASYNCIO_RWF_NOWAIT))
        }
    }

    /// fsync(2).
    package static func sync(_ file: CInt) -> Int { result { fsync(file) } }

    /// fdatasync(2).
    package static func syncData(_ file: CInt) -> Int { result { fdatasync(file) } }

    /// statx(2). An empty path asks about the descriptor itself.
    package static func status(
        _ path: PathBytes, in folder: CInt, followsLinks: Bool, into status: UnsafeMutablePointer<casyncio_status>
    ) -> Int {
        var flags = followsLinks ? 0 : CInt(CASYNCIO_AT_SYMLINK_NOFOLLOW)
        if path.isEmpty { flags |= CInt(CASYNCIO_AT_EMPTY_PATH) }
        return result { unsafe casyncio_statx(folder, path.pointer, flags, status) }
    }

    /// statx(2) of an open file, as far as this machine knows (AT_STATX_DONT_SYNC). Does not block.
    package static func cachedStatus(_ file: CInt, into status: UnsafeMutablePointer<casyncio_status>) -> Int {
        if let standIn { return unsafe standIn.status(of: file, into: status) }
        let flags = CInt(CASYNCIO_AT_EMPTY_PATH | CASYNCIO_AT_STATX_DONT_SYNC)
        return result { unsafe casyncio_statx(file, "", flags, status) }
    }

    /// ftruncate(2).
    package static func truncate(_ file: CInt, to size: Int64) -> Int {
        result { casyncio_truncate(file, size) }
    }

    /// fallocate(2).
    package static func allocate(_ file: CInt, at offset: Int64, count: Int64, keepsSize: Bool) -> Int {
        result { casyncio_allocate(file, keepsSize ? CInt(CASYNCIO_FALLOC_KEEP_SIZE) : 0, offset, count) }
    }

    /// F_OFD_SETLK of fcntl(2), for the whole file: `EAGAIN` if somebody else's lock is in the way. Does not wait.
    package static func lock(_ file: CInt, _ kind: CInt) -> Int { result { casyncio_lock(file, kind) } }

    /// lseek(2).
    package static func seek(_ file: CInt, to offset: Int64, _ whence: CInt) -> Int {
        result { lseek(file, off_t(offset), whence) }
    }

    /// fchmod(2).
    package static func setPermissions(_ file: CInt, _ mode: UInt32) -> Int {
        standIn?.setPermissions(file, mode) ?? result { fchmod(file, mode_t(mode)) }
    }

    /// getdents64(2).
    package static func list(_ folder: CInt, _ memory: UnsafeMutableRawBufferPointer) -> Int {
        result { unsafe casyncio_list(folder, memory.baseAddress, memory.count) }
    }

    /// mkdirat(2).
    package static func makeFolder(_ path: PathBytes, in folder: CInt, _ mode: UInt32) -> Int {
        result { unsafe mkdirat(folder, path.pointer, mode_t(mode)) }
    }

    /// unlinkat(2): of a folder that is empty, or of anything else.
    package static func remove(_ path: PathBytes, in folder: CInt, isFolder: Bool) -> Int {
        result { unsafe unlinkat(folder, path.pointer, isFolder ? CInt(CASYNCIO_AT_REMOVEDIR) : 0) }
    }

    /// renameat2(2).
    package static func rename(
        _ path: PathBytes, in folder: CInt, to newPath: PathBytes, in newFolder: CInt, replaces: Bool
    ) -> Int {
        let flags: UInt32 = replaces ? 0 : UInt32(CASYNCIO_RENAME_NOREPLACE)
        return result { unsafe casyncio_rename(folder, path.pointer, newFolder, newPath.pointer, flags) }
    }

    /// linkat(2), of the path itself, also if that is a symbolic link.
    package static func link(
        _ path: PathBytes, in folder: CInt, at newPath: PathBytes, in newFolder: CInt
    ) -> Int {
        result { unsafe linkat(folder, path.pointer, newFolder, newPath.pointer, 0) }
    }

    /// symlinkat(2).
    package static func symbolicLink(to target: PathBytes, at path: PathBytes, in folder: CInt) -> Int {
        result { unsafe symlinkat(target.pointer, folder, path.pointer) }
    }

    /// readlinkat(2).
    package static func readLink(_ path: PathBytes, in folder: CInt, _ memory: UnsafeMutableRawBufferPointer) -> Int {
        guard let start = memory.baseAddress else { return Errno.invalidArgument.negated }
        return result { unsafe readlinkat(folder, path.pointer, start, memory.count) }
    }

    /// copy_file_range(2).
    package static func copyRange(
        _ source: CInt, from: Int64, to sink: CInt, at offset: Int64, count: Int
    ) -> Int {
        result { casyncio_copy_range(source, from, sink, offset, count) }
    }

    /// FICLONE of ioctl_ficlone(2): the whole file, shared until one of the two is written.
    package static func clone(_ source: CInt, to sink: CInt) -> Int { result { casyncio_clone(source, sink) } }

    /// inotify_init1(2), close-on-exec and non-blocking.
    package static func openWatch() -> Int {
        standIn?.openWatch() ?? result { inotify_init1(O_NONBLOCK | O_CLOEXEC) }
    }

    /// inotify_add_watch(2).
    package static func watch(_ inotify: CInt, _ path: PathBytes, _ mask: UInt32) -> Int {
        result { unsafe inotify_add_watch(inotify, path.pointer, mask) }
    }

    /// inotify_rm_watch(2). Does not block.
    package static func unwatch(_ inotify: CInt, _ watch: CInt) {
        if let standIn { return standIn.unwatch(inotify, watch) }
        _ = result { inotify_rm_watch(inotify, watch) }
    }
}
