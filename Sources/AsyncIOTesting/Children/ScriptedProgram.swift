public import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import SystemPackage

/// What a simulated host runs as a child process: see ``SimulatedHost/install(_:_:)``.
final class ScriptedProgram: Sendable {
    let body: @Sendable (SimulatedChild) async throws -> Int32

    init(_ body: @escaping @Sendable (SimulatedChild) async throws -> Int32) { self.body = body }
}

extension SimulatedHost {
    /// Puts a program on the host's disk, which runs a body whenever it is started as a child process.
    ///
    /// ```swift
    /// try host.install("/bin/upper") { child in
    ///     while let bytes = try await child.input.read(upTo: 4096) {
    ///         try await child.output.write(String(decoding: bytes, as: UTF8.self).uppercased())
    ///     }
    ///     return 0
    /// }
    /// ```
    ///
    /// The body runs as a task on the host's loop, and returns the exit code; an error that it throws is written to its
    /// error output, and is exit code 1. It is cancelled when a signal ends the process. The file is executable by
    /// everybody and stays over crashes; it can be renamed and removed as any other. Throws ``IOError`` if the path
    /// leads through something that is no folder.
    public func install(
        _ path: some PathConvertible, _ body: @escaping @Sendable (SimulatedChild) async throws -> Int32
    ) throws {
        try disk.write(path, Array("a scripted program\n".utf8), permissions: 0o755)
        guard let node = try? disk.find(path.pathBytes, from: disk.root).node else { return }
        node.program = ScriptedProgram(body)
    }

    /// Sends the host's program a signal: whoever listens to it on this host hears of it, as by ``Signals``.
    ///
    /// Does not suspend. Returns whether somebody listens: where nobody does, nothing happens, and the default action
    /// is the test's to play, by ``crash()`` or ``shutdown(grace:)``.
    @discardableResult
    public func raise(_ signal: Signal) -> Bool {
        world.record(self, "signal", Int(signal.rawValue))
        return life?.kernel.signals.raise(signal) ?? false
    }
}

/// A child process of a simulated host, as the program that it runs sees itself.
public final class SimulatedChild: @unchecked Sendable {
    /// Its process id.
    public let id: Int32
    /// What it was started as.
    public let name: String
    /// Its arguments, without its name.
    public let arguments: [String]
    /// Its environment.
    public let environment: [String: String]
    /// The folder in which it was started.
    public let folder: String
    /// Its standard input.
    public let input: any ByteStream
    /// Its standard output.
    public let output: any ByteStream
    /// Its standard error.
    public let errorOutput: any ByteStream
    private let process: SimulatedProcess

    init(_ process: SimulatedProcess, _ streams: [PipeStream]) {
        self.process = process
        id = process.id
        name = process.name
        arguments = process.arguments
        environment = process.environment
        folder = process.folder
        input = streams[0]
        output = streams[1]
        errorOutput = streams[2]
    }

    /// Lets signals pass without an effect. SIGKILL ends the process all the same.
    public func ignore(_ signals: Signal...) { for signal in signals { handle(signal) {} } }

    /// Calls a body for a signal, in place of its default action. SIGKILL ends the process all the same.
    public func handle(_ signal: Signal, _ body: @escaping @Sendable () -> Void) {
        process.handlers[signal.rawValue] = body
    }

    /// Sends the process a signal of its own, as raise(3): one whose default action is to end it does.
    public func raise(_ signal: Signal) { _ = process.receive(signal.rawValue) }
}
