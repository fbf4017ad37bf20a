import AsyncIOKernel
public import AsyncIOLoop
import Glibc
public import SystemPackage

/// What happens to a file, to what stands in a folder, or to a whole tree, as it happens (inotify(7)).
///
/// ```swift
/// let watcher = try await FileWatcher.open("Sources", depth: .tree)
/// for try await event in watcher where event.kind == .written { print(event.path) }
/// ```
///
/// Watching begins before ``open(_:depth:on:)`` returns: what happens after it is told. Events queue in the kernel, in
/// order, equal neighbours as one; those that find no room there are told as one ``FileEvent/Kind/overflow``. A file is
/// watched, and not its name: an editor that replaces a file by a new one ends the watch; to see that, watch the name:
/// ``Folder/watch(_:name:on:)``. Network file systems tell what this machine does, and nothing of others.
///
/// The sequence ends after the watched path was removed or unmounted, and when the watcher is closed. One task takes
/// events at a time, others wait for their turn. Letting go of the last reference closes it.
public final class FileWatcher: AsyncSequence, Sendable, CustomStringConvertible {
    /// How much is watched.
    public enum Depth: Hashable, Sendable {
        /// The path, and what stands in it, if it is a folder.
        case shallow
        /// Everything below, too, and what is made there later. Takes one of the user's watches
        /// (`/proc/sys/fs/inotify/max_user_watches`) for each folder. What is made in a new folder before that is
        /// watched is told as ``FileEvent/Kind/created``, maybe twice; so is what stands in a folder that is moved
        /// here from outside. Links are not followed.
        case tree
    }

    /// The path that is watched.
    public let path: FilePath
    private let depth: Depth
    /// The only name in the folder that is of interest.
    private let name: [UInt8]?
    /// Nil when the watcher is closed.
    private let instance: Locked<WatchInstance?>
    private let core: StreamCore
    private let turn = AsyncLock(name: "file watcher")
    private let state = Locked(State())

    private struct State {
        /// What was read and not yet taken, the first one last.
        var records: [WatchRecord] = []
        /// What comes before that, the first one first, and how many of them were taken.
        var events: [FileEvent] = []
        var taken = 0
        /// Which path a watch belongs to.
        var paths: [CInt: FilePath] = [:]
        /// Folders of the tree that are being moved, by the moves' cookies, until the kernel says that it is done.
        var moving: [UInt32: FilePath] = [:]
        var root: CInt = -1
        var hasEnded = false

        mutating func takeEvent() -> FileEvent? {
            guard taken < events.count else { return nil }
            taken += 1
            let event = events[taken - 1]
            if taken == events.count { (events, taken) = ([], 0) }
            return event
        }
    }

    private init(
        _ path: FilePath, _ depth: Depth, _ name: [UInt8]?, _ instance: WatchInstance, _ core: StreamCore
    ) {
        self.path = name.map { path.appending($0) } ?? path
        self.depth = depth
        self.name = name
        self.instance = Locked(instance)
        self.core = core
    }

    deinit { close() }

    /// `FileWatcher(Sources)`.
    public var description: String { "FileWatcher(\(path))" }

    /// Begins to watch a path. Suspends; throws ``IOError``: `ENOENT`, `EACCES`, `ENOSPC` if the user has no watches
    /// left, `EMFILE` if he has too many watchers.
    public static func open(
        _ path: some PathConvertible, depth: Depth = .shallow, on loop: EventLoop? = nil
    ) async throws -> FileWatcher {
        try await open(path, depth, name: nil, on: loop)
    }

    static func open(
        _ path: some PathConvertible, _ depth: Depth, name: [UInt8]?, on loop: EventLoop?
    ) async throws -> FileWatcher {
        let loop = try EventLoop.required(loop)
        let bytes = try path.bytes(for: "watch")
        let mask = FileEvent.Kind.mask | (name == nil ? 0 : UInt32(IN_ONLYDIR))
        let number = try FileLane.check(Outcome(SystemCall.openWatch()), "watch", "\(bytes)", on: loop)
        let descriptor = Descriptor(owning: CInt(truncatingIfNeeded: number))
        let root = try await FileLane.run(
            .watch(descriptor.number, bytes, mask: mask), on: loop, "\(bytes)")
        let again: Descriptor
        do {
            again = Descriptor(owning: try SystemCall.copy(descriptor.number, notBelow: 3))
        } catch {
            throw IOError(error.code, operation: "watch", subject: "\(bytes)")
        }
        let handle = try await loop.adopt(descriptor, "watcher of \(bytes)", .pipe)
        let core = StreamCore(loop: loop, reader: handle, writer: .none, subject: .name("watcher of \(bytes)"))
        let instance = WatchInstance(again, "\(bytes)", on: loop)
        let place = path.filePath
        let watcher = FileWatcher(place, depth, name, instance, core)
        watcher.state.withLock { state in
            state.root = CInt(truncatingIfNeeded: root)
            state.paths[state.root] = place
        }
        if depth == .tree { try await watcher.watchAll(in: place, tellsNames: false) }
        return watcher
    }

    /// Ends the watch. The sequence ends when what was read is taken. Calling it again does nothing.
    public func close() {
        core.close()
        let ended = instance.withLock { instance in
            defer { instance = nil }
            return instance
        }
        // Let go outside the lock.
        _ = ended
    }

    /// An iterator. Several share the events among them.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(watcher: self) }

    /// Takes events.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let watcher: FileWatcher

        /// The next event; nil at the end. A cancelled task gets `CancellationError`, and no event is lost.
        public func next() async throws -> FileEvent? { try await watcher.next() }

        /// The next event; nil at the end.
        public func next(isolation actor: isolated (any Actor)?) async throws -> FileEvent? {
            try await watcher.next()
        }
    }

    // MARK: Steps

    private func next() async throws -> FileEvent? {
        try await turn.withLock {
            while true {
                try await FileLane.enter()
                let (event, record, hasEnded) = state.withLock { state -> (FileEvent?, WatchRecord?, Bool) in
                    if let event = state.takeEvent() { return (event, nil, false) }
                    return (nil, state.records.popLast(), state.hasEnded)
                }
                if let event { return event }
                if let record {
                    do {
                        if let event = try await digest(record) { return event }
                    } catch {
                        // Taken up again by whoever asks next, from its beginning.
                        state.withLock { state in
                            (state.events, state.taken) = ([], 0)
                            state.records.append(record)
                        }
                        throw error
                    }
                } else if hasEnded {
                    return nil
                } else {
                    try await fill()
                }
            }
        }
    }

    private func fill() async throws {
        do {
            let bytes = try await core.read(upTo: StreamCore.maximumRead) ?? []
            let records = WatchRecord.records(in: bytes)
            state.withLock { $0.records = records.reversed() }
        } catch let error as IOError where error.code == .badFileDescriptor || error.code == .canceled {
            // Closed, by whomever.
            state.withLock { $0.hasEnded = true }
        }
    }

    /// What a record tells. Keeps the watches of a tree as they should be.
    private func digest(_ record: WatchRecord) async throws -> FileEvent? {
        let isRoot = state.withLock { $0.root == record.watch }
        if record.mask & UInt32(IN_IGNORED) != 0 {
            state.withLock { state in
                if let gone = state.paths.removeValue(forKey: record.watch) {
                    state.moving = state.moving.filter { $0.value != gone }
                }
                if isRoot { state.hasEnded = true }
            }
            return nil
        }
        guard let kind = FileEvent.Kind(mask: record.mask) else { return nil }
        if kind == .overflow {
            if depth == .tree { try await watchAnew() }
            return FileEvent(kind: kind, path: path, isFolder: false, moveID: 0)
        }
        guard let folder = state.withLock({ $0.paths[record.watch] }) else { return nil }
        if let name {
            // Of the folder itself, what is the end of the name, too.
            let isOfInterest = record.name.isEmpty ? kind.endsNames : record.name == name
            guard isOfInterest else { return nil }
        }
        // What happens to a folder of the tree itself is told by the one above it.
        if record.name.isEmpty && !isRoot && kind != .unmounted {
            if kind == .movedAway { endMove(of: folder) }
            return nil
        }
        var place = folder
        if !record.name.isEmpty { place = folder.appending(record.name) }
        let isFolder = record.mask & UInt32(IN_ISDIR) != 0
        if depth == .tree, isFolder, !record.name.isEmpty {
            if kind == .movedAway { beginMove(of: place, record.cookie) }
            if kind == .movedHere, isWatched(place) {
                try await takePlace(of: place, record.cookie)
            } else if kind == .created || kind == .movedHere && !move(record.cookie, to: place) {
                try await watchAll(in: place, tellsNames: true, watchesItself: true)
            }
        }
        return FileEvent(kind: kind, path: place, isFolder: isFolder, moveID: record.cookie)
    }

    // MARK: Trees

    /// Events were lost, maybe of folders that were made, moved and removed: watches those that are there now.
    private func watchAnew() async throws {
        let (before, moving) = state.withLock { state in
            defer { (state.paths, state.moving) = (state.paths.filter { $0.key == state.root }, [:]) }
            return (state.paths, state.moving)
        }
        do {
            try await watchAll(in: path, tellsNames: false)
        } catch {
            state.withLock { state in
                state.paths.merge(before) { new, _ in new }
                state.moving = moving
            }
            throw error
        }
        let gone = state.withLock { state in before.keys.filter { state.paths[$0] == nil } }
        unwatch(gone)
    }

    /// The first half of a move. What is done in the folder after it is told with its new path, if it has one here: the
    /// watches stay. The kernel tells the folder itself that it was moved only after it has told both halves.
    private func beginMove(of folder: FilePath, _ cookie: UInt32) {
        let isWatched = state.withLock { state in
            guard state.paths.values.contains(folder) else { return false }
            state.moving[cookie] = folder
            return true
        }
        if !isWatched { forgetAll(in: folder) }
    }

    private func isWatched(_ folder: FilePath) -> Bool { state.withLock { $0.paths.values.contains(folder) } }

    /// A folder comes to stand where another is watched: the two were exchanged (RENAME_EXCHANGE of renameat2(2)), or
    /// the other one was empty, and is gone. The second half of an exchange is told only after this, and by paths alone
    /// the two cannot be told apart any more; the watches themselves can.
    private func takePlace(of folder: FilePath, _ cookie: UInt32) async throws {
        if state.withLock({ $0.moving[cookie] != nil }) {
            try await watchAnew()
        } else {
            // From outside: what it brings is new.
            forgetAll(in: folder)
            try await watchAll(in: folder, tellsNames: true, watchesItself: true)
        }
    }

    /// The second half. Whether the folder comes from within the tree, and goes on being watched.
    private func move(_ cookie: UInt32, to place: FilePath) -> Bool {
        state.withLock { state in
            guard let origin = state.moving.removeValue(forKey: cookie) else { return false }
            let count = origin.pathBytes.count
            state.paths = state.paths.mapValues { path in
                guard path.starts(with: origin) else { return path }
                return FilePath(bytes: place.pathBytes + path.pathBytes.dropFirst(count))
            }
            return true
        }
    }

    /// A folder was moved, and nobody has told where to: out of the tree.
    private func endMove(of folder: FilePath) {
        let hasLeft = state.withLock { state in
            let cookie = state.moving.first { $0.value == folder }?.key
            return cookie.map { state.moving.removeValue(forKey: $0) } != nil
        }
        if hasLeft { forgetAll(in: folder) }
    }

    /// Watches every folder below a path. What was made before it was watched is told.
    private func watchAll(in folder: FilePath, tellsNames: Bool, watchesItself: Bool = false) async throws {
        if watchesItself, try await !watch(folder) { return }
        do {
            for try await entry in Folder.walk(folder, on: core.loop) {
                if let error = entry.error {
                    tell(.notWatched(error.code), entry.path, isFolder: true)
                    continue
                }
                if tellsNames { tell(.created, entry.path, isFolder: entry.kind == .folder) }
                if entry.kind == .folder { _ = try await watch(entry.path) }
            }
        } catch let error as IOError where error.code == .noSuchFileOrDirectory || error.code == .notDirectory {
            // Gone again, which is told by the folder above; or a file.
        }
    }

    private func watch(_ folder: FilePath) async throws -> Bool {
        let bytes = try folder.bytes(for: "watch")
        let mask = FileEvent.Kind.mask | UInt32(IN_ONLYDIR) | UInt32(IN_DONT_FOLLOW)
        // Held until the call has ended, which may be after the watcher was closed.
        guard let instance = instance.withLock({ $0 }) else { return false }
        let outcome = await FileLane.perform(.watch(instance.number, bytes, mask: mask), on: core.loop)
        withExtendedLifetime(instance) {}
        if outcome.result >= 0 {
            state.withLock { $0.paths[CInt(truncatingIfNeeded: outcome.result)] = folder }
            return true
        }
        let code = Errno(negated: outcome.result)
        if code == .canceled || code == .loopClosed {
            try FileLane.check(outcome, "watch", "\(folder)", on: core.loop)
        }
        if code != .noSuchFileOrDirectory && code != .notDirectory { tell(.notWatched(code), folder, isFolder: true) }
        return false
    }

    /// A folder has left the tree: what happens in it is nobody's business.
    private func forgetAll(in folder: FilePath) {
        let gone = state.withLock { state in
            let gone = state.paths.filter { $0.value.starts(with: folder) }.keys
            for watch in gone { state.paths[watch] = nil }
            return Array(gone)
        }
        unwatch(gone)
    }

    private func unwatch(_ watches: [CInt]) {
        guard let instance = instance.withLock({ $0 }) else { return }
        withExtendedLifetime(instance) {
            for watch in watches { SystemCall.unwatch(instance.number, watch) }
        }
    }

    private func tell(_ kind: FileEvent.Kind, _ path: FilePath, isFolder: Bool) {
        state.withLock { $0.events.append(FileEvent(kind: kind, path: path, isFolder: isFolder, moveID: 0)) }
    }
}

/// The inotify descriptor once more, which stays open as long as somebody adds watches to it, whatever becomes of the
/// stream over the other one. The kernel frees the watches with the last of the two, which may take a while.
private final class WatchInstance: Sendable {
    let number: CInt
    private let subject: String
    private let loop: EventLoop

    init(_ descriptor: consuming Descriptor, _ subject: String, on loop: EventLoop) {
        number = descriptor.release()
        self.subject = subject
        self.loop = loop
    }

    deinit {
        let loop = loop
        let held = HeldDescriptor(Descriptor(owning: number))
        // If an ending loop refuses the task, this closes it.
        loop.spawn(name: "close watcher of \(subject)") {
            await FileLane.performAnyway(.close(held.take().release()), on: loop)
        }
    }
}
