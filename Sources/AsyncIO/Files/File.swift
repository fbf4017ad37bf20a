import AsyncIOKernel
public import AsyncIOLoop
import Glibc
import Synchronization
public import SystemPackage

/// An open file.
///
/// ```swift
/// let file = try await File.open("notes.txt", .readingAndWriting(.createOrOpen))
/// try await file.write(Array("hello".utf8), at: 0)
/// try await file.sync()
/// try await file.close()
/// ```
///
/// What the page cache holds is read at once, without another thread; what the disk has to be asked for is read while
/// the loop goes on: by the driver, or on a thread of the loop's pool. A call that has begun on a thread cannot
/// be interrupted: a task that is cancelled meanwhile gets its result, and learns of the cancellation at its next wait.
/// A ring may give up a read or a sync that has begun: then it throws `CancellationError`, and nothing was read.
/// Nothing is lost either way, since the position moves only with what was returned.
///
/// Calls with an offset may run side by side. Those without one share a position, which is this object's own, and take
/// turns: each is whole. Everything may be called from any thread.
///
/// FIFOs, terminals and devices can be opened, too: reading them waits, and can be cancelled. They have no positions,
/// and no offsets.
///
/// Close a file that was written with ``close()``, which says what went wrong at last; better, ``sync(_:)`` it before.
/// A file that nobody refers to any more is closed by itself, and an error goes to the loop's error handler.
public final class File: Sendable, CustomStringConvertible {
    /// The loop that does the file's work.
    public let loop: EventLoop
    /// The path that it was opened at, for messages: it may have been renamed since.
    public let path: FilePath
    /// What it is.
    public let kind: FileKind
    /// What it was opened for.
    public let mode: Mode
    let number: CInt
    /// Calls under way, doubled; the lowest bit says that it is closed.
    private let uses = Atomic(0)
    /// Where the next call without an offset reads or writes. Changed by whoever has the turn.
    let offset = Atomic<Int64>(0)
    let turn = AsyncLock(name: "file position")
    /// What has no position is read by one task while another one writes.
    let writingTurn: AsyncLock
    let readsAhead = Locked(ReadsAhead())
    /// Whether the file system answers what its caches hold.
    let readsFromCache: Atomic<Bool>
    let writesToCache: Atomic<Bool>
    /// Whether it has ever done so: then it is a file system of this kernel's own.
    let cacheHasAnswered = Atomic(false)

    init(_ descriptor: consuming Descriptor, _ path: FilePath, _ kind: FileKind, _ mode: Mode, on loop: EventLoop) {
        self.loop = loop
        self.path = path
        self.kind = kind
        self.mode = mode
        number = descriptor.release()
        let hasPositions = kind == .regular || kind == .blockDevice
        writingTurn = hasPositions ? turn : AsyncLock(name: "file writer")
        readsFromCache = Atomic(hasPositions)
        writesToCache = Atomic(hasPositions)
        OpenResources.opened(ResourceKey(unadopted: number))
    }

    deinit {
        guard uses.load(ordering: .acquiring) == 0 else { return }
        OpenResources.letGo(ResourceKey(unadopted: number), "File(\(path))", on: loop)
        let (number, loop) = (number, loop)
        if closesAtOnce || loop.isClosed {
            _ = SystemCall.close(number)
        } else {
            let subject = "\(path)"
            // An ending loop may refuse the task: then this closes it.
            let held = HeldDescriptor(Descriptor(owning: number))
            loop.spawn(name: "close \(subject)") {
                let outcome = await FileLane.performAnyway(.close(held.take().release()), on: loop)
                try FileLane.check(outcome, "close", subject, on: loop)
            }
        }
    }

    /// `File(notes.txt)`.
    public var description: String { "File(\(path))" }

    /// Whether it has positions: offsets, a size. Pipes, terminals and devices have none.
    public var hasPositions: Bool { kind == .regular || kind == .blockDevice }

    // MARK: Position

    /// Where the next call without an offset reads or writes.
    public var position: Int64 { offset.load(ordering: .relaxed) }

    /// Sets where the next call without an offset reads or writes: also beyond the end. Waits for those under way.
    /// Throws ``IOError`` with `EINVAL` for a negative offset and `ESPIPE` for what has no positions.
    public func seek(to offset: Int64) async throws {
        try checkOffset(offset, "seek")
        try await turn.withLock { self.offset.store(offset, ordering: .relaxed) }
    }

    func checkOffset(_ offset: Int64, _ operation: String) throws {
        guard hasPositions else {
            throw IOError(
                .illegalSeek, operation: operation, subject: "\(path)",
                detail: "a \(kind) has no positions; leave the offset out")
        }
        if offset < 0 {
            throw IOError(
                .invalidArgument, operation: operation, subject: "\(path)", detail: "the offset \(offset) is negative")
        }
    }

    // MARK: Use

    /// Begins a call. Each is followed by one ``leave()``.
    @inline(__always)
    func enter(_ operation: String) throws {
        guard uses.add(2, ordering: .acquiring).newValue & 1 != 0 else { return }
        leave()
        throw IOError(.badFileDescriptor, operation: operation, subject: "\(path)", detail: "the file is closed")
    }

    @inline(__always)
    func leave() { uses.subtract(2, ordering: .releasing) }

    /// Performs a call of this file, and throws what it reports.
    @discardableResult
    func run(_ call: FileCall) async throws -> Int {
        try enter(call.name)
        defer { leave() }
        return try await FileLane.run(call, on: loop, "\(path)")
    }

    /// Lends the descriptor's number to a body, for calls of your own. It stays open meanwhile.
    public func withDescriptor<Result>(_ body: (Int32) async throws -> Result) async throws -> Result {
        try enter("lend")
        defer { leave() }
        return try await body(number)
    }

    // MARK: Ending

    /// Closes the file. Calling it again does nothing.
    ///
    /// Suspends. It is closed also if the task is cancelled, and if it throws: ``IOError`` with what writing it back
    /// has met (close(2): `EIO`, `ENOSPC`, `EDQUOT`). `EBUSY` alone, while other calls of it are under way, leaves it
    /// open; what is read ahead of ``chunks(from:size:readAhead:)`` is given up, and is none of them.
    public func close() async throws {
        await stopReadingAhead()
        let (isNow, state) = uses.compareExchange(expected: 0, desired: 1, ordering: .acquiringAndReleasing)
        guard isNow else {
            if state & 1 != 0 { return }
            throw IOError(
                .resourceBusy, operation: "close", subject: "\(path)",
                detail: "\(state / 2) calls of the file are under way; await them first")
        }
        OpenResources.closed(ResourceKey(unadopted: number))
        if closesAtOnce {
            try FileLane.check(Outcome(SystemCall.close(number)), "close", "\(path)", on: loop)
            return
        }
        let outcome = await FileLane.performAnyway(.close(number), on: loop)
        try FileLane.check(outcome, "close", "\(path)", on: loop)
    }

    /// Whether closing waits for nothing: what was written may go over a network now, a file that has no name left is
    /// freed, and a program that serves a file system is asked (FUSE), which has no cache that answers at once.
    private var closesAtOnce: Bool {
        if mode.writes { return false }
        guard kind == .pipe || cacheHasAnswered.load(ordering: .relaxed) else { return false }
        return FileLane.cachedStatus(number).map { $0.linkCount > 0 } ?? false
    }
}

/// Opens a file for a body, and closes it however the body ends.
///
/// Suspends. Throws what opening, the body and closing throw: of the last two, the body's. See
/// ``File/open(_:_:permissions:on:)`` and ``File/close()``.
public func withFile<Result>(
    _ path: some PathConvertible, _ mode: File.Mode = .reading, permissions: FilePermissions = File.usualPermissions,
    on loop: EventLoop? = nil, _ body: nonisolated(nonsending) (File) async throws -> Result
) async throws -> Result {
    let file = try await File.open(path, mode, permissions: permissions, on: loop)
    let result: Result
    do {
        result = try await body(file)
    } catch {
        // What the body says is what matters.
        try? await file.close()
        throw error
    }
    try await file.close()
    return result
}
