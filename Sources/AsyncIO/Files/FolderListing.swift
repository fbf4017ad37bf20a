import AsyncIOKernel
import AsyncIOLoop
import Glibc
public import SystemPackage

/// A name in a folder.
public struct FolderEntry: Hashable, Sendable {
    /// The name, as text: bytes that are not UTF-8 are shown as U+FFFD.
    public var name: String { path.lastComponent?.string ?? path.string }
    /// The folder's path, and the name: what opens it, whatever its bytes are.
    public let path: FilePath
    /// What it stands for, as far as the folder tells: ``FileKind/unknown`` on some file systems.
    public let kind: FileKind
}

extension Folder {
    /// The names in a folder, but for `.` and `..`, in no order: `for try await entry in Folder.entries(at: path)`.
    ///
    /// Each pass opens the folder anew, and holds one descriptor until it ends. Names that are made or removed
    /// meanwhile may or may not be among them. Memory does not grow with their number.
    public static func entries(at path: some PathConvertible, on loop: EventLoop? = nil) -> FolderEntries {
        FolderEntries(path: path.filePath, pathBytes: path.pathBytes, loop: loop)
    }
}

/// The names in a folder: see ``Folder/entries(at:on:)``.
public struct FolderEntries: AsyncSequence, Sendable {
    let path: FilePath
    let pathBytes: [UInt8]
    let loop: EventLoop?

    /// An iterator, which opens the folder when it is asked first.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(sequence: self) }

    /// Goes through the names in a folder.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let sequence: FolderEntries
        private var listing: FolderListing?
        private var hasEnded = false

        init(sequence: FolderEntries) { self.sequence = sequence }

        /// The next name; nil after the last. Throws ``IOError``, and `CancellationError`; no name is lost then.
        public mutating func next() async throws -> FolderEntry? {
            guard !hasEnded else { return nil }
            try await FileLane.enter()
            let listing: FolderListing
            if let current = self.listing {
                listing = current
            } else {
                let loop = try EventLoop.required(sequence.loop)
                let bytes = try PathBytes(sequence.pathBytes, for: "list")
                listing = try await FolderListing.open(bytes, sequence.path, on: loop)
                self.listing = listing
            }
            guard let (name, kind) = try await listing.next() else {
                hasEnded = true
                self.listing = nil
                return nil
            }
            return FolderEntry(path: sequence.path.appending(name), kind: kind)
        }

        /// The next name; nil after the last.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> FolderEntry? {
            try await next()
        }
    }
}

/// An open folder, and what the kernel has told of its names. One task uses it at a time.
final class FolderListing: @unchecked Sendable {
    let loop: EventLoop
    let path: FilePath
    let number: CInt
    private var memory: IOBuffer?
    private var start = 0

    init(_ descriptor: consuming Descriptor, _ path: FilePath, on loop: EventLoop) {
        self.loop = loop
        self.path = path
        number = descriptor.release()
    }

    // A folder's descriptor has nothing to write.
    deinit { _ = SystemCall.close(number) }

    /// Opens a folder. One that a link leads to only if that is said.
    static func open(
        _ bytes: PathBytes, in folder: CInt = SystemCall.currentFolder, _ path: FilePath,
        links: LinkTreatment = .follow, on loop: EventLoop
    ) async throws -> FolderListing {
        let flags = O_RDONLY | O_DIRECTORY | (links == .stay ? O_NOFOLLOW : 0)
        let descriptor = try await FileLane.open(bytes, in: folder, flags, 0, on: loop)
        return FolderListing(descriptor, path, on: loop)
    }

    /// The next name and its kind; nil after the last.
    func next() async throws -> (name: FilePath.Component, kind: FileKind)? {
        while true {
            while let entry = takeEntry() {
                // `.` and `..` are no names, and what a broken file system reports may be none either.
                guard entry.name != [dot], entry.name != [dot, dot], !entry.name.contains(UInt8(ascii: "/")) else {
                    continue
                }
                let name = unsafe FilePath.Component(
                    platformString: entry.name.map { CChar(bitPattern: $0) } + [0])
                if let name { return (name, entry.kind) }
            }
            guard try await fill() else { return nil }
        }
    }

    private func fill() async throws -> Bool {
        if memory == nil { memory = IOBuffer(capacity: 1 << 15) }
        memory?.removeAll()
        start = 0
        // The buffer is this object's, which the caller keeps.
        guard let room = unsafe memory?.freeSpace else { return false }
        let count = unsafe try await FileLane.run(.list(number, into: room), on: loop, "\(path)")
        memory?.advance(by: count)
        return count > 0
    }

    /// Takes the next of getdents64(2)'s records: inode (8 bytes), offset (8), length (2), type (1), name, zero.
    private func takeEntry() -> (name: [UInt8], kind: FileKind)? {
        let header = 19
        let from = start
        var length = 0
        let entry = memory?.withBytes { bytes -> (name: [UInt8], kind: FileKind)? in
            guard bytes.byteCount - from > header else { return nil }
            return unsafe bytes.withUnsafeBytes { bytes in
                length = Int(unsafe bytes.loadUnaligned(fromByteOffset: from + 16, as: UInt16.self))
                guard length > header, length <= bytes.count - from else { return nil }
                let name = unsafe bytes[(from + header)..<(from + length)].prefix { $0 != 0 }
                return unsafe (Array(name), FileKind(entryType: bytes[from + 18]))
            }
        }
        guard let found = entry ?? nil else { return nil }
        start += length
        return found
    }
}

private let dot = UInt8(ascii: ".")
