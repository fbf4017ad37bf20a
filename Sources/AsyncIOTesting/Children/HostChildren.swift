import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// The child processes of a host's run: scripted programs.
final class HostChildren {
    /// Those that nobody has reaped, by their age.
    private var processes: [SimulatedProcess] = []
    private var lastNumber: CInt = 1000
    /// The group of the host's own program.
    private static let parentGroup: CInt = 1000

    init() {}

    func crash(_ kernel: HostKernel) {
        for process in processes { process.vanish() }
        processes = []
    }

    func spawn(_ kernel: HostKernel, _ plan: inout casyncio_spawn) -> Int {
        guard unsafe plan.terminal == nil, unsafe plan.count <= 3 else {
            return kernel.refuse("a child's terminal, or descriptor beyond the standard ones")
        }
        // The plan's memory is the caller's, and lives until this returns.
        let folder = unsafe plan.folder.map { unsafe String(cString: $0) } ?? "/"
        let path = unsafe String(cString: plan.path)
        do {
            let program = try program(path, in: folder, kernel)
            let group = unsafe try group(plan.has_own_session ? 0 : plan.group)
            let sources = (0..<3).map { unsafe $0 < Int(plan.count) ? plan.descriptors[$0] : -1 }
            let variables = unsafe plan.environment.map { unsafe Self.texts($0) }
            let words = unsafe Self.texts(plan.arguments)
            let process = SimulatedProcess(
                lastNumber + 1, group: group, words,
                environment: Self.variables(
                    variables ?? kernel.environment.map { String(decoding: $0, as: UTF8.self) }),
                folder: folder, numbers: try numbers(kernel, of: sources), kernel)
            guard let loop = try? kernel.host.loop else { throw Errno.ioError }
            lastNumber += 1
            processes.append(process)
            process.start(program, on: loop)
            return Int(process.id)
        } catch let error as Errno {
            return error.negated
        } catch {
            return Errno.ioError.negated
        }
    }

    private func program(_ path: String, in folder: String, _ kernel: HostKernel) throws(Errno) -> ScriptedProgram {
        let disk = kernel.disk
        let place = try disk.find(Array(folder.utf8), from: disk.root).existing
        guard place.isFolder else { throw .notDirectory }
        let node = try disk.find(Array(path.utf8), from: place).existing
        guard node.isRegular, disk.may(0o1, node) else { throw .permissionDenied }
        guard let program = node.program else { throw .execFormatError }
        return program
    }

    private func group(_ wanted: CInt) throws(Errno) -> CInt {
        if wanted == 0 { return lastNumber + 1 }
        guard wanted > 0 else { return Self.parentGroup }
        guard processes.contains(where: { $0.group == wanted }) else { throw .notPermitted }
        return wanted
    }

    /// The child's own numbers for its standard streams. What the real process would lend it is nothing.
    private func numbers(_ kernel: HostKernel, of sources: [CInt]) throws(Errno) -> [CInt] {
        var numbers: [CInt] = []
        for (place, wanted) in sources.enumerated() {
            let number: Int
            if let description = kernel[wanted] {
                number = kernel.install(description)
            } else {
                number = kernel.open(Array("/dev/null".utf8), flags: place == 0 ? O_RDONLY : O_WRONLY, mode: 0)
            }
            guard number >= 0 else {
                for number in numbers { _ = kernel.close(number) }
                throw Errno(negated: number)
            }
            numbers.append(CInt(truncatingIfNeeded: number))
        }
        return numbers
    }

    private static func texts(_ list: UnsafePointer<UnsafeMutablePointer<CChar>?>) -> [String] {
        var texts: [String] = []
        var place = unsafe list
        while let text = unsafe place.pointee {
            unsafe texts.append(String(cString: text))
            unsafe place += 1
        }
        return texts
    }

    private static func variables(_ list: [String]) -> [String: String] {
        var variables: [String: String] = [:]
        for variable in list {
            let parts = variable.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2, variables[String(parts[0])] == nil { variables[String(parts[0])] = String(parts[1]) }
        }
        return variables
    }

    // MARK: Afterwards

    func open(_ kernel: HostKernel, _ process: CInt) -> Int {
        guard let process = processes.first(where: { $0.id == process }) else { return Errno.noSuchProcess.negated }
        let description = ProcessDescription(process, kernel)
        let number = kernel.install(description)
        if number < 0 { description.hasClosed() }
        return number
    }

    func signal(_ description: OpenDescription, _ signal: CInt, wholeGroup: Bool) -> Int {
        guard let process = (description as? ProcessDescription)?.process else {
            return Errno.badFileDescriptor.negated
        }
        guard wholeGroup else { return process.receive(signal) }
        let members = processes.filter { $0.group == process.id }
        for member in members { _ = member.receive(signal) }
        return members.isEmpty ? Errno.noSuchProcess.negated : 0
    }

    func takeEnd(of description: OpenDescription, _ end: inout casyncio_process_end, keepsIt: Bool) -> Int {
        guard let process = (description as? ProcessDescription)?.process else {
            return Errno.badFileDescriptor.negated
        }
        guard let ended = process.end else { return 0 }
        if !keepsIt {
            guard !process.isReaped else { return Errno.noChildProcess.negated }
            process.isReaped = true
            processes.removeAll { $0 === process }
        }
        end = ended
        return 1
    }

    /// Ends and reaps one that has no descriptor.
    func killAndReap(_ id: CInt) {
        guard let process = processes.first(where: { $0.id == id }) else { return }
        _ = process.receive(SIGKILL)
        process.isReaped = true
        processes.removeAll { $0 === process }
    }

    func isChild(_ description: OpenDescription?) -> Int {
        guard let process = (description as? ProcessDescription)?.process, !process.isReaped else {
            return Errno.noChildProcess.negated
        }
        return 0
    }
}
