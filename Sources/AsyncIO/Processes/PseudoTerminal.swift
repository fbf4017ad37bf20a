import AsyncIOKernel
public import AsyncIOLoop
import SystemPackage

/// A pseudo-terminal (pty(7)): what is written here, a process at the other side reads as if it were typed, and what it
/// shows is read here.
///
/// ```swift
/// let terminal = try await PseudoTerminal.open(rows: 24, columns: 80)
/// let shell = try await Process.spawn(Command("bash"), at: terminal)
/// ```
///
/// One task may read while another one writes. The end comes when no process has the other side open any more.
public final class PseudoTerminal: ByteStream, CustomStringConvertible {
    private let core: StreamCore
    /// A copy of the descriptor for what is no input or output, as long as the terminal is open.
    private let control: Locked<HeldDescriptor?>
    /// The path of the other side: `/dev/pts/4`.
    public let path: String

    private init(_ core: StreamCore, _ control: HeldDescriptor, _ path: String) {
        self.core = core
        self.control = Locked(control)
        self.path = path
    }

    deinit { close() }

    /// The loop that does the terminal's work.
    public var loop: EventLoop { core.loop }

    /// `PseudoTerminal(/dev/pts/4)`.
    public var description: String { "PseudoTerminal(\(path))" }

    /// Opens a new one. Suspends for a moment. Throws ``IOError``, with `ENOSPC` if the system has no more.
    public static func open(
        rows: UInt16 = 24, columns: UInt16 = 80, on loop: EventLoop? = nil
    ) async throws -> PseudoTerminal {
        let loop = try EventLoop.required(loop)
        let (master, path) = try SystemCall.openTerminal()
        let descriptor = Descriptor(owning: master)
        try SystemCall.setTerminalSize(descriptor.number, rows: rows, columns: columns)
        let control = HeldDescriptor(Descriptor(owning: try SystemCall.copy(descriptor.number, notBelow: 3)))
        let handle = try await loop.adopt(descriptor, path, .pipe)
        let core = StreamCore(loop: loop, reader: handle, writer: handle, subject: .name(path))
        return PseudoTerminal(core, control, path)
    }

    /// Its size, in characters. Throws ``IOError`` with `EBADF` if it is closed.
    public var size: (rows: UInt16, columns: UInt16) {
        get throws { try withControl("size") { number throws(IOError) in try SystemCall.terminalSize(number) } }
    }

    /// Changes its size; the processes in its foreground get SIGWINCH. Throws ``IOError`` with `EBADF` if it is closed.
    public func resize(rows: UInt16, columns: UInt16) throws {
        try withControl("resize") { number throws(IOError) in
            try SystemCall.setTerminalSize(number, rows: rows, columns: columns)
        }
    }

    /// Keeps the terminal, and with it the meaning of its path, until what is returned is let go. Throws ``IOError``
    /// with `EBADF` if it is closed: the path may be another's.
    func hold() throws(IOError) -> HeldDescriptor {
        try withControl("spawn at") { number throws(IOError) in
            HeldDescriptor(Descriptor(owning: try SystemCall.copy(number, notBelow: 3)))
        }
    }

    private func withControl<Value: Sendable>(
        _ operation: String, _ body: (CInt) throws(IOError) -> Value
    ) throws(IOError) -> Value {
        let result: Result<Value, IOError> = control.withLock { control in
            guard let control else {
                return .failure(
                    IOError(.badFileDescriptor, operation: operation, subject: path, detail: "already closed"))
            }
            return Result { () throws(IOError) in try body(control.number) }
        }
        return try result.get()
    }

    // MARK: Bytes

    /// The most that one ``read(upTo:)`` returns.
    public static let maximumRead = StreamCore.maximumRead

    /// Reads what is shown, at least one byte and at most the limit; nil when no process has the other side open any
    /// more. See ``ByteStream/read(upTo:)``.
    public func read(upTo limit: Int = maximumRead) async throws -> [UInt8]? {
        do { return try await core.read(upTo: limit) } catch let error as IOError where error.code == .ioError {
            // The kernel's way to say that the other side is closed.
            return nil
        }
    }

    /// Reads what is shown into the free part of the span. See ``ByteStream/read(into:)-(OutputRawSpan)``.
    public func read(into span: inout OutputRawSpan) async throws -> Int {
        do { return try await core.read(into: &span) } catch let error as IOError where error.code == .ioError {
            return 0
        }
    }

    /// Types all of the bytes, with backpressure. See ``ByteStream/write(_:)-(RawSpan)``.
    public func write(_ bytes: RawSpan) async throws { try await core.write(bytes) }

    /// Types all of the bytes, with backpressure. See ``ByteStream/write(_:)-(RawSpan)``.
    public func write(_ bytes: [UInt8]) async throws { try await core.write(bytes) }

    /// Types what is taken at once. See ``ByteStream/tryWrite(_:)``.
    public func tryWrite(_ bytes: RawSpan) throws -> Int { try core.tryWrite(bytes) }

    // MARK: Ending

    /// Types Ctrl-D: at the start of a line, a program that reads lines sees the end of its input (termios(3), VEOF).
    /// The terminal stays open.
    public func closeWriting() async throws { try await core.write([4]) }

    /// Closes it: the processes of its session get SIGHUP. Calling it again does nothing.
    public func close() {
        let control = control.withLock { control in
            defer { control = nil }
            return control
        }
        control?.close()
        core.close()
    }

    /// The same as ``close()``.
    public func abort() { close() }
}
