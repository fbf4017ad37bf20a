import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// An open file or folder of a simulated disk.
final class OpenFile: OpenDescription {
    let node: DiskNode
    let disk: SimulatedDisk
    private let flags: CInt
    private var position: Int64 = 0
    private var lock = FileLockChange.free
    /// How many failed syncs it knows of.
    var toldSyncs: Int

    /// No file is longer, as on ext4.
    private static let maximumSize: Int64 = 1 << 44

    init(_ node: DiskNode, _ flags: CInt, on disk: SimulatedDisk, _ kernel: HostKernel) {
        self.node = node
        self.disk = disk
        self.flags = flags
        toldSyncs = node.failedSyncs
        node.opens += 1
        super.init(kernel)
    }

    private var isReadable: Bool { flags & O_ACCMODE != O_WRONLY }
    var isWritable: Bool { flags & O_ACCMODE != O_RDONLY }
    private var appends: Bool { flags & O_APPEND != 0 }

    override var label: String { node.isFolder ? "folder \(node.number)" : "file \(node.number)" }
    override var readiness: UInt32 { Interest.input | Interest.output }
    override var waitingBytes: Int { Int(clamping: max(node.content.size - position, 0)) }

    override func hasClosed() {
        change(lock: .free)
        if isWritable { disk.tell(node, IN_CLOSE_WRITE) }
        node.opens -= 1
        disk.freeIfUnused(node)
    }

    // MARK: Bytes

    override func read(into memory: UnsafeMutableRawBufferPointer) -> Int {
        result { () throws(Errno) in unsafe try read(into: memory, at: nil) }
    }

    override func write(_ bytes: UnsafeRawBufferPointer) -> Int {
        result { () throws(Errno) in unsafe try write(bytes, at: nil) }
    }

    /// writev(2).
    override func send(message: UnsafeMutablePointer<msghdr>) -> Int {
        var sum = 0
        for index in 0..<Int(unsafe message.pointee.msg_iovlen) {
            // The vectors and their memory are the caller's, and live until this returns.
            let vector = unsafe message.pointee.msg_iov[index]
            let bytes = unsafe UnsafeRawBufferPointer(start: vector.iov_base, count: vector.iov_len)
            let written = unsafe write(bytes)
            if written < 0 { return sum > 0 ? sum : written }
            sum += written
            if written < bytes.count { break }
        }
        return sum
    }

    private func result(_ body: () throws(Errno) -> Int) -> Int {
        do { return try body() } catch { return error.negated }
    }

    func read(into memory: UnsafeMutableRawBufferPointer, at offset: Int64?) throws(Errno) -> Int {
        guard isReadable else { throw .badFileDescriptor }
        if node.isFolder { throw .isDirectory }
        guard node.isRegular else { return 0 }
        try disk.fault(.read, node)
        let start = offset ?? position
        guard start >= 0 else { throw .invalidArgument }
        var count = min(memory.count, max(0, Int(clamping: node.content.size - start)))
        count = disk.drawn(count)
        let read = unsafe node.content.read(at: start, into: .init(rebasing: memory[..<count]))
        if offset == nil { position += Int64(read) }
        node.accessed = disk.world.now
        return read
    }

    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64?) throws(Errno) -> Int {
        guard isWritable else { throw .badFileDescriptor }
        guard node.isRegular else { return bytes.count }
        try disk.fault(.write, node)
        let start = appends ? node.content.size : offset ?? position
        guard start >= 0 else { throw .invalidArgument }
        guard unsafe !bytes.isEmpty else { return 0 }
        guard start < Self.maximumSize else { throw .fileTooLarge }
        let count = disk.drawn(Int(min(Int64(bytes.count), Self.maximumSize - start)))
        var written = 0
        disk.change(node) { content in
            let free = max(disk.capacity - disk.used, 0) / DiskContent.pageSize
            written = unsafe content.write(.init(rebasing: bytes[..<count]), at: start, newPages: free)
        }
        guard written > 0 else { throw .noSpace }
        if offset == nil { position = start + Int64(written) }
        disk.touch(node, isModified: true)
        disk.tell(node, IN_MODIFY)
        return written
    }

    func truncate(to size: Int64) throws(Errno) -> Int {
        guard isWritable, node.isRegular, size >= 0 else { throw .invalidArgument }
        guard size <= Self.maximumSize else { throw .fileTooLarge }
        disk.change(node) { $0.truncate(to: size) }
        disk.touch(node, isModified: true)
        disk.tell(node, IN_MODIFY)
        return 0
    }

    func allocate(at offset: Int64, count: Int64, keepsSize: Bool) throws(Errno) -> Int {
        guard isWritable else { throw .badFileDescriptor }
        guard node.isRegular else { throw .operationNotSupportedByDevice }
        guard offset >= 0, count > 0 else { throw .invalidArgument }
        let (end, overflow) = offset.addingReportingOverflow(count)
        guard !overflow, end <= Self.maximumSize else { throw .fileTooLarge }
        guard count <= disk.capacity else { throw .noSpace }
        try disk.fault(.write, node)
        let missing = node.content.missingPages(at: offset, count: count)
        guard Int64(missing.count) * DiskContent.pageSize <= disk.capacity - disk.used else { throw .noSpace }
        disk.change(node) { $0.allocate(missing, size: keepsSize ? 0 : end) }
        disk.touch(node, isModified: true)
        return 0
    }

    func copy(from: Int64, count: Int, to sink: OpenFile, at offset: Int64) throws(Errno) -> Int {
        guard isReadable, sink.isWritable, !sink.appends else { throw .badFileDescriptor }
        if node.isFolder || sink.node.isFolder { throw .isDirectory }
        guard node.isRegular, sink.node.isRegular, from >= 0, offset >= 0 else { throw .invalidArgument }
        let length = Int(clamping: min(Int64(count), max(node.content.size - from, 0)))
        if node === sink.node, from < offset + Int64(length), offset < from + Int64(length) { throw .invalidArgument }
        var done = 0
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { unsafe piece.deallocate() }
        while done < length {
            do {
                let part = unsafe UnsafeMutableRawBufferPointer(rebasing: piece.prefix(length - done))
                let read = unsafe try read(into: part, at: from + Int64(done))
                if read == 0 { break }
                let bytes = unsafe UnsafeRawBufferPointer(rebasing: part[..<read])
                done += unsafe try sink.write(bytes, at: offset + Int64(done))
            } catch {
                if done > 0 { break }
                throw error
            }
        }
        return done
    }

    // MARK: Place

    func seek(to offset: Int64, _ whence: CInt) throws(Errno) -> Int {
        var place = offset
        switch whence {
        case SEEK_SET: break
        case SEEK_CUR: place = try Self.sum(position, offset)
        case SEEK_END: place = try Self.sum(node.content.size, offset)
        case CInt(CASYNCIO_SEEK_DATA), CInt(CASYNCIO_SEEK_HOLE):
            guard let next = node.content.next(whence == CInt(CASYNCIO_SEEK_DATA), from: offset) else {
                throw .noSuchAddressOrDevice
            }
            place = next
        default: throw .invalidArgument
        }
        guard place >= 0 else { throw .invalidArgument }
        position = place
        return Int(place)
    }

    private static func sum(_ base: Int64, _ offset: Int64) throws(Errno) -> Int64 {
        let (sum, overflow) = base.addingReportingOverflow(offset)
        if overflow { throw .overflow }
        return sum
    }

    /// getdents64(2): inode (8 bytes), offset (8), length (2), type (1), name, zero; at multiples of 8.
    func list(into memory: UnsafeMutableRawBufferPointer) throws(Errno) -> Int {
        guard node.isFolder else { throw .notDirectory }
        guard node.links > 0 else { throw .noSuchFileOrDirectory }
        try disk.fault(.read, node)
        var filled = 0
        var entries: [DiskNames.Entry] = []
        let own = DiskNames.Entry(number: 1, name: Array(".".utf8), node: node)
        let above = DiskNames.Entry(number: 2, name: Array("..".utf8), node: node.parent ?? node)
        entries += [own, above].filter { $0.number > position }
        entries += node.names.after(max(position, 2))
        for entry in entries {
            guard let found = entry.node else { continue }
            let length = (19 + entry.name.count + 1 + 7) / 8 * 8
            guard filled + length <= memory.count else {
                if filled == 0 { throw .invalidArgument }
                break
            }
            let record = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[filled..<(filled + length)])
            unsafe record.initializeMemory(as: UInt8.self, repeating: 0)
            unsafe record.storeBytes(of: found.number, as: UInt64.self)
            unsafe record.storeBytes(of: entry.number, toByteOffset: 8, as: Int64.self)
            unsafe record.storeBytes(of: UInt16(length), toByteOffset: 16, as: UInt16.self)
            unsafe record[18] = UInt8(truncatingIfNeeded: found.type >> 12)
            unsafe UnsafeMutableRawBufferPointer(rebasing: record[19...]).copyBytes(from: entry.name)
            filled += length
            position = entry.number
        }
        return filled
    }

    // MARK: Locks

    /// F_OFD_SETLK of fcntl(2), for the whole file.
    func lock(_ wanted: FileLockChange) throws(Errno) -> Int {
        switch wanted {
        case .free: break
        case .shared:
            guard isReadable else { throw .badFileDescriptor }
            if let holder = node.exclusiveLock, holder !== self { throw .wouldBlock }
        case .exclusive:
            guard isWritable else { throw .badFileDescriptor }
            if let holder = node.exclusiveLock, holder !== self { throw .wouldBlock }
            if node.sharedLocks > (lock == .shared ? 1 : 0) { throw .wouldBlock }
        }
        change(lock: wanted)
        return 0
    }

    private func change(lock new: FileLockChange) {
        if lock == .shared { node.sharedLocks -= 1 }
        if lock == .exclusive { node.exclusiveLock = nil }
        if new == .shared { node.sharedLocks += 1 }
        if new == .exclusive { node.exclusiveLock = self }
        lock = new
    }
}
