import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Glibc
import SystemPackage
import Testing

@Suite("Lines and pieces of files")
struct FileSequenceTests {
    @Test("lines come without their ends, the last one also without an end", arguments: Setting.all)
    func lines(setting: Setting) async throws {
        let scratch = try Scratch()
        let wanted = (0..<20_000).map { "line \($0) häßlich" }
        try scratch.file("a", Array((wanted.joined(separator: "\n") + "\r\nlast").utf8))
        try await withLoop(setting) { loop in
            var found: [String] = []
            for try await line in File.lines(of: scratch["a"], on: loop) { found.append(line) }
            #expect(found == wanted + ["last"])
            #expect(scratch.openDescriptors == 0)
        }
    }

    @Test("a line that is too long is an error, after which it is all there", arguments: Setting.all)
    func longLine(setting: Setting) async throws {
        let scratch = try Scratch()
        let long = String(repeating: "x", count: 100_000)
        try scratch.file("a", Array("short\n\(long)\nend\n".utf8))
        try await withLoop(setting) { loop in
            let lines = File.lines(of: scratch["a"], limit: 1_000, on: loop).makeAsyncIterator()
            let first = try await lines.next()
            #expect(first == "short")
            await #expect(throws: (any Error).self) { _ = try await lines.next() }
            #expect(try await lines.next(limit: 200_000) == long)
            #expect(try await lines.next() == "end")
            #expect(try await lines.next() == nil)
        }
    }

    @Test("pieces are whole but the last, cached or not, read ahead or not", arguments: Setting.all)
    func chunks(setting: Setting) async throws {
        let scratch = try Scratch()
        let bytes = Bytes.pattern(1_000_001)
        try scratch.file("a", bytes)
        try await withLoop(setting) { loop in
            let file = try await File.open(scratch["a"], .readingAndWriting(.existing), on: loop)
            for readAhead in [0, 1, 3] {
                try await file.sync()
                let dropped = try await file.withDescriptor { posix_fadvise($0, 0, 0, 4) }
                #expect(dropped == 0)
                var found: [UInt8] = []
                for try await piece in file.chunks(size: 300_000, readAhead: readAhead) {
                    #expect(piece.count == min(300_000, bytes.count - found.count))
                    found += piece
                }
                #expect(found == bytes)
            }
            var tail: [UInt8] = []
            for try await piece in file.chunks(from: 999_990, size: 4) { tail += piece }
            #expect(tail == Array(bytes[999_990...]))
            #expect(file.position == 0)
        }
    }

    @Test("a piece that could not be read is read again, and none is skipped or doubled", arguments: Drivers.available)
    func chunksAfterError(driver: DriverChoice) async throws {
        let scratch = try Scratch()
        let bytes = Bytes.pattern(100)
        let path = try scratch.file("a", bytes)
        let source = Descriptor(owning: CInt(try SystemCall.call("open", path) { unsafe open(path, O_RDONLY) }))
        let number = source.number
        let failures = Counter()
        try await withFaults(driver) { call in
            guard case .read(_, let memory, let offset) = call else { return nil }
            if offset == 30, failures.add() == 1 { return Errno.ioError.negated }
            return unsafe SystemCall.read(number, memory, at: offset ?? -1)
        } body: { loop in
            // Nothing of /proc comes out of a cache: the driver is asked for every piece.
            var iterator = File.chunks(of: "/proc/self/status", size: 10, readAhead: 3, on: loop).makeAsyncIterator()
            var (found, errors): ([UInt8], [Errno]) = ([], [])
            while true {
                do {
                    guard let piece = try await iterator.next() else { break }
                    found += piece
                } catch let error as IOError {
                    errors.append(error.code)
                }
            }
            #expect(found == bytes && errors == [.ioError])
        }
        _ = source.number
    }

    @Test("a file can be closed while it is read ahead, by whomever", arguments: Drivers.available)
    func closedMeanwhile(driver: DriverChoice) async throws {
        // The driver reads later, whenever the loop waits: some of these moments are in the midst of it.
        try await withFaults(driver, deferred: Counter()) { _ in
            nil
        } body: { loop in
            for pause in 0..<20 {
                // Nothing of /proc comes out of a cache.
                let file = try await File.open("/proc/self/status", on: loop)
                var iterator = file.chunks(size: 10, readAhead: 3).makeAsyncIterator()
                #expect(try await iterator.next()?.count == 10)
                for _ in 0..<pause { await EventLoop.yield() }
                try await file.close()
                var error: (any Error)?
                do {
                    while try await iterator.next() != nil {}
                } catch let failure {
                    error = failure
                }
                #expect((error as? IOError)?.code == .badFileDescriptor)
            }
        }
    }

    @Test("an iterator that is let go stops reading ahead, and closes its file", arguments: Setting.all)
    func letGo(setting: Setting) async throws {
        let scratch = try Scratch()
        try scratch.file("a", Bytes.pattern(1_000_000))
        try await withLoop(setting) { loop in
            for try await piece in File.chunks(of: scratch["a"], size: 10_000, on: loop) {
                #expect(piece.count == 10_000)
                break
            }
            await until { scratch.openDescriptors == 0 }
        }
    }
}
