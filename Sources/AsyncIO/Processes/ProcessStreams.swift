/// What a child has as its standard input.
public struct ProcessInput: Sendable {
    enum Source: Sendable {
        case null, inherit, pipe
        case bytes([UInt8])
        case file(String)
        case descriptor(Int32)
        case stream(PipeStream)
        case held(HeldDescriptor)
    }

    let source: Source

    /// Nothing: the end of the input comes at once.
    public static let null = ProcessInput(source: .null)
    /// That of this process.
    public static let inherit = ProcessInput(source: .inherit)
    /// A pipe, whose other end is ``Process/input``.
    public static let pipe = ProcessInput(source: .pipe)
    /// A file, read from its start. A FIFO is awaited, before the start, until somebody writes to it or has closed it;
    /// that can be cancelled, and keeps no thread.
    public static func file(_ path: String) -> ProcessInput { ProcessInput(source: .file(path)) }
    /// Bytes, through a pipe. A child that does not take them all is no error.
    public static func bytes(_ bytes: [UInt8]) -> ProcessInput { ProcessInput(source: .bytes(bytes)) }
    /// A text as UTF-8, through a pipe. A child that does not take it all is no error.
    public static func text(_ text: String) -> ProcessInput { ProcessInput(source: .bytes(Array(text.utf8))) }
    /// An open descriptor of this process, which has to stay open until the child was spawned. It stays as it is.
    public static func descriptor(_ number: Int32) -> ProcessInput { ProcessInput(source: .descriptor(number)) }
    /// What another process writes: its ``Process/output``, which is handed over and closed here. No task may be
    /// reading from it. The two are connected directly, so a slow reader slows the writer.
    public static func stream(_ stream: PipeStream) -> ProcessInput { ProcessInput(source: .stream(stream)) }
}

/// What a child has as its standard output or standard error.
public struct ProcessOutput: Sendable {
    enum Sink: Sendable {
        case null, inherit, pipe, merge
        case file(String, FileWriting)
        case descriptor(Int32)
        case stream(PipeStream)
        /// Ours to close once the child has it.
        case held(HeldDescriptor)
        /// Of a pipeline: others need it after this child.
        case shared(HeldDescriptor)
        /// The last of a pipeline has the writing end of everybody's pipe, and brings us the reading end.
        case joined(reader: HeldDescriptor, writer: HeldDescriptor)
    }

    /// What becomes of a file that exists.
    public enum FileWriting: Sendable, Hashable {
        /// It is emptied first.
        case replace
        /// What is written comes after what is there, also if several processes write.
        case append
    }

    let sink: Sink

    /// Nowhere.
    public static let null = ProcessOutput(sink: .null)
    /// That of this process.
    public static let inherit = ProcessOutput(sink: .inherit)
    /// A pipe to us: ``Process/output`` and ``Process/errorOutput``, or the result of a run.
    public static let pipe = ProcessOutput(sink: .pipe)
    /// Standard error alone: wherever standard output goes, in the order of the writing.
    public static let merge = ProcessOutput(sink: .merge)
    /// A file, made if there is none. A FIFO is awaited, before the start, until somebody reads it; that can be
    /// cancelled, and keeps no thread.
    public static func file(_ path: String, _ writing: FileWriting = .replace) -> ProcessOutput {
        ProcessOutput(sink: .file(path, writing))
    }
    /// An open descriptor of this process, which has to stay open until the child was spawned. It stays as it is.
    public static func descriptor(_ number: Int32) -> ProcessOutput { ProcessOutput(sink: .descriptor(number)) }
    /// The input of another process: its ``Process/input``, which is handed over and closed here. No task may be
    /// writing to it.
    public static func stream(_ stream: PipeStream) -> ProcessOutput { ProcessOutput(sink: .stream(stream)) }
}
