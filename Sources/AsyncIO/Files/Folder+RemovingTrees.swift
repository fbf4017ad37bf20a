import AsyncIOKernel
public import AsyncIOLoop
import Glibc
import SystemPackage

extension Folder {
    /// Removes a folder and everything in it, however deep.
    ///
    /// No link is followed: symbolic links are removed themselves, and every step goes from the open folder to the next
    /// one by its name, so that somebody who exchanges a folder for a link meanwhile leads nowhere. What is mounted in
    /// the tree belongs to it, bind mounts too: it is emptied, and then its mount point stops the removal (`EBUSY`). At
    /// most some 64 descriptors are open at once. What is added meanwhile is removed as well, if it is found in time.
    ///
    /// Suspends. Stops at the first error and at cancellation, and a part is gone then. Throws ``IOError`` with the
    /// path that it stopped at: `EACCES` for a folder that we may not change, `ENOTDIR` for what is no folder or a link
    /// to one, `EINVAL` for a path that ends in `.` or `..` and for `/`.
    public static func removeTree(_ path: some PathConvertible, on loop: EventLoop? = nil) async throws {
        let loop = try EventLoop.required(loop)
        let bytes = try path.bytes(for: "remove")
        let (folder, name) = path.split
        guard !name.isEmpty, name != Array(".".utf8), name != Array("..".utf8) else {
            throw IOError(
                .invalidArgument, operation: "remove", subject: "\(bytes)",
                detail: "a folder is removed by its own name, and neither as . nor as .. nor as /")
        }
        let parent = try await FolderListing.open(
            try PathBytes(folder, for: "remove"), FilePath(bytes: folder), on: loop)
        let component = unsafe FilePath.Component(platformString: name.map { CChar(bitPattern: $0) } + [0])
        guard let component else { throw IOError(.invalidArgument, operation: "remove", subject: "\(bytes)") }
        var removal = TreeRemoval(top: parent)
        try await removal.remove(component)
    }
}

/// The removal of a tree: the folders that are open, from the one above the tree to the deepest.
private struct TreeRemoval {
    /// A folder that is being emptied.
    struct Level {
        let folder: FolderListing
        /// Its name in the folder above it.
        let name: FilePath.Component
        /// Whether this pass through its names has removed one.
        var hasProgressed = false
    }

    /// The folder that the tree stands in.
    let top: FolderListing
    private var levels: [Level] = []
    private var lifted = 0

    /// A folder that is deeper is moved up first: descriptors are few, and paths end at 4,096 bytes.
    private static let maximumDepth = 64

    init(top: FolderListing) { self.top = top }

    mutating func remove(_ name: FilePath.Component) async throws {
        levels = [Level(folder: try await top.open(name), name: name)]
        while let folder = levels.last?.folder {
            try await FileLane.enter()
            if let entry = try await folder.next() {
                try await remove(entry.name, entry.kind, in: folder)
            } else {
                try await finishLevel()
            }
        }
    }

    private mutating func remove(
        _ name: FilePath.Component, _ kind: FileKind, in folder: FolderListing
    ) async throws {
        if kind != .folder {
            do {
                return try await unlink(name, in: folder, isFolder: false)
            } catch let error as IOError where error.code == .isDirectory || error.code == .notPermitted {
                // A folder after all, or since a moment ago; if it is none, the next step says what is wrong.
                let now = try await folder.information(name).kind
                if now != .folder { throw error }
            }
        }
        do {
            if levels.count >= Self.maximumDepth { return try await lift(name, from: folder) }
            levels.append(Level(folder: try await folder.open(name), name: name))
        } catch let error as IOError where error.code == .notDirectory || error.code == .tooManySymbolicLinkLevels {
            // Exchanged for a file or a link: the name goes, and nothing else.
            try await unlink(name, in: folder, isFolder: false)
        } catch let error as IOError where error.code == .noSuchFileOrDirectory {
            // Somebody else has removed it.
        }
    }

    /// A folder is at its end: it is removed, or gone through once more if something was missed or added.
    private mutating func finishLevel() async throws {
        guard let level = levels.popLast() else { return }
        let above = levels.last?.folder ?? top
        do {
            try await unlink(level.name, in: above, isFolder: true)
        } catch let error as IOError where error.code == .directoryNotEmpty && level.hasProgressed {
            try await FileLane.run(
                .seek(level.folder.number, 0, whence: SEEK_SET), on: level.folder.loop, "\(level.folder.path)")
            levels.append(Level(folder: level.folder, name: level.name))
        }
    }

    private mutating func unlink(
        _ name: FilePath.Component, in folder: FolderListing, isFolder: Bool
    ) async throws {
        let bytes = try FilePath(root: nil, components: name).bytes(for: "remove")
        do {
            try await FileLane.run(
                .remove(bytes, in: folder.number, isFolder: isFolder), on: folder.loop,
                "\(folder.path.appending(name))")
        } catch let error as IOError where error.code == .noSuchFileOrDirectory {
            // Somebody else was faster.
        }
        noteProgress()
    }

    private mutating func noteProgress() {
        if !levels.isEmpty { levels[levels.count - 1].hasProgressed = true }
    }

    /// Moves a folder from the deepest level to the highest one, where it is found and removed later.
    private mutating func lift(_ name: FilePath.Component, from folder: FolderListing) async throws {
        lifted += 1
        let (old, new) = (
            try FilePath(root: nil, components: name).bytes(for: "remove"),
            try ".asyncio-\(SystemCall.randomNumber)-\(lifted)".bytes(for: "remove")
        )
        try await FileLane.run(
            .rename(old, in: folder.number, to: new, inFolder: levels[0].folder.number, replaces: false),
            on: folder.loop, "\(folder.path.appending(name))")
        noteProgress()
        levels[0].hasProgressed = true
    }
}
