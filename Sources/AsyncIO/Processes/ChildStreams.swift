import AsyncIOKernel
import AsyncIOLoop
import Glibc
import SystemPackage

/// The standard streams of a child in the making: its ends, and ours.
///
/// Everything that may fail or wait happens here, before there is a child. A child's ends are blocking, as programs
/// expect it, and ours are not: the two ends of a pipe are two open files. What is inherited stays as it is: it is
/// shared with others.
struct ChildStreams {
    /// What the child's numbers 0, 1 and 2 are copies of.
    private(set) var numbers: [CInt] = []
    private(set) var input: PipeStream?
    /// Our end of a pipe for bytes that are known from the start: nobody else's to write to or to close.
    private(set) var fed: PipeStream?
    private(set) var output: PipeStream?
    private(set) var errorOutput: PipeStream?
    /// The child's ends, as far as they are ours to close once it has them.
    private var held: [HeldDescriptor] = []
    private let loop: EventLoop

    init(
        _ input: ProcessInput, _ output: ProcessOutput, _ error: ProcessOutput, on loop: EventLoop
    ) async throws {
        self.loop = loop
        switch input.source {
        case .null: try take(Descriptor(owning: SystemCall.open("/dev/null", O_RDONLY)))
        case .inherit: numbers.append(STDIN_FILENO)
        case .descriptor(let number): try add(number)
        case .held(let descriptor): take(descriptor)
        case .file(let path): try await take(open(path, O_RDONLY))
        case .stream(let stream): try await take(stream, .reading)
        case .pipe: self.input = try await addInput()
        case .bytes: fed = try await addInput()
        }
        self.output = try await add(output)
        errorOutput = try await add(error)
        // They are closed when their process is let go, which is all right.
        for stream in [self.input, fed, self.output, errorOutput] { stream.map { OpenResources.closed($0.core.key) } }
    }

    /// The child has its ends: ours of them are closed, so that their other sides see the end when the child ends.
    func handedOver() { for descriptor in held { descriptor.close() } }

    private mutating func add(_ number: CInt) throws(IOError) {
        guard number >= 0 else {
            throw IOError(
                .badFileDescriptor, operation: "spawn", subject: "descriptor \(number)",
                detail: "no open descriptor has this number; use .null for none")
        }
        numbers.append(number)
    }

    private mutating func addInput() async throws -> PipeStream {
        let ends = try SystemCall.pipeForChild()
        let writer = Descriptor(owning: ends.writer)
        take(Descriptor(owning: ends.reader))
        return try await PipeStream.writing(writer, on: loop)
    }

    private mutating func add(_ output: ProcessOutput) async throws -> PipeStream? {
        switch output.sink {
        case .null: try take(Descriptor(owning: SystemCall.open("/dev/null", O_WRONLY)))
        case .inherit: numbers.append(CInt(numbers.count))
        case .descriptor(let number): try add(number)
        case .held(let descriptor): take(descriptor)
        case .shared(let descriptor): numbers.append(descriptor.number)
        case .joined(let reader, let writer):
            take(writer)
            return try await PipeStream.reading(reader.take(), on: loop)
        case .file(let path, let writing):
            try await take(open(path, O_WRONLY | O_CREAT | (writing == .append ? O_APPEND : O_TRUNC)))
        case .stream(let stream): try await take(stream, .writing)
        case .merge:
            guard numbers.count == 2 else {
                throw IOError(
                    .invalidArgument, operation: "spawn", subject: "standard output",
                    detail: "only standard error can be merged, into standard output")
            }
            numbers.append(numbers[1])
        case .pipe:
            let ends = try SystemCall.pipeForChild()
            let reader = Descriptor(owning: ends.reader)
            take(Descriptor(owning: ends.writer))
            return try await PipeStream.reading(reader, on: loop)
        }
        return nil
    }

    private mutating func take(_ descriptor: consuming Descriptor) { take(HeldDescriptor(descriptor)) }

    private mutating func take(_ descriptor: HeldDescriptor) {
        held.append(descriptor)
        numbers.append(descriptor.number)
    }

    private mutating func take(_ stream: PipeStream, _ end: PipeStream.End) async throws {
        let descriptor = try await stream.handOver(end)
        stream.close()
        try Descriptor.setBlocking(descriptor.number)
        take(descriptor)
    }

    /// Waits for a FIFO's other side without a thread, so that whoever waits can be cancelled.
    private func open(_ path: String, _ flags: CInt) async throws -> Descriptor {
        let permissions = UInt32(File.usualPermissions.rawValue)
        let descriptor = try await FileLane.open(try path.bytes(for: "open"), flags, permissions, on: loop)
        // A child that reads a FIFO which nobody has opened yet would find it at its end.
        if flags & O_ACCMODE == O_RDONLY, FileLane.cachedStatus(descriptor.number)?.kind == .pipe {
            try await loop.waitReadable(descriptor.number)
        }
        try Descriptor.setBlocking(descriptor.number)
        return descriptor
    }
}
