import AsyncIOKernel
import AsyncIOLoop
import Glibc
import SystemPackage

/// A file that has no place yet: written beside the one that it is going to be, and then put there at once.
///
/// Whoever looks at the place sees what was there before, or all of the new file. Used by one task.
struct NewFile {
    let loop: EventLoop
    let place: PathBytes
    let file: File
    private let folder: [UInt8]
    private let draft: PathBytes

    /// Makes an empty file beside a place, for us alone.
    static func make(for place: some PathConvertible, on loop: EventLoop) async throws -> NewFile {
        let bytes = try place.bytes(for: "replace")
        let (folder, name) = place.split
        guard !name.isEmpty, name != Array(".".utf8), name != Array("..".utf8) else {
            throw IOError(.isDirectory, operation: "replace", subject: "\(bytes)")
        }
        while true {
            let draft = FilePath(bytes: folder).appending(".asyncio-\(SystemCall.randomNumber).new")
            do {
                let file = try await File.open(
                    draft, .readingAndWriting(.createNew), permissions: .ownerReadWrite, on: loop)
                return NewFile(
                    loop: loop, place: bytes, file: file, folder: folder, draft: try draft.bytes(for: "replace"))
            } catch let error as IOError where error.code == .fileExists {
                // Chance, or somebody who guesses numbers.
            }
        }
    }

    /// Writes the file to the disk, puts it in its place, and writes that to the disk. A cancelled task puts nothing;
    /// once it is put, a cancellation is not heard: what is thrown would say that nothing has happened.
    func put(_ existing: File.Existing, durable: Bool) async throws {
        if durable { try await file.sync() }
        try await file.close()
        try Task.checkCancellation()
        let putting = UncancelledTask.start(name: "replace") {
            try await FileLane.rename(draft, to: place, existing, on: loop, "\(place)")
            if durable { try await Folder.sync(at: FilePath(bytes: folder), on: loop) }
        }
        try await putting.value
    }

    /// Takes the name away; the file is there as long as it is open.
    func removeName() async {
        await FileLane.performAnyway(.remove(draft, in: SystemCall.currentFolder, isFolder: false), on: loop)
    }

    /// Takes the file away again, also if the task is cancelled. After ``put(_:durable:)`` has done its work, there is
    /// nothing to take.
    func discard() async {
        try? await file.close()
        await removeName()
    }
}

extension File {
    /// Replaces a file by a new one, at once and for good: after a crash, even of the machine, there is the old content
    /// or the new one, and nothing between.
    ///
    /// Writes a temporary file in the same folder (`.asyncio-….new`), waits until it is on the disk, and renames it.
    /// It keeps the permissions of the file that was there; where none was, it gets those named, less the umask's.
    /// Owner and group are the process's own; if the old file's were others, set-user-id and set-group-id are dropped.
    /// A symbolic link in this place is replaced itself, and other names of the old file keep the old content.
    ///
    /// Suspends. If it throws, the old file is there and the temporary one is not; only if syncing the folder at the
    /// end fails, the new file is in its place, but may be lost with the machine's power. Throws ``IOError`` as
    /// opening, writing, syncing and renaming do, and `CancellationError`.
    public static func replace(
        _ path: some PathConvertible, with bytes: [UInt8], permissions: FilePermissions = File.usualPermissions,
        on loop: EventLoop? = nil
    ) async throws {
        try await replace(path, permissions: permissions, on: loop) { try await $0.write(bytes) }
    }

    /// Replaces a file by one with this text, as UTF-8. As ``replace(_:with:permissions:on:)-([UInt8])``.
    public static func replace(
        _ path: some PathConvertible, with text: String, permissions: FilePermissions = File.usualPermissions,
        on loop: EventLoop? = nil
    ) async throws {
        try await replace(path, with: Array(text.utf8), permissions: permissions, on: loop)
    }

    /// Replaces a file by one that a body writes. As ``replace(_:with:permissions:on:)``: what the body throws leaves
    /// the old file as it is.
    public static func replace(
        _ path: some PathConvertible, permissions: FilePermissions = File.usualPermissions,
        on loop: EventLoop? = nil, _ body: nonisolated(nonsending) (File) async throws -> Void
    ) async throws {
        let loop = try EventLoop.required(loop)
        let new = try await NewFile.make(for: path, on: loop)
        do {
            try await body(new.file)
            if let old = try await replaced(at: path, on: loop), old.kind == .regular {
                try await new.file.setPermissions(try await new.file.permissions(after: old))
            } else {
                try await new.file.setPermissions(FilePermissions(rawValue: permissions.rawValue & ~FileLane.umask()))
            }
            try await new.put(.replace, durable: true)
        } catch {
            await new.discard()
            throw error
        }
    }

    /// What stands in a place that gets a new file; nil only if nothing does. Where the system does not say, the new
    /// file would be open to more people than the old one.
    private static func replaced(
        at path: some PathConvertible, on loop: EventLoop
    ) async throws -> FileInformation? {
        do {
            return try await information(at: path, links: .stay, on: loop)
        } catch let error as IOError where error.code == .noSuchFileOrDirectory {
            return nil
        }
    }

    /// The permissions of a file that this one replaces. Those to act as its owner or group only if they are this
    /// one's, too.
    private func permissions(after old: FileInformation) async throws -> FilePermissions {
        let own = try await information()
        if own.userID == old.userID && own.groupID == old.groupID { return old.permissions }
        return FilePermissions(rawValue: old.permissions.rawValue & 0o777)
    }
}

extension FileLane {
    /// The process's umask, without changing it even for a moment (proc(5), Linux 4.7). Where it is not told, the
    /// strictest usual one.
    static func umask() -> CInterop.Mode {
        if let standIn = SystemCall.standIn { return CInterop.Mode(standIn.umask) }
        let strict: CInterop.Mode = 0o077
        guard let number = SystemCall.readableNumber(of: "/proc/self/status") else { return strict }
        let file = Descriptor(owning: number)
        guard let bytes = try? SystemCall.bytes(of: file.number, count: 4_096) else { return strict }
        let line = bytes.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: "Umask:".utf8) }
        let digits = line?.split(separator: UInt8(ascii: "\t")).last.map { String(decoding: $0, as: UTF8.self) }
        return digits.flatMap { CInterop.Mode($0, radix: 8) } ?? strict
    }
}

extension SystemCall {
    /// open(2) of a file of `/proc`, which blocks for nobody.
    static func readableNumber(of path: String) -> CInt? {
        guard let bytes = try? PathBytes(path.utf8, for: "open") else { return nil }
        let number = open(bytes, in: currentFolder, O_RDONLY, 0)
        return number < 0 ? nil : CInt(truncatingIfNeeded: number)
    }
}
