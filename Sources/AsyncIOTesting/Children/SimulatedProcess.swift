import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import CAsyncIO
import Glibc
import SystemPackage

/// A child process of a simulated host, from its start to its reaping.
final class SimulatedProcess {
    let id: CInt
    /// The number of its process group.
    let group: CInt
    let name: String
    let arguments: [String]
    let environment: [String: String]
    let folder: String
    /// What it does in place of a signal's default action.
    var handlers: [CInt: @Sendable () -> Void] = [:]
    /// How it has ended; nil while it runs.
    private(set) var end: casyncio_process_end?
    /// Somebody has asked how it has ended: nobody else will be told.
    var isReaped = false
    /// The descriptors that name it.
    var descriptors: [ProcessDescription] = []
    private unowned let kernel: HostKernel
    /// The numbers 0, 1 and 2, as long as no stream has them.
    private var numbers: [CInt]
    private var streams: [PipeStream] = []
    private var task: BackgroundTask<Void>?

    init(
        _ id: CInt, group: CInt, _ words: [String], environment: [String: String], folder: String, numbers: [CInt],
        _ kernel: HostKernel
    ) {
        self.id = id
        self.group = group
        name = words.first ?? ""
        arguments = Array(words.dropFirst())
        self.environment = environment
        self.folder = folder
        self.numbers = numbers
        self.kernel = kernel
    }

    var hasEnded: Bool { end != nil }

    /// Runs the program, as a task of the host's loop.
    func start(_ program: ScriptedProgram, on loop: EventLoop) {
        let run = ProcessRun(process: self)
        task = loop.submit(name: "\(loop.name): \(name) (process \(id))") {
            await run.process.perform(program, on: loop)
        }
    }

    private func perform(_ program: ScriptedProgram, on loop: EventLoop) async {
        do {
            for place in numbers.indices {
                let descriptor = Descriptor(owning: numbers[place])
                numbers[place] = -1
                streams.append(
                    place == 0 ? try await .reading(descriptor, on: loop) : try await .writing(descriptor, on: loop))
            }
            let child = SimulatedChild(self, streams)
            let code: Int32
            do {
                code = try await program.body(child)
            } catch {
                code = 1
                if !hasEnded { try? await child.errorOutput.write(Array("\(name): \(error)\n".utf8)) }
            }
            finish(casyncio_process_end(was_signalled: false, dumped_core: false, number: code & 0xff))
        } catch {
            // Its streams cannot be had: the host is going down.
            finish(casyncio_process_end(was_signalled: true, dumped_core: false, number: SIGKILL))
        }
    }

    /// A signal arrives. The result is kill(2)'s.
    func receive(_ signal: CInt) -> Int {
        guard !isReaped else { return Errno.noSuchProcess.negated }
        guard signal > 0, !hasEnded else { return 0 }
        if signal != SIGKILL, signal != SIGSTOP, let handler = handlers[signal] {
            handler()
            return 0
        }
        switch signal {
        case SIGCHLD, SIGCONT, SIGURG, SIGWINCH: return 0
        case SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU: return kernel.refuse("stopping a child")
        default:
            let dumps = [SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGQUIT, SIGSEGV, SIGSYS, SIGTRAP, SIGXCPU, SIGXFSZ]
            finish(casyncio_process_end(was_signalled: true, dumped_core: dumps.contains(signal), number: signal))
            return 0
        }
    }

    /// Ends it, once: its streams are closed, and whoever waits for it hears of that.
    func finish(_ end: casyncio_process_end) {
        guard self.end == nil else { return }
        self.end = end
        task?.cancel()
        for stream in streams { stream.close() }
        for place in numbers.indices where numbers[place] >= 0 {
            _ = kernel.close(numbers[place])
            numbers[place] = -1
        }
        kernel.world.record(kernel.host, "exit", Int(id), Int(end.number))
        for descriptor in descriptors { descriptor.raise(Interest.input) }
    }

    /// The host is gone.
    func vanish() {
        end = casyncio_process_end(was_signalled: true, dumped_core: false, number: SIGKILL)
        task?.cancel()
        numbers = []
        // They know it, too, and nobody closes them.
        descriptors = []
    }
}

/// Everything happens on the thread of the simulation.
private struct ProcessRun: @unchecked Sendable {
    let process: SimulatedProcess
}

/// A pidfd (pidfd_open(2)): readable when the process has ended.
final class ProcessDescription: OpenDescription {
    let process: SimulatedProcess

    init(_ process: SimulatedProcess, _ kernel: HostKernel) {
        self.process = process
        super.init(kernel)
        process.descriptors.append(self)
    }

    override var readiness: UInt32 { process.hasEnded ? Interest.input : 0 }
    override var label: String { "the process \(process.id), \(process.name)" }
    override func hasClosed() { process.descriptors.removeAll { $0 === self } }
}
