public import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
public import SystemPackage

/// The disk of a simulated host: a file system in memory, which survives the host's crashes.
///
/// It has what the calls of `File` and `Folder` need: folders, files with holes, hard and symbolic links, permissions,
/// advisory locks, files without names; and it answers as Linux does, errors included. What a program has written is on
/// the disk after a sync of the file, and a name after a sync of its folder; ``SimulatedHost/crash()`` takes the rest,
/// as ``DiskFaults/loss`` says.
///
/// At first there are `/tmp`, `/run`, `/dev/null` and what ``SimulatedHost/install(_:_:)`` puts there. Relative paths
/// begin at `/`. FIFOs, devices and `/proc` are not simulated. To be used by code of the simulation alone.
public final class SimulatedDisk: @unchecked Sendable {
    /// How many bytes of content it holds, in pages of 4,096 bytes: `ENOSPC` beyond.
    public var capacity: Int64 = 1 << 36
    /// How many bytes are taken, in pages, by files that have a name or are open.
    public internal(set) var used: Int64 = 0
    /// How unkind it is.
    public var faults = DiskFaults()
    /// How long calls take.
    public var times = DiskTimes()
    /// How changes of names are ordered.
    public var order = NameOrder.none
    /// Who the host's programs are. 0, root, may do everything.
    public var userID: UInt32 = 1000
    /// How many calls it has carried out, but for those that no disk has to be asked for.
    public private(set) var calls = 0
    /// After how many calls more the host crashes; nil: of that, never. What is under way then is not done.
    public var callsUntilCrash: Int?

    unowned let world: World
    let root: DiskNode
    /// Changes of names that are not on the disk, the oldest first.
    var changes: [NameChange] = []
    /// Renamings that were told of.
    var moves: UInt32 = 0
    private var nodes: UInt64 = 1
    private var orders: [FaultOrder] = []
    /// What the umask of programs takes away.
    static let umask: UInt32 = 0o022

    private struct FaultOrder {
        let work: DiskWork
        let path: [UInt8]?
        let code: Errno
        var times: Int
    }

    init(_ world: World) {
        self.world = world
        root = DiskNode(1, .folder, mode: 0o777, owner: 0, at: world.now)
        root.links = 1
        let temporary = makeNode(.folder, mode: 0o1777)
        let devices = makeNode(.folder, mode: 0o755)
        found(temporary, Array("tmp".utf8), in: root)
        found(makeNode(.folder, mode: 0o755), Array("run".utf8), in: root)
        found(devices, Array("dev".utf8), in: root)
        found(makeNode(.null, mode: 0o666), Array("null".utf8), in: devices)
    }

    /// Puts a name on the disk as if it had always been there.
    func found(_ node: DiskNode, _ name: [UInt8], in folder: DiskNode) {
        enter(node, name, in: folder)
        // Whatever else is under way with this name is older.
        write { $0.edits.contains { $0.folder === folder && $0.name == name } }
    }

    func makeNode(_ kind: DiskNode.Kind, mode: UInt32) -> DiskNode {
        nodes += 1
        return DiskNode(nodes, kind, mode: mode, owner: userID, at: world.now)
    }

    /// What a file takes is what it has taken.
    func change(_ node: DiskNode, _ body: (inout DiskContent) -> Void) {
        let before = node.content.allocated
        body(&node.content)
        used += node.content.allocated - before
    }

    /// Nobody can come to the node any more: its pages are free. A crash may bring it back as long as the disk knows
    /// a name of it.
    func freeIfUnused(_ node: DiskNode) {
        guard node.links == 0, node.opens == 0 else { return }
        used -= node.content.allocated
        tellEnd(of: node)
    }

    // MARK: Faults

    /// Lets the next sync fail with `EIO`, of whatever file or folder.
    public func failNextSync() { fail(.sync, times: 1) }

    /// Lets the next calls of a kind fail, of the file that a path leads to then, or of any.
    public func fail(
        _ work: DiskWork, of path: (any PathConvertible)? = nil, with code: Errno = .ioError, times: Int = .max
    ) {
        orders.append(FaultOrder(work: work, path: path?.pathBytes, code: code, times: times))
    }

    /// Takes every ``fail(_:of:with:times:)`` back.
    public func failNoMore() { orders = [] }

    /// The error that a call meets.
    func fault(_ work: DiskWork, _ node: DiskNode?) throws(Errno) {
        if let index = orders.firstIndex(where: { matches($0, work, node) }) {
            let code = orders[index].code
            orders[index].times -= 1
            if orders[index].times <= 0 { orders.remove(at: index) }
            throw code
        }
        let strikes =
            switch work {
            case .read: world.strikes("EIO at read", faults.readErrors)
            case .write: world.strikes("EIO at write", faults.writeErrors)
            case .sync: world.strikes("EIO at sync", faults.syncErrors)
            case .close: world.strikes("EIO at close", faults.closeErrors)
            case .name: world.strikes("EIO at a name", faults.nameErrors)
            }
        if strikes { throw .ioError }
    }

    private func matches(_ order: FaultOrder, _ work: DiskWork, _ node: DiskNode?) -> Bool {
        guard order.work == work else { return false }
        guard let path = order.path else { return true }
        return node != nil && (try? find(path, from: root).node) === node
    }

    /// Whether a call under way has begun, so that it cannot be called back.
    func hasBegun() -> Bool { world.strikes("begun", faults.begunCalls) }

    /// How many bytes a call moves, when short ones are drawn.
    func drawn(_ count: Int) -> Int {
        guard count > 1, world.strikes("short transfer of a file", faults.shortTransfers) else { return count }
        var details = world.perturbations.details
        return 1 + details.below(count - 1)
    }

    // MARK: Calls

    /// How long a call takes. What no disk has to be asked for takes no time.
    func time(for call: FileCall) -> Duration {
        var time = drawn(times.call)
        switch call {
        case .seek, .lock, .watch: return .zero
        case .read(_, let memory, _): time += timeToMove(memory.count)
        case .write(_, let bytes, _): time += timeToMove(bytes.count)
        case .copyRange(_, _, _, _, let count): time += timeToMove(count)
        case .sync: time += drawn(times.sync)
        default: break
        }
        if world.strikes("slow disk", faults.slowCalls) {
            var details = world.perturbations.details
            time += drawn(.zero...max(faults.longestCall, .zero), &details)
        }
        return max(time, .nanoseconds(1))
    }

    private func drawn(_ range: ClosedRange<Duration>) -> Duration { drawn(range, &world.random) }

    private func drawn(_ range: ClosedRange<Duration>, _ random: inout SimulatedRandom) -> Duration {
        let width = (range.upperBound - range.lowerBound) / .nanoseconds(1)
        return range.lowerBound + .nanoseconds(random.below(Int(width) + 1))
    }

    private func timeToMove(_ count: Int) -> Duration {
        guard times.bytesPerSecond > 0 else { return .zero }
        return .nanoseconds(Int64(Double(min(count, 1 << 30)) * 1e9 / Double(times.bytesPerSecond)))
    }

    /// Carries a call out. Descriptors that it opens are the kernel's.
    func perform(_ call: FileCall, _ kernel: HostKernel) -> Outcome {
        if let left = callsUntilCrash, counts(call) {
            guard left > 0 else {
                world.at(world.now) { [weak kernel] in
                    guard let kernel, !kernel.hasCrashed else { return }
                    self.callsUntilCrash = nil
                    kernel.host.crash()
                }
                return Outcome(Errno.ioError.negated)
            }
            callsUntilCrash = left - 1
        }
        if counts(call) { calls += 1 }
        do {
            return Outcome(try result(of: call, kernel))
        } catch {
            return Outcome(error.negated)
        }
    }

    private func counts(_ call: FileCall) -> Bool {
        switch call {
        case .seek, .lock, .watch: false
        default: true
        }
    }

    private func result(of call: FileCall, _ kernel: HostKernel) throws(Errno) -> Int {
        switch call {
        case .open(let path, let folder, let flags, let mode):
            return try open(path.bytes, base(folder, kernel), flags, mode, kernel)
        case .close(let number):
            let file = kernel[number] as? OpenFile
            let closed = kernel.close(number)
            if closed == 0, let file, file.isWritable, file.node.isRegular { try fault(.close, file.node) }
            return closed
        case .read(let number, let memory, let offset):
            return unsafe try file(number, kernel).read(into: memory, at: offset)
        case .write(let number, let bytes, let offset):
            return unsafe try file(number, kernel).write(bytes, at: offset)
        case .sync(let number, _): return try sync(file(number, kernel))
        case .status(let path, let folder, let follows, let status):
            let node =
                path.isEmpty
                ? try file(folder, kernel).node
                : try find(path.bytes, from: base(folder, kernel), follows: follows).existing
            unsafe status.pointee = node.status
            return 0
        case .truncate(let number, let size): return try file(number, kernel).truncate(to: size)
        case .allocate(let number, let offset, let count, let keepsSize):
            return try file(number, kernel).allocate(at: offset, count: count, keepsSize: keepsSize)
        case .lock(let number, let change): return try file(number, kernel).lock(change)
        case .seek(let number, let offset, let whence): return try file(number, kernel).seek(to: offset, whence)
        case .setPermissions(let number, let mode):
            return try setPermissions(file(number, kernel).node, mode)
        case .list(let number, let memory): return unsafe try file(number, kernel).list(into: memory)
        case .makeFolder(let path, let folder, let mode):
            return try makeFolder(path.bytes, base(folder, kernel), mode)
        case .remove(let path, let folder, let isFolder):
            return try remove(path.bytes, base(folder, kernel), isFolder: isFolder)
        case .rename(let path, let folder, let newPath, let newFolder, let replaces):
            return try rename(
                path.bytes, base(folder, kernel), to: newPath.bytes, base(newFolder, kernel), replaces: replaces)
        case .link(let path, let folder, let newPath, let newFolder):
            return try link(path.bytes, base(folder, kernel), at: newPath.bytes, base(newFolder, kernel))
        case .symbolicLink(let target, let path, let folder):
            return try symbolicLink(to: target.bytes, at: path.bytes, base(folder, kernel))
        case .readLink(let path, let folder, let memory):
            return unsafe try readLink(path.bytes, base(folder, kernel), into: memory)
        case .copyRange(let source, let from, let sink, let offset, let count):
            return try file(source, kernel).copy(from: from, count: count, to: file(sink, kernel), at: offset)
        case .clone: throw .notSupported
        case .watch(let inotify, let path, let mask): return try watch(path.bytes, mask, kernel[inotify])
        }
    }

    private func file(_ number: CInt, _ kernel: HostKernel) throws(Errno) -> OpenFile {
        guard let description = kernel[number] else { throw .badFileDescriptor }
        guard let file = description as? OpenFile else { throw .invalidArgument }
        return file
    }

    /// What relative paths are relative to.
    private func base(_ number: CInt, _ kernel: HostKernel) throws(Errno) -> DiskNode {
        if number == SystemCall.currentFolder { return root }
        return try file(number, kernel).node
    }

    /// Writes a file, or a folder's names, to the disk.
    func sync(_ file: OpenFile) throws(Errno) -> Int {
        let node = file.node
        guard node.isFolder || node.isRegular else { throw .invalidArgument }
        do {
            try fault(.sync, node)
        } catch {
            node.failedSyncs += 1
            node.content.failSync()
            file.toldSyncs = node.failedSyncs
            throw error
        }
        node.content.sync()
        node.modeOnDisk = node.mode
        writeNames(of: node)
        if file.toldSyncs != node.failedSyncs {
            file.toldSyncs = node.failedSyncs
            throw .ioError
        }
        return 0
    }
}
