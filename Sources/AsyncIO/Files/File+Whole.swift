import AsyncIOKernel
public import AsyncIOLoop
import Glibc
public import SystemPackage

extension File {
    /// Reads a whole file.
    ///
    /// What the page cache holds of a small file is read without suspending. Throws ``IOError`` as
    /// ``open(_:_:permissions:on:)`` and ``read(upTo:)`` do, and `EFBIG` if it is longer than the limit: nothing is
    /// returned then, and no more than the limit was kept.
    public static func readAll(
        _ path: some PathConvertible, limit: Int = 64 << 20, on loop: EventLoop? = nil
    ) async throws -> [UInt8] {
        let loop = try EventLoop.required(loop)
        let bytes = try path.bytes(for: "open")
        try await FileLane.enter()
        let file: File
        switch try FileLane.readCached(bytes, limit: limit) {
        case .whole(let whole): return whole
        // Opening a FIFO or a device does something to whoever is on its other side: it is done once.
        case .open(let descriptor): file = try File(opened: descriptor, bytes, path.filePath, .reading, on: loop)
        case .unknown: file = try await open(path, .reading, on: loop)
        }
        do {
            let whole = try await file.readRest(limit: limit)
            try await file.close()
            return whole
        } catch {
            try? await file.close()
            throw error
        }
    }

    /// Reads from the position to the end, which moves there. Throws ``IOError`` with `EFBIG` if that is more than the
    /// limit; the bytes are lost to the caller then, and the position stands behind them.
    public func readRest(limit: Int = 64 << 20) async throws -> [UInt8] {
        var whole: [UInt8] = []
        if hasPositions, let size = try? await information().size {
            // A hint, which may be wrong or a lie: no more than a megabyte is believed.
            let position = position
            let rest = size > position ? size - position : 0
            whole.reserveCapacity(Int(clamping: min(rest, Int64(clamping: max(limit, 0)), 1 << 20)) + 1)
        }
        while let part = try await read(upTo: Self.maximumRead) {
            guard part.count <= limit - whole.count else { throw FileLane.tooLong("\(path)", limit) }
            whole += part
        }
        return whole
    }

    /// Writes a whole file: makes it, or empties it and writes it anew.
    ///
    /// Whoever reads it meanwhile sees a part, and so does everybody if this fails half-way: see
    /// ``replace(_:with:permissions:on:)``. Throws ``IOError`` as ``open(_:_:permissions:on:)``,
    /// ``write(_:)-(RawSpan)`` and ``close()`` do.
    public static func writeAll(
        _ path: some PathConvertible, _ bytes: [UInt8], permissions: FilePermissions = File.usualPermissions,
        on loop: EventLoop? = nil
    ) async throws {
        try await withFile(path, .writing(.createOrTruncate), permissions: permissions, on: loop) { file in
            try await file.write(bytes)
        }
    }

    /// Writes a whole file of a text as UTF-8. As ``writeAll(_:_:permissions:on:)-([UInt8])``.
    public static func writeAll(
        _ path: some PathConvertible, _ text: String, permissions: FilePermissions = File.usualPermissions,
        on loop: EventLoop? = nil
    ) async throws {
        try await writeAll(path, Array(text.utf8), permissions: permissions, on: loop)
    }
}

extension FileLane {
    static func tooLong(_ path: String, _ limit: Int) -> IOError {
        IOError(
            .fileTooLarge, operation: "read", subject: path,
            detail: "longer than \(limit) bytes; raise the limit, or read it in pieces")
    }

    /// What the kernel finds of a file without asking a disk.
    enum CachedFile: ~Copyable {
        case whole([UInt8])
        case open(Descriptor)
        case unknown
    }

    /// Opens, reads and closes a small file, if the kernel finds all of it in its caches. Does not block.
    static func readCached(_ path: PathBytes, limit: Int) throws -> CachedFile {
        guard let number = openCached(path, O_RDONLY) else { return .unknown }
        let descriptor = Descriptor(owning: number)
        // A size of 0 means nothing in /proc. A file without a name is freed when it is closed, which may take long.
        guard let status = cachedStatus(number), status.kind == .regular, status.linkCount > 0,
            status.size > 0, status.size <= File.inlinePiece
        else { return .open(descriptor) }
        let size = Int(clamping: status.size)
        guard size <= limit else { throw tooLong("\(path)", limit) }
        var result = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: size) { memory, filled in
            result = unsafe SystemCall.readCached(number, UnsafeMutableRawBufferPointer(memory), at: 0)
            filled = max(result, 0)
        }
        // Where a cache has answered, closing what was only read asks nobody.
        return result == size ? .whole(bytes) : .open(descriptor)
    }
}
