public import AsyncIO
import AsyncIOKernel
import SystemPackage

// For those who set a test up, and look at what came of it: outside of any task, at once, and without faults.
extension SimulatedDisk {
    /// Writes a file, and the folders above it as far as they are missing. All of it is on the disk, as if synced.
    ///
    /// Without permissions, a file that is there keeps its own, and a new one gets `0o644`.
    public func write(_ path: some PathConvertible, _ bytes: [UInt8], permissions: UInt16? = nil) throws {
        try told("write", path) { path throws(Errno) in
            let place = try madePlace(path)
            if let node = place.node, !node.isRegular { throw .isDirectory }
            let node = place.node ?? makeNode(.regular, mode: 0o644)
            if let permissions {
                node.mode = UInt32(permissions) & 0o7777
                node.modeOnDisk = node.mode
            }
            if place.node == nil { found(node, place.name, in: place.folder) }
            change(node) { content in
                content.truncate(to: 0)
                let free = max(capacity - used, 0) / DiskContent.pageSize
                _ = unsafe bytes.withUnsafeBytes { unsafe content.write($0, at: 0, newPages: free) }
            }
            if node.content.size < bytes.count { throw .noSpace }
            node.content.sync()
        }
    }

    /// Makes a folder, and those above it as far as they are missing, on the disk as if synced.
    public func makeFolder(_ path: some PathConvertible) throws {
        try told("make folder", path) { path throws(Errno) in _ = try madePlace(path + Array("/x".utf8)) }
    }

    /// What a file holds, as programs see it.
    public func read(_ path: some PathConvertible) throws -> [UInt8] {
        try told("read", path) { path throws(Errno) in
            let content = try find(path, from: root).existing.content
            return unsafe [UInt8](unsafeUninitializedCapacity: Int(content.size)) { memory, count in
                count = unsafe content.read(at: 0, into: UnsafeMutableRawBufferPointer(memory))
            }
        }
    }

    /// Whether something stands at a path, be it a link that leads nowhere.
    public func exists(_ path: some PathConvertible) -> Bool {
        (try? find(path.pathBytes, from: root, follows: false))?.node != nil
    }

    /// The paths of all files with bytes, in the order of their letters.
    public var files: [String] {
        var paths: [String] = []
        var folders = [("", root)]
        while let (path, folder) = folders.popLast() {
            for (name, node) in folder.names.all {
                let path = "\(path)/\(String(decoding: name, as: UTF8.self))"
                if node.isFolder { folders.append((path, node)) }
                if node.isRegular { paths.append(path) }
            }
        }
        return paths.sorted()
    }

    /// Changes a bit of a file, on the disk and without a word: at the offset, or where the seed says.
    public func corrupt(_ path: some PathConvertible, at offset: Int64? = nil) throws {
        try told("corrupt", path) { path throws(Errno) in
            let node = try find(path, from: root).existing
            guard node.content.size > 0 else { throw .invalidArgument }
            let place = offset ?? Int64(world.random.below(Int(node.content.size)))
            guard place >= 0, place < node.content.size else { throw .invalidArgument }
            node.content.flip(bit: 1 << UInt8(world.random.below(8)), of: place)
        }
    }

    /// The place of a path whose folders are there.
    func madePlace(_ path: [UInt8]) throws(Errno) -> DiskPlace {
        let names = path.split(separator: UInt8(ascii: "/"))
        guard let last = names.last else { throw .isDirectory }
        var folder = root
        for name in names.dropLast() {
            if folder.names[Array(name)] == nil { found(makeNode(.folder, mode: 0o755), Array(name), in: folder) }
            guard let next = folder.names[Array(name)], next.isFolder else { throw .notDirectory }
            folder = next
        }
        return DiskPlace(
            folder: folder, name: Array(last), node: folder.names[Array(last)], ending: .name, isFolder: false)
    }

    private func told<Result>(
        _ operation: String, _ path: some PathConvertible, _ body: ([UInt8]) throws(Errno) -> Result
    ) throws(IOError) -> Result {
        do {
            return try body(path.pathBytes)
        } catch {
            throw IOError(error, operation: operation, subject: String(decoding: path.pathBytes, as: UTF8.self))
        }
    }
}
