import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// A file as a stream, for what is made of streams: it reads from the file's position on.
///
/// Not public: a file has no peer, and its end may move. Closing it leaves the file open.
final class FileStream: ByteStream {
    private let place: FilePlace

    init(_ place: FilePlace) { self.place = place }

    func read(upTo limit: Int) async throws -> [UInt8]? { try await place.file().read(upTo: limit) }

    func read(into span: inout OutputRawSpan) async throws -> Int { try await place.file().read(into: &span) }

    func write(_ bytes: RawSpan) async throws { try await place.file().write(bytes) }

    func tryWrite(_ bytes: RawSpan) throws -> Int { 0 }
    func closeWriting() async throws {}
    func close() {}
    func abort() {}
}

/// A file that is open, or that is opened when it is needed first, by one task.
enum FilePlace: Sendable {
    case open(File)
    case path(OpenedOnce)

    func file() async throws -> File {
        switch self {
        case .open(let file): file
        case .path(let place): try await place.file()
        }
    }

    /// A file at a path, opened for reading by the first who asks.
    final class OpenedOnce: Sendable {
        private let open: @Sendable () async throws -> File
        private let opened = AsyncOnce<File>(name: "open")

        init(_ path: some PathConvertible, _ loop: EventLoop?) {
            open = { try await File.open(path, .reading, on: loop) }
        }

        func file() async throws -> File { try await opened.get { try await open() } }
    }
}
