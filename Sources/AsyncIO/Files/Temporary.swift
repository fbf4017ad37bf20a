import AsyncIOKernel
public import AsyncIOLoop
import CAsyncIO
import Glibc
public import SystemPackage

extension File {
    /// Opens a new file without a name, for reading and writing by us alone: it vanishes with its last descriptor, also
    /// if the process is killed.
    ///
    /// In the folder named, or in ``Folder/forTemporaryFiles``. Suspends; throws ``IOError`` as
    /// ``open(_:_:permissions:on:)`` does.
    public static func temporary(
        in folder: some PathConvertible = Folder.forTemporaryFiles, on loop: EventLoop? = nil
    ) async throws -> File {
        let loop = try EventLoop.required(loop)
        let bytes = try folder.bytes(for: "open")
        do {
            let flags = O_RDWR | O_DIRECTORY | CInt(CASYNCIO_O_TMPFILE_ALONE)
            let descriptor = try await FileLane.open(bytes, flags, 0o600, on: loop)
            return File(descriptor, folder.filePath, .regular, .readingAndWriting(.createNew), on: loop)
        } catch let error as IOError where error.code == .notSupported || error.code == .isDirectory {
            // A file system that has no files without names (O_TMPFILE of open(2)).
            let new = try await NewFile.make(for: folder.filePath.appending("temporary"), on: loop)
            await new.removeName()
            return new.file
        }
    }
}

extension Folder {
    /// Where temporary files go: `TMPDIR`, or `/tmp`.
    public static var forTemporaryFiles: FilePath {
        if SystemCall.isSimulated { return "/tmp" }
        let wanted = unsafe getenv("TMPDIR").map { unsafe FilePath(platformString: $0) }
        guard let wanted, wanted.isAbsolute else { return "/tmp" }
        return wanted
    }

    /// Makes a new folder that nobody else may enter, with a name that nobody can guess, and returns its path.
    ///
    /// It is the caller's to remove: ``removeTree(_:on:)``. See ``withTemporaryFolder(in:on:_:)``.
    public static func makeTemporary(
        in folder: some PathConvertible = Folder.forTemporaryFiles, on loop: EventLoop? = nil
    ) async throws -> FilePath {
        while true {
            let path = folder.filePath.appending("asyncio-\(SystemCall.randomNumber)")
            do {
                try await make(path, permissions: .ownerReadWriteExecute, on: loop)
                return path
            } catch let error as IOError where error.code == .fileExists {
                // Chance, or somebody who guesses numbers.
            }
        }
    }
}

/// Runs a body with a new folder, and removes that and everything in it however the body ends.
///
/// Nobody else may enter it. Suspends. The folder is removed also if the task is cancelled. Throws what making it and
/// the body throw, and ``IOError`` if it cannot be removed.
public func withTemporaryFolder<Result>(
    in folder: some PathConvertible = Folder.forTemporaryFiles, on loop: EventLoop? = nil,
    _ body: nonisolated(nonsending) (FilePath) async throws -> Result
) async throws -> Result {
    let loop = try EventLoop.required(loop)
    let path = try await Folder.makeTemporary(in: folder, on: loop)
    let result: Result
    do {
        result = try await body(path)
    } catch {
        // What the body says is what matters.
        _ = await UncancelledTask.start(name: "remove \(path)") { try await Folder.removeTree(path, on: loop) }.result
        throw error
    }
    try await UncancelledTask.start(name: "remove \(path)") { try await Folder.removeTree(path, on: loop) }.value
    return result
}
