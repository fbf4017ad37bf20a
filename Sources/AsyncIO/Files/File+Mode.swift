import Glibc

extension File {
    /// What a file is opened for.
    public struct Mode: Hashable, Sendable {
        let flags: CInt
        /// Whether the open may make a file, or shorten one: it cannot be answered from the kernel's caches.
        var isReadingOnly: Bool { flags == O_RDONLY }
        var reads: Bool { flags & O_ACCMODE != O_WRONLY }
        var writes: Bool { flags & O_ACCMODE != O_RDONLY }
        var appends: Bool { flags & O_APPEND != 0 }

        private init(_ flags: CInt) { self.flags = flags }

        /// Reading a file that exists.
        public static let reading = Mode(O_RDONLY)

        /// Writing. What becomes of a file that exists, or does not, is said aloud.
        public static func writing(_ creation: Creation) -> Mode { Mode(O_WRONLY | creation.flags) }

        /// Reading and writing.
        public static func readingAndWriting(_ creation: Creation) -> Mode { Mode(O_RDWR | creation.flags) }

        /// Writing at the end, wherever that is at the moment of each write (O_APPEND of open(2)): pieces that several
        /// processes write to one log do not overwrite each other.
        public static func appending(_ creation: Creation) -> Mode { Mode(O_WRONLY | O_APPEND | creation.flags) }

        /// Writing at the end of a file, which is made if it does not exist.
        public static let appending = appending(.createOrOpen)

        /// What becomes of a file that exists, or that does not.
        public enum Creation: Hashable, Sendable, CaseIterable {
            /// It must exist, and keeps its content.
            case existing
            /// It must exist, and becomes empty.
            case truncating
            /// It is made, if it does not exist, and keeps its content, if it does.
            case createOrOpen
            /// It is made, or becomes empty.
            case createOrTruncate
            /// It must not exist, not even as a link that leads nowhere.
            case createNew

            var flags: CInt {
                switch self {
                case .existing: 0
                case .truncating: O_TRUNC
                case .createOrOpen: O_CREAT
                case .createOrTruncate: O_CREAT | O_TRUNC
                case .createNew: O_CREAT | O_EXCL
                }
            }
        }
    }
}
