import AsyncIOKernel
package import AsyncIOLoop
import Glibc
import SystemPackage

/// A folder that nothing leads out of: what is opened by its path in it stands below it.
///
/// The kernel looks after that (RESOLVE_BENEATH of openat2(2)): `..` and links may lead to places below the folder, and
/// nowhere else, also while others move things about. Where it cannot, before Linux 5.6 and in containers that forbid
/// the call, no link is followed at all.
package struct EnclosedFolder: Sendable {
    private let path: FilePath

    package init(_ path: some PathConvertible) { self.path = path.filePath }

    /// Opens a file below the folder for reading. As ``File/open(_:_:permissions:on:)``; throws ``IOError`` with
    /// `EXDEV` for a path that leads out, `EISDIR` for a folder.
    package func open(_ inner: some PathConvertible, on loop: EventLoop? = nil) async throws -> File {
        let loop = try EventLoop.required(loop)
        let bytes = try inner.bytes(for: "open")
        let descriptor = try await descriptor(bytes, O_RDONLY, on: loop)
        return try File(opened: descriptor, bytes, path.pushing(inner.filePath), .reading, on: loop)
    }

    /// The names in a folder below, at most so many, in no order. Throws ``IOError``: `ENOTDIR`, and as
    /// ``open(_:on:)``.
    package func entries(
        of inner: some PathConvertible, limit: Int, on loop: EventLoop? = nil
    ) async throws -> [FolderEntry] {
        let loop = try EventLoop.required(loop)
        let bytes = try inner.bytes(for: "list")
        let full = path.pushing(inner.filePath)
        let listing = FolderListing(try await descriptor(bytes, O_RDONLY | O_DIRECTORY, on: loop), full, on: loop)
        var entries: [FolderEntry] = []
        while entries.count < limit, let (name, kind) = try await listing.next() {
            entries.append(FolderEntry(path: full.appending(name), kind: kind))
        }
        return entries
    }

    private func descriptor(_ inner: PathBytes, _ flags: CInt, on loop: EventLoop) async throws -> Descriptor {
        let bytes = try path.bytes(for: "open")
        let folder = try await FileLane.open(bytes, O_RDONLY | O_DIRECTORY, 0, on: loop)
        let number = folder.number
        var result = SystemCall.open(inner, beneath: number, flags | O_NONBLOCK, cachedOnly: true)
        // Something was moved while the kernel looked at a `..`: that cannot go on for ever.
        var attempts = 0
        while [Errno.wouldBlock.negated, Errno.invalidArgument.negated].contains(result), attempts < 4 {
            attempts += 1
            result = await FileLane.onThread("open", on: loop) {
                Outcome(SystemCall.open(inner, beneath: number, flags | O_NONBLOCK, cachedOnly: false))
            }.result
        }
        if [Errno.noFunction.negated, Errno.notPermitted.negated].contains(result) {
            return try await descriptor(byParts: inner, in: folder, flags, on: loop)
        }
        // Open until here.
        _ = folder.number
        let opened = try FileLane.check(Outcome(result), "open", "\(path.pushing(FilePath("\(inner)")))", on: loop)
        return Descriptor(owning: CInt(truncatingIfNeeded: opened))
    }

    /// One name after the other, none of which may be a link.
    private func descriptor(
        byParts inner: PathBytes, in folder: consuming Descriptor, _ flags: CInt, on loop: EventLoop
    ) async throws -> Descriptor {
        let slash = UInt8(ascii: "/")
        var parts = inner.bytes.split(separator: slash).filter { $0 != [UInt8(ascii: ".")] }
        guard !parts.contains([UInt8(ascii: "."), UInt8(ascii: ".")]), inner.bytes.first != slash else {
            throw IOError(.improperLink, operation: "open", subject: "\(inner)", detail: "the path leads out")
        }
        let last = parts.popLast() ?? [UInt8(ascii: ".")]
        for part in parts {
            let name = try PathBytes(part, for: "open")
            folder = try await FileLane.open(name, in: folder.number, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, on: loop)
        }
        let name = try PathBytes(last, for: "open")
        let opened = try await FileLane.open(name, in: folder.number, flags | O_NOFOLLOW, 0, on: loop)
        _ = folder.number
        return opened
    }
}
