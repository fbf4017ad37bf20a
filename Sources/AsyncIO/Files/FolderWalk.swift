import AsyncIOKernel
import AsyncIOLoop
public import SystemPackage

extension Folder {
    /// Everything below a folder, depth first: a folder comes before what is in it.
    ///
    /// ```swift
    /// for try await found in Folder.walk("Sources") where found.kind == .regular { print(found.path) }
    /// ```
    ///
    /// Symbolic links are told, and not followed: there are no circles, and nothing outside is reached, also if
    /// somebody exchanges folders for links meanwhile. What cannot be read is told as an entry with an
    /// ``WalkEntry/error``, and the walk goes on. One descriptor is open for each level; what is deeper than the limit
    /// is told as an error (`ELOOP`), too. Throws ``IOError`` only if the first folder cannot be opened.
    public static func walk(
        _ path: some PathConvertible, maximumDepth: Int = 128, on loop: EventLoop? = nil
    ) -> FolderWalk {
        FolderWalk(path: path.filePath, pathBytes: path.pathBytes, maximumDepth: max(maximumDepth, 1), loop: loop)
    }
}

/// What a walk has found.
public struct WalkEntry: Sendable {
    /// The path, beginning with the one that the walk was given.
    public let path: FilePath
    /// What it is.
    public let kind: FileKind
    /// How deep below the first folder it stands: 1 for what is in that one.
    public let depth: Int
    /// Why what is in this folder cannot be told, or what this is.
    public let error: IOError?
}

/// Everything below a folder: see ``Folder/walk(_:maximumDepth:on:)``.
public struct FolderWalk: AsyncSequence, Sendable {
    let path: FilePath
    let pathBytes: [UInt8]
    let maximumDepth: Int
    let loop: EventLoop?

    /// An iterator, which opens the first folder when it is asked first.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(sequence: self) }

    /// Goes through everything below a folder.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let sequence: FolderWalk
        /// The folders that are open, from the first one to the deepest.
        private var open: [FolderListing] = []
        /// What was told last, and is to be entered next.
        private var next: (folder: FolderListing, name: FilePath.Component)?
        /// A name whose kind was to be asked for when the task was cancelled.
        private var unasked: FilePath.Component?
        private var hasBegun = false

        init(sequence: FolderWalk) { self.sequence = sequence }

        /// Does not enter the folder that was told last.
        public mutating func skipContent() { next = nil }

        /// What is found next; nil at the end.
        public mutating func next() async throws -> WalkEntry? {
            try await FileLane.enter()
            if !hasBegun {
                let loop = try EventLoop.required(sequence.loop)
                let bytes = try PathBytes(sequence.pathBytes, for: "walk")
                open = [try await FolderListing.open(bytes, sequence.path, on: loop)]
                hasBegun = true
            }
            if let error = try await enterFolder() { return error }
            while let folder = open.last {
                let found: (name: FilePath.Component, kind: FileKind)
                do {
                    if let unasked {
                        found = (unasked, .unknown)
                    } else if let next = try await folder.next() {
                        found = next
                    } else {
                        open.removeLast()
                        continue
                    }
                } catch let error as IOError {
                    // The folder cannot be read on.
                    open.removeLast()
                    return WalkEntry(path: folder.path, kind: .folder, depth: open.count, error: error)
                }
                let path = folder.path.appending(found.name)
                do {
                    unasked = found.name
                    let kind = try await kind(of: found.name, found.kind, in: folder)
                    unasked = nil
                    // Removed since.
                    guard let kind else { continue }
                    if kind == .folder { next = (folder, found.name) }
                    return WalkEntry(path: path, kind: kind, depth: open.count, error: nil)
                } catch let error as IOError {
                    unasked = nil
                    return WalkEntry(path: path, kind: .unknown, depth: open.count, error: error)
                }
            }
            return nil
        }

        /// What is found next; nil at the end.
        public mutating func next(isolation actor: isolated (any Actor)?) async throws -> WalkEntry? {
            try await next()
        }

        /// Opens the folder that was told last. An error is told as an entry.
        private mutating func enterFolder() async throws -> WalkEntry? {
            guard let (folder, name) = next else { return nil }
            let path = folder.path.appending(name)
            let failure: IOError
            do {
                guard open.count < sequence.maximumDepth else {
                    throw IOError(
                        .tooManySymbolicLinkLevels, operation: "walk", subject: "\(path)",
                        detail: "deeper than \(sequence.maximumDepth) folders; raise maximumDepth")
                }
                open.append(try await folder.open(name))
                next = nil
                return nil
            } catch let error as IOError {
                failure = error
            }
            next = nil
            // Removed, or exchanged for something else since it was told.
            if failure.code == .noSuchFileOrDirectory || failure.code == .notDirectory { return nil }
            return WalkEntry(path: path, kind: .folder, depth: open.count, error: failure)
        }

        private func kind(
            of name: FilePath.Component, _ kind: FileKind, in folder: FolderListing
        ) async throws -> FileKind? {
            guard kind == .unknown else { return kind }
            do {
                return try await folder.information(name).kind
            } catch let error as IOError where error.code == .noSuchFileOrDirectory {
                return nil
            }
        }
    }
}

extension FolderListing {
    /// Opens a folder in this one, and nothing that a link leads to.
    func open(_ name: FilePath.Component) async throws -> FolderListing {
        try await FolderListing.open(
            try FilePath(root: nil, components: name).bytes(for: "open"), in: number, path.appending(name),
            links: .stay, on: loop)
    }

    /// What stands in this folder under a name.
    func information(_ name: FilePath.Component) async throws -> FileInformation {
        let bytes = try FilePath(root: nil, components: name).bytes(for: "stat")
        return try await FileLane.status(
            bytes, in: number, followsLinks: false, on: loop, "\(self.path.appending(name))")
    }
}
