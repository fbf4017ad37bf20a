import AsyncIOKernel
import CAsyncIO
import Glibc

/// A file, folder or link of a simulated disk, with everything but its names.
final class DiskNode {
    enum Kind { case regular, folder, link([UInt8]), null, socket }

    let number: UInt64
    let kind: Kind
    /// The permission bits.
    var mode: UInt32
    var modeOnDisk: UInt32
    let owner: UInt32
    /// How many names it has, as programs see it.
    var links: UInt32 = 0
    /// How many open files refer to it.
    var opens = 0
    var accessed: Instant
    var modified: Instant
    var changed: Instant
    let created: Instant

    /// A file's bytes.
    var content = DiskContent()
    /// A folder's names, as programs see them.
    var names = DiskNames()
    /// A folder's names, as they are on the disk.
    var namesOnDisk = DiskNames()
    /// The folder that a folder stands in.
    weak var parent: DiskNode?
    /// The name that it was given last.
    var place: (folder: DiskNode, name: [UInt8])? {
        get { lastFolder.map { ($0, lastName) } }
        set { (lastFolder, lastName) = (newValue?.folder, newValue?.name ?? []) }
    }
    private weak var lastFolder: DiskNode?
    private var lastName: [UInt8] = []
    /// Who watches it.
    var watchers: [WatchDescription] = []
    /// How many syncs have failed: each open file is told of it once.
    var failedSyncs = 0
    weak var exclusiveLock: OpenFile?
    var sharedLocks = 0
    /// The socket that has made it.
    weak var socket: LocalSocket?
    /// What runs if it is executed.
    var program: ScriptedProgram?

    init(_ number: UInt64, _ kind: Kind, mode: UInt32, owner: UInt32, at time: Instant) {
        self.number = number
        self.kind = kind
        self.mode = mode
        modeOnDisk = mode
        self.owner = owner
        accessed = time
        modified = time
        changed = time
        created = time
    }

    var isFolder: Bool { if case .folder = kind { true } else { false } }
    var isSocket: Bool { if case .socket = kind { true } else { false } }
    var isRegular: Bool { if case .regular = kind { true } else { false } }
    var target: [UInt8]? { if case .link(let target) = kind { target } else { nil } }

    /// The bits of `st_mode` that say what it is.
    var type: UInt32 {
        switch kind {
        case .regular: UInt32(S_IFREG)
        case .folder: UInt32(S_IFDIR)
        case .link: UInt32(S_IFLNK)
        case .null: UInt32(S_IFCHR)
        case .socket: UInt32(S_IFSOCK)
        }
    }

    /// How many names the kernel tells of: a folder has its own, `.`, and `..` in each folder inside.
    var toldLinks: UInt32 {
        guard isFolder, links > 0 else { return links }
        return 2 + UInt32(names.all.count { $0.node.isFolder })
    }

    var status: casyncio_status {
        var status = casyncio_status()
        // STATX_BASIC_STATS and STATX_BTIME.
        status.mask = 0xfff
        status.block_size = UInt32(DiskContent.pageSize)
        status.links = toldLinks
        status.user = owner
        status.group = owner
        status.mode = UInt16(truncatingIfNeeded: type | mode)
        status.inode = number
        status.size = UInt64(clamping: size)
        status.blocks = UInt64(clamping: content.allocated / 512)
        status.accessed = Self.moment(accessed)
        status.created = Self.moment(created)
        status.changed = Self.moment(changed)
        status.modified = Self.moment(modified)
        status.device_major = 253
        return status
    }

    private var size: Int64 {
        switch kind {
        case .regular: content.size
        case .folder: DiskContent.pageSize
        case .link(let target): Int64(target.count)
        case .null, .socket: 0
        }
    }

    /// A simulated world begins with the year 2000.
    private static func moment(_ time: Instant) -> casyncio_moment {
        var moment = casyncio_moment()
        moment.seconds = 946_684_800 + time.nanoseconds / 1_000_000_000
        moment.nanoseconds = UInt32(time.nanoseconds % 1_000_000_000)
        return moment
    }
}

/// The names of a folder, in the order in which they were made: nothing depends on the order of hashes.
struct DiskNames {
    struct Entry {
        /// Where a listing goes on; never used twice.
        let number: Int64
        let name: [UInt8]
        var node: DiskNode?
    }

    private var numbers: [[UInt8]: Int64] = [:]
    /// By number. A removed one stays as a gap for a while, so that a listing under way finds its place.
    private var entries: [Entry] = []
    /// 1 and 2 are `.` and `..`.
    private var lastNumber: Int64 = 2

    var count: Int { numbers.count }
    var isEmpty: Bool { numbers.isEmpty }

    /// Every name, the oldest first.
    var all: [(name: [UInt8], node: DiskNode)] {
        entries.compactMap { entry in entry.node.map { (entry.name, $0) } }
    }

    /// The names behind a place of a listing.
    func after(_ number: Int64) -> ArraySlice<Entry> { entries[index(of: number + 1)...] }

    subscript(name: [UInt8]) -> DiskNode? {
        get { numbers[name].flatMap { entries[index(of: $0)].node } }
        set {
            if let number = numbers[name] {
                entries[index(of: number)].node = newValue
                guard newValue == nil else { return }
                numbers[name] = nil
                let gaps = entries.count - numbers.count
                if gaps > 64, gaps > numbers.count { entries.removeAll { $0.node == nil } }
            } else if let newValue {
                lastNumber += 1
                numbers[name] = lastNumber
                entries.append(Entry(number: lastNumber, name: name, node: newValue))
            }
        }
    }

    /// The first entry whose number is not less.
    private func index(of number: Int64) -> Int {
        var (low, high) = (0, entries.count)
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].number < number { low = middle + 1 } else { high = middle }
        }
        return low
    }
}
