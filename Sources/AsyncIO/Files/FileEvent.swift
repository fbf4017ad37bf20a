import Glibc
public import SystemPackage

/// Something that has happened to a file or folder (inotify(7)).
public struct FileEvent: Hashable, Sendable {
    /// What has happened.
    public let kind: Kind
    /// To what: the watched path, or one in it.
    public let path: FilePath
    /// Whether that is a folder.
    public let isFolder: Bool
    /// The same for the two halves of one move; 0 for everything else.
    public let moveID: UInt32

    /// What can happen.
    public enum Kind: Hashable, Sendable {
        /// It was made.
        case created
        /// Its content was changed.
        case modified
        /// It was closed by somebody who had it open for writing: what he wrote is complete.
        case written
        /// Its permissions, owner, times or number of names were changed.
        case attributesChanged
        /// It was removed. For the watched path itself, this is the last event: its last name is gone, and nobody has
        /// it open.
        case removed
        /// It was moved away, or got another name: see ``FileEvent/moveID``.
        case movedAway
        /// It was moved here, or got this name.
        case movedHere
        /// Events were lost, since nobody took them in time (`/proc/sys/fs/inotify/max_queued_events`): look for
        /// yourself. The path is the watched one. The folders of a tree are all watched again when this is told.
        case overflow
        /// Something of the tree is not watched, for this reason: mostly `ENOSPC`, the limit of
        /// `/proc/sys/fs/inotify/max_user_watches`.
        case notWatched(Errno)
        /// The file system was unmounted. The last event.
        case unmounted
    }
}

extension FileEvent.Kind {
    /// Whether, of a folder, it is the end of every name in it.
    var endsNames: Bool { self == .removed || self == .movedAway || self == .unmounted }

    /// What a watch is asked for.
    static var mask: UInt32 {
        UInt32(
            IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
                | IN_DELETE_SELF | IN_MOVE_SELF)
    }

    /// Nil for what tells nothing to the outside.
    init?(mask: UInt32) {
        func has(_ bit: some BinaryInteger) -> Bool { mask & UInt32(truncatingIfNeeded: bit) != 0 }
        if has(IN_Q_OVERFLOW) {
            self = .overflow
        } else if has(IN_UNMOUNT) {
            self = .unmounted
        } else if has(IN_CREATE) {
            self = .created
        } else if has(IN_MODIFY) {
            self = .modified
        } else if has(IN_CLOSE_WRITE) {
            self = .written
        } else if has(IN_ATTRIB) {
            self = .attributesChanged
        } else if has(IN_DELETE) || has(IN_DELETE_SELF) {
            self = .removed
        } else if has(IN_MOVED_FROM) || has(IN_MOVE_SELF) {
            self = .movedAway
        } else if has(IN_MOVED_TO) {
            self = .movedHere
        } else {
            return nil
        }
    }
}

/// One record of an inotify(7) descriptor.
struct WatchRecord {
    let watch: CInt
    let mask: UInt32
    let cookie: UInt32
    /// Empty if it is about the watched path itself.
    let name: [UInt8]

    /// Cuts what was read into records. A record that is cut off is dropped: the kernel writes none such.
    static func records(in bytes: [UInt8]) -> [WatchRecord] {
        var records: [WatchRecord] = []
        var rest = bytes[...]
        func word(_ index: Int) -> UInt32 {
            (0..<4).reduce(0) { $0 | UInt32(rest[rest.startIndex + index * 4 + $1]) << UInt32(8 * $1) }
        }
        // Both architectures are little-endian: watch, mask, cookie and length, each of four bytes.
        while rest.count >= 16 {
            let length = Int(word(3))
            guard length <= rest.count - 16 else { break }
            let name = rest.dropFirst(16).prefix(length).prefix { $0 != 0 }
            records.append(
                WatchRecord(
                    watch: CInt(bitPattern: word(0)), mask: word(1), cookie: word(2), name: Array(name)))
            rest = rest.dropFirst(16 + length)
        }
        return records
    }
}
