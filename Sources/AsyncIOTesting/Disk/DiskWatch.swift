import AsyncIOKernel
import AsyncIOLoop
import Glibc
import SystemPackage

/// What watches files and folders of a simulated disk (inotify(7)).
final class WatchDescription: OpenDescription {
    /// One that is being watched.
    private struct Watch {
        let number: CInt
        let node: DiskNode
        var mask: UInt32
    }

    private var places: [Watch] = []
    private var lastNumber: CInt = 0
    private var records: [[UInt8]] = []
    /// What /proc/sys/fs/inotify/max_queued_events says mostly.
    private static let limit = 16_384

    override var readiness: UInt32 { records.isEmpty ? 0 : Interest.input }
    override var label: String { "a watch of files" }
    override var waitingBytes: Int { records.reduce(0) { $0 + $1.count } }

    override func hasClosed() {
        for watch in places { watch.node.watchers.removeAll { $0 === self } }
        places = []
    }

    /// Whole records, as many as fit.
    override func read(into memory: UnsafeMutableRawBufferPointer) -> Int {
        guard let first = records.first else { return Errno.wouldBlock.negated }
        guard first.count <= memory.count else { return Errno.invalidArgument.negated }
        var filled = 0
        var taken = 0
        for record in records {
            guard filled + record.count <= memory.count else { break }
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[filled..<(filled + record.count)])
            unsafe part.copyBytes(from: record)
            filled += record.count
            taken += 1
        }
        records.removeFirst(taken)
        return filled
    }

    /// Watches a node; once more changes what for.
    func watch(_ node: DiskNode, _ mask: UInt32) -> Int {
        if let index = places.firstIndex(where: { $0.node === node }) {
            places[index].mask = mask
            return Int(places[index].number)
        }
        lastNumber += 1
        places.append(Watch(number: lastNumber, node: node, mask: mask))
        node.watchers.append(self)
        return Int(lastNumber)
    }

    func unwatch(_ number: CInt) {
        guard let watch = places.first(where: { $0.number == number }) else { return }
        end(watch)
    }

    /// Something has happened to a node, or under a name in it.
    func tell(_ node: DiskNode, _ mask: UInt32, _ name: [UInt8], _ cookie: UInt32) {
        guard let watch = places.first(where: { $0.node === node }), watch.mask & mask != 0 else { return }
        append(watch.number, mask, name, cookie)
    }

    /// A node is no more.
    func end(_ node: DiskNode) {
        if let watch = places.first(where: { $0.node === node }) { end(watch) }
    }

    private func end(_ watch: Watch) {
        places.removeAll { $0.number == watch.number }
        watch.node.watchers.removeAll { $0 === self }
        append(watch.number, UInt32(IN_IGNORED), [], 0)
    }

    private func append(_ watch: CInt, _ mask: UInt32, _ name: [UInt8], _ cookie: UInt32) {
        guard records.count <= Self.limit else { return }
        var record = Self.record(watch, mask, name, cookie)
        // The same thing twice is told once.
        if record == records.last { return }
        if records.count == Self.limit { record = Self.record(-1, UInt32(IN_Q_OVERFLOW), [], 0) }
        records.append(record)
        raise(Interest.input)
    }

    /// Watch, mask, cookie and length, of four bytes each, and the name, padded with zeros.
    private static func record(_ watch: CInt, _ mask: UInt32, _ name: [UInt8], _ cookie: UInt32) -> [UInt8] {
        let length = name.isEmpty ? 0 : (name.count + 1 + 15) / 16 * 16
        var record: [UInt8] = []
        for word in [UInt32(bitPattern: watch), mask, cookie, UInt32(length)] {
            for byte in 0..<4 { record.append(UInt8(truncatingIfNeeded: word >> UInt32(8 * byte))) }
        }
        return record + name + [UInt8](repeating: 0, count: length - name.count)
    }
}

extension SimulatedDisk {
    func watch(
        _ path: [UInt8], _ mask: UInt32, _ description: OpenDescription?
    ) throws(Errno) -> Int {
        guard let watcher = description as? WatchDescription else { throw .invalidArgument }
        let node = try find(path, from: root, follows: mask & UInt32(IN_DONT_FOLLOW) == 0).existing
        if mask & UInt32(IN_ONLYDIR) != 0, !node.isFolder { throw .notDirectory }
        guard may(0o4, node) else { throw .permissionDenied }
        return watcher.watch(node, mask)
    }

    /// Tells those who watch a file, and those who watch the folder that it stands in, by its last name.
    func tell(_ node: DiskNode, _ event: CInt) {
        let mask = UInt32(event)
        if let (folder, name) = node.place, folder.names[name] === node {
            tell(folder, event, name, about: node)
        }
        for watcher in node.watchers { watcher.tell(node, mask, [], 0) }
    }

    /// Tells those who watch a folder of a name in it.
    func tell(_ folder: DiskNode, _ event: CInt, _ name: [UInt8], about node: DiskNode, cookie: UInt32 = 0) {
        let mask = UInt32(event) | (node.isFolder ? UInt32(IN_ISDIR) : 0)
        for watcher in folder.watchers { watcher.tell(folder, mask, name, cookie) }
    }

    /// Tells of changed names.
    func tell(_ edits: [NameEdit], replacing old: DiskNode?) {
        if let from = edits.first, let to = edits.dropFirst().first, let node = to.node {
            moves &+= 1
            tell(from.folder, IN_MOVED_FROM, from.name, about: node, cookie: moves)
            tell(to.folder, IN_MOVED_TO, to.name, about: node, cookie: moves)
            for watcher in node.watchers { watcher.tell(node, UInt32(IN_MOVE_SELF), [], 0) }
        } else if let edit = edits.first, let node = edit.node {
            tell(edit.folder, IN_CREATE, edit.name, about: node)
        } else if let edit = edits.first, let old {
            tell(edit.folder, IN_DELETE, edit.name, about: old)
        }
    }

    /// Tells those who watch a node that it is no more.
    func tellEnd(of node: DiskNode) {
        for watcher in node.watchers {
            watcher.tell(node, UInt32(IN_DELETE_SELF), [], 0)
            watcher.end(node)
        }
    }
}

extension HostKernel {
    func openWatch() -> Int { hasCrashed ? Errno.ioError.negated : install(WatchDescription(self)) }
    func unwatch(_ inotify: CInt, _ watch: CInt) { (self[inotify] as? WatchDescription)?.unwatch(watch) }
}
