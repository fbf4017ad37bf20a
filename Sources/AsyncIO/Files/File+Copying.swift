import AsyncIOKernel
public import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

extension File {
    /// Copies a file's bytes and permissions to another place, and returns how many bytes the copy has.
    ///
    /// The copy appears all at once, under its name, when it is complete. Where the file system can, it shares the
    /// bytes until one of the two is changed (FICLONE); else the kernel copies them (copy_file_range(2)) and leaves
    /// holes as holes; else they are read and written. A symbolic link is followed at the source, and replaced at the
    /// destination. Owner, times and extended attributes are not copied. The copy is not synced.
    ///
    /// Suspends. If it throws, nothing is left of the copy. Throws ``IOError``: `EEXIST` if something has the name
    /// already and must not be replaced, and as opening, reading and writing do; `EINVAL` for what is no file with
    /// bytes, as a folder or a FIFO; `CancellationError`.
    @discardableResult
    public static func copy(
        _ path: some PathConvertible, to newPath: some PathConvertible, existing: Existing = .keep,
        on loop: EventLoop? = nil
    ) async throws -> Int64 {
        let loop = try EventLoop.required(loop)
        return try await withFile(path, on: loop) { source in
            let information = try await source.information()
            guard information.kind == .regular else {
                throw IOError(
                    .invalidArgument, operation: "copy", subject: "\(source.path)",
                    detail: "it is no regular file, but a \(information.kind)")
            }
            // The last word has the renaming; this one only spares the work.
            if existing == .keep, try await exists(at: newPath, on: loop) {
                throw IOError(.fileExists, operation: "copy", subject: "\(newPath.filePath)")
            }
            let new = try await NewFile.make(for: newPath, on: loop)
            do {
                let count = try await FileCopying(source: source, sink: new.file).copy(information.size)
                // Set-user-id bits are nothing that a copy by somebody else should have.
                let permissions = FilePermissions(rawValue: information.permissions.rawValue & 0o777)
                try await new.file.setPermissions(permissions)
                try await new.put(existing, durable: false)
                return count
            } catch {
                await new.discard()
                throw error
            }
        }
    }
}

/// The copying of one file's bytes to another, which is empty.
private struct FileCopying {
    let source: File
    let sink: File

    /// The most that the kernel copies in one call: others get the thread after that, and a cancelled task stops.
    private static let piece = 1 << 26

    func copy(_ size: Int64) async throws -> Int64 {
        // Files of /proc say that they are empty.
        if size == 0 { return try await copyByReading(from: 0) }
        if try await performed(.clone(source.number, to: sink.number)) != nil {
            return try await sink.information().size
        }
        var position: Int64 = 0
        while true {
            // Taken before it is asked for data: what is appended after that is no hole.
            let size = try await source.information().size
            guard let data = try await nextData(from: position) else {
                return try await end(at: min(size, try await source.information().size))
            }
            var from = data.lowerBound
            while from < data.upperBound {
                let count = Int(clamping: min(data.upperBound - from, Int64(Self.piece)))
                let call = FileCall.copyRange(source.number, from: from, to: sink.number, at: from, count: count)
                guard let copied = try await performed(call) else { return try await copyByReading(from: from) }
                if copied == 0 {
                    // Cut meanwhile, or a file system that has nothing for the kernel to copy.
                    return try await copyByReading(from: from)
                }
                from += Int64(copied)
            }
            position = data.upperBound
        }
    }

    /// The next part of the source that is no hole; nil if there is none behind the position.
    private func nextData(from position: Int64) async throws -> Range<Int64>? {
        let start = try await found(.seek(source.number, position, whence: CInt(CASYNCIO_SEEK_DATA)))
        guard let start, start >= position else { return nil }
        let end = try await found(.seek(source.number, start, whence: CInt(CASYNCIO_SEEK_HOLE)))
        guard let end, end > start else { return nil }
        return start..<end
    }

    /// Where a seek has come to; nil if there is nothing there (ENXIO of lseek(2)).
    private func found(_ call: FileCall) async throws -> Int64? {
        try source.enter("copy")
        defer { source.leave() }
        let outcome = await FileLane.perform(call, on: source.loop)
        if outcome.result == Errno.noSuchAddressOrDevice.negated { return nil }
        return Int64(try source.check(outcome, "copy"))
    }

    /// The result of a call that not every file system can do; nil if it cannot.
    private func performed(_ call: FileCall) async throws -> Int? {
        try source.enter("copy")
        defer { source.leave() }
        let outcome = await FileLane.perform(call, on: source.loop)
        let cannot: [Errno] = [
            .notSupported, .invalidArgument, .improperLink, .noFunction, .inappropriateIOCTLForDevice, .notPermitted,
            .textFileBusy,
        ]
        if outcome.result < 0, cannot.contains(Errno(negated: outcome.result)) { return nil }
        return try FileLane.check(outcome, "copy", "\(source.path)", on: source.loop)
    }

    /// Reads and writes what is left, whether the size says so or not.
    private func copyByReading(from start: Int64) async throws -> Int64 {
        var position = start
        while let bytes = try await source.read(upTo: File.maximumRead, at: position) {
            try await sink.write(bytes, at: position)
            position += Int64(bytes.count)
        }
        return try await end(at: position)
    }

    /// Behind the last data there may be a hole; and what was cut off meanwhile is no part of the copy.
    private func end(at size: Int64) async throws -> Int64 {
        if try await sink.information().size != size { try await sink.truncate(to: size) }
        return size
    }
}
