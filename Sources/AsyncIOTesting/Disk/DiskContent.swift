import AsyncIOKernel

/// The bytes of a simulated file, and what of them is on the disk.
///
/// Only pages that somebody has written take memory. A page that was changed since it was written back remembers what
/// the disk has in its place.
struct DiskContent {
    static let pageSize: Int64 = 4096
    /// What a disk writes whole, or not at all.
    static let sectorSize = 512
    private static let blank = [UInt8](repeating: 0, count: Int(pageSize))

    /// What the disk has; nil for a hole.
    private struct OnDisk { let bytes: [UInt8]? }

    private(set) var size: Int64 = 0
    private var pages: [Int64: [UInt8]] = [:]
    /// Changed since the last sync.
    private var dirty: [Int64: OnDisk] = [:]
    /// Not on the disk, and taken for written by the kernel: a sync has failed on them.
    private var forgotten: [Int64: OnDisk] = [:]
    private var sizeOnDisk: Int64 = 0
    /// The least that the size was since it was on the disk.
    private var leastSize: Int64 = 0

    /// How many bytes it takes on the disk.
    var allocated: Int64 { Int64(pages.count) * Self.pageSize }

    /// Whether a sync has something to do.
    var isDirty: Bool { !dirty.isEmpty || size != sizeOnDisk }

    // MARK: Bytes

    /// Copies bytes into memory, as far as the file goes.
    func read(at offset: Int64, into memory: UnsafeMutableRawBufferPointer) -> Int {
        guard offset < size else { return 0 }
        let count = Int(min(Int64(memory.count), size - offset))
        var done = 0
        while done < count {
            let (page, start) = Self.place(offset + Int64(done))
            let length = min(count - done, Int(Self.pageSize) - start)
            let target = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[done..<(done + length)])
            if let bytes = pages[page] {
                unsafe bytes.withUnsafeBytes {
                    unsafe target.copyMemory(from: .init(rebasing: $0[start..<(start + length)]))
                }
            } else {
                unsafe target.initializeMemory(as: UInt8.self, repeating: 0)
            }
            done += length
        }
        return count
    }

    /// Writes bytes, as far as there are pages for them: those that the file has, and so many new ones.
    mutating func write(_ bytes: UnsafeRawBufferPointer, at offset: Int64, newPages: Int64) -> Int {
        var left = newPages
        var done = 0
        while done < bytes.count {
            let (page, start) = Self.place(offset + Int64(done))
            let length = min(bytes.count - done, Int(Self.pageSize) - start)
            if pages[page] == nil {
                guard left > 0 else { break }
                left -= 1
            }
            willChange(page)
            unsafe pages[page, default: Self.blank].withUnsafeMutableBytes { target in
                let part = unsafe UnsafeMutableRawBufferPointer(rebasing: target[start..<(start + length)])
                unsafe part.copyMemory(from: .init(rebasing: bytes[done..<(done + length)]))
            }
            done += length
        }
        if done > 0 { size = max(size, offset + Int64(done)) }
        return done
    }

    mutating func truncate(to newSize: Int64) {
        if newSize < size {
            let (last, start) = Self.place(newSize)
            let keeps = start == 0 ? last : last + 1
            for page in pages.keys.filter({ $0 >= keeps }) {
                willChange(page)
                pages[page] = nil
            }
            if start > 0, pages[last] != nil {
                willChange(last)
                pages[last]?.replaceSubrange(start..., with: repeatElement(0, count: Int(Self.pageSize) - start))
            }
        }
        size = newSize
        leastSize = min(leastSize, newSize)
    }

    /// The pages of a part that the file does not have yet.
    func missingPages(at offset: Int64, count: Int64) -> [Int64] {
        let (first, last) = (offset / Self.pageSize, (offset + count - 1) / Self.pageSize)
        return (first...last).filter { pages[$0] == nil }
    }

    mutating func allocate(_ missing: [Int64], size newSize: Int64) {
        for page in missing {
            willChange(page)
            pages[page] = Self.blank
        }
        size = max(size, newSize)
    }

    /// Where the next page that is there begins, or the next one that is not; nil behind the end.
    func next(_ isData: Bool, from offset: Int64) -> Int64? {
        guard offset >= 0, offset < size else { return nil }
        var page = offset / Self.pageSize
        if isData {
            guard let next = pages.keys.lazy.filter({ $0 >= page }).min() else { return nil }
            let start = max(next * Self.pageSize, offset)
            return start < size ? start : nil
        }
        while pages[page] != nil { page += 1 }
        return min(max(page * Self.pageSize, offset), size)
    }

    /// Changes a bit, on the disk as well.
    mutating func flip(bit: UInt8, of offset: Int64) {
        let (page, start) = Self.place(offset)
        pages[page]?[start] ^= bit
    }

    private static func place(_ offset: Int64) -> (page: Int64, start: Int) {
        (offset / pageSize, Int(offset % pageSize))
    }

    private mutating func willChange(_ page: Int64) {
        guard dirty[page] == nil else { return }
        dirty[page] = forgotten.removeValue(forKey: page) ?? OnDisk(bytes: pages[page])
    }

    // MARK: The disk

    /// Everything is on the disk, but for what an earlier sync has failed on.
    mutating func sync() {
        dirty.removeAll()
        sizeOnDisk = size
        leastSize = size
    }

    /// Nothing was written, and the kernel takes it for clean all the same, as Linux does.
    mutating func failSync() {
        forgotten.merge(dirty) { $1 }
        dirty.removeAll()
    }

    /// The power fails. What was not synced is kept as the choices say: 0 of a question is to keep.
    mutating func crash(_ choose: (StaticString, Int) -> Int) {
        defer { sync() }
        let changed = dirty.merging(forgotten) { $1 }.sorted { $0.key < $1.key }
        dirty.removeAll()
        forgotten.removeAll()
        let (new, newSize) = (pages, size)
        size = sizeAfterCrash(changed.map(\.key), choose)
        for (page, old) in changed where page * Self.pageSize < size {
            // What was cut off, and is not, is still there.
            guard let bytes = new[page] else {
                pages[page] = old.bytes
                continue
            }
            switch choose("page at crash", 3) {
            case 0: break
            case 1: pages[page] = old.bytes
            default: pages[page] = Self.torn(bytes, old.bytes, choose)
            }
        }
        let end = size
        for page in pages.keys where page * Self.pageSize >= end { pages[page] = nil }
        // Behind the end there is nothing, whatever the page had.
        let (last, start) = Self.place(end)
        if start > 0, end != newSize, pages[last] != nil {
            pages[last]?.replaceSubrange(start..., with: repeatElement(0, count: Int(Self.pageSize) - start))
        }
    }

    /// The new size, that on the disk, one between, or what it was cut to on the way.
    private func sizeAfterCrash(_ changed: [Int64], _ choose: (StaticString, Int) -> Int) -> Int64 {
        guard size != sizeOnDisk || leastSize != size else { return size }
        var sizes = [size]
        let between = changed.lazy.map { $0 * Self.pageSize }.filter { [size, sizeOnDisk] in
            $0 > sizeOnDisk && $0 < size
        }
        sizes += between.reversed().prefix(64)
        if sizeOnDisk != size { sizes.append(sizeOnDisk) }
        if leastSize != size, leastSize != sizeOnDisk { sizes.append(leastSize) }
        return sizes[choose("size at crash", sizes.count)]
    }

    /// The new sectors up to a place, and the old ones behind it.
    private static func torn(_ new: [UInt8], _ old: [UInt8]?, _ choose: (StaticString, Int) -> Int) -> [UInt8] {
        let sectors = Int(pageSize) / sectorSize
        let kept = (sectors - choose("torn page", sectors)) * sectorSize
        return Array(new[..<kept] + (old ?? blank)[kept...])
    }

    /// The power fails, and nothing survives that was not synced.
    mutating func loseUnsynced() {
        for (page, old) in dirty.merging(forgotten, uniquingKeysWith: { $1 }) { pages[page] = old.bytes }
        size = sizeOnDisk
        dirty.removeAll()
        forgotten.removeAll()
        sync()
    }
}
