import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// All that a child is to be, ready to start. Data: made on the loop, started where a thread may block.
struct SpawnPlan: Sendable {
    let command: Command
    /// What the child's numbers 0, 1 and 2 are copies of.
    var standard: [CInt]
    /// A terminal for all three, and to be controlled by. The command's group is a session then.
    var terminal: String?

    /// Starts the child and takes it in our care. Blocks until its program runs.
    func start() throws(IOError) -> Child {
        guard casyncio_exit_statuses_are_kept() else {
            throw IOError(
                .noChildProcess, operation: "spawn", subject: command.executable,
                detail: "SIGCHLD is ignored in this process, so the kernel throws exit statuses away; "
                    + "give it its default back: signal(SIGCHLD, SIG_DFL)")
        }
        if case .joining(let group) = command.group, group < 1 {
            throw IOError(
                .invalidArgument, operation: "spawn", subject: command.executable,
                detail: "there is no process group \(group) to join; use .own for a new one")
        }
        Child.reapOrphans()
        let (variables, path) = try surroundings()
        let program = try ProgramLookUp.path(of: command.executable, in: path, from: command.folder)
        let arguments = try CStrings([command.name ?? command.executable] + command.arguments, of: program)
        let texts = try CStrings([program, command.folder ?? "", terminal ?? ""], of: program)
        let (descriptors, copies) = try descriptors()
        defer { for copy in copies { copy.close() } }
        let process: Int
        if let variables {
            let environment = try CStrings(bytes: variables, of: program)
            process = unsafe start(texts, arguments, environment.words, descriptors)
        } else {
            process = unsafe start(texts, arguments, nil, descriptors)
        }
        guard process > 0 else { throw ProgramLookUp.explain(Errno(negated: process), program, command) }
        return try Child(process: CInt(truncatingIfNeeded: process), command: command)
    }

    private func start(
        _ texts: borrowing CStrings, _ arguments: borrowing CStrings,
        _ environment: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?, _ descriptors: [CInt]
    ) -> Int {
        // All of it is alive until this function returns, and so is the child's need for it.
        unsafe descriptors.withUnsafeBufferPointer { descriptors in
            var plan = unsafe casyncio_spawn()
            unsafe plan.path = UnsafePointer(texts.words[0])
            unsafe plan.arguments = UnsafePointer(arguments.words)
            if let environment = unsafe environment { unsafe plan.environment = UnsafePointer(environment) }
            if command.folder != nil { unsafe plan.folder = UnsafePointer(texts.words[1]) }
            if terminal != nil { unsafe plan.terminal = UnsafePointer(texts.words[2]) }
            unsafe plan.descriptors = descriptors.baseAddress
            unsafe plan.count = CInt(clamping: descriptors.count)
            unsafe plan.group = -1
            switch command.group {
            case .parents: break
            case .own: unsafe plan.group = 0
            case .joining(let group): unsafe plan.group = group
            case .session: unsafe plan.has_own_session = true
            }
            return unsafe SystemCall.spawn(&plan)
        }
    }

    /// The child's environment, nil for our own as it is, and the `PATH` in it.
    ///
    /// What is inherited stays as it is, byte for byte: it need not be UTF-8.
    private func surroundings() throws(IOError) -> (variables: [[UInt8]]?, path: String) {
        let environment = command.environment
        if let name = environment.changes.keys.first(where: { $0.isEmpty || $0.contains("=") }) {
            throw IOError(
                .invalidArgument, operation: "spawn", subject: command.executable,
                detail: "\"\(VisibleText.line(name))\" cannot be the name of a variable: it is empty or has a =")
        }
        if environment == .inherit && !SystemCall.isSimulated {
            return (nil, unsafe getenv("PATH").map { unsafe String(cString: $0) } ?? ProgramLookUp.standardPath)
        }
        var path: String?
        let inherited = environment.base == .inherited ? Self.inheritedVariables() : []
        if environment.base == .inherited {
            let variable = inherited.first { $0.starts(with: "PATH=".utf8) }
            path = variable.map { String(decoding: $0.dropFirst(5), as: UTF8.self) }
        }
        if let change = environment.changes["PATH"] { path = change }
        let found = path ?? ProgramLookUp.standardPath
        if environment.base == .inherited && environment.changes.isEmpty { return (nil, found) }
        let changed = Set(environment.changes.keys.map { Array($0.utf8) })
        let variables = inherited.filter { !changed.contains(Array($0.prefix { $0 != UInt8(ascii: "=") })) }
        let changes = environment.changes.sorted { $0.key < $1.key }
        return (variables + changes.compactMap { name, value in value.map { Array("\(name)=\($0)".utf8) } }, found)
    }

    /// This process's environment.
    private static func inheritedVariables() -> [[UInt8]] {
        if let standIn = SystemCall.standIn { return standIn.environment }
        var variables: [[UInt8]] = []
        var place: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe environ
        while let entry = unsafe place?.pointee {
            // The process's own, which nobody may change while others read it (getenv(3)).
            unsafe variables.append(Array(UnsafeRawBufferPointer(start: entry, count: strlen(entry))))
            unsafe place = place.map { unsafe $0 + 1 }
        }
        return variables
    }

    /// What the child's numbers from 0 on are copies of, and the copies that were made for it: each source that is not
    /// at its own place has to be above all places, or an earlier step would overwrite it.
    private func descriptors() throws(IOError) -> ([CInt], [HeldDescriptor]) {
        let limit = Command.maximumDescriptor
        if let wrong = command.descriptors.first(where: { !(3...limit).contains($0.key) || $0.value < 0 }) {
            throw IOError(
                .invalidArgument, operation: "spawn", subject: command.executable,
                detail: "the child cannot have descriptor \(wrong.value) as number \(wrong.key): use 3 to \(limit)")
        }
        let count = Int(command.descriptors.keys.max() ?? 2) + 1
        var places = standard + [CInt](repeating: -1, count: count - standard.count)
        for (place, source) in command.descriptors { places[Int(place)] = source }
        var copies: [HeldDescriptor] = []
        for (place, source) in places.enumerated() where source >= 0 && Int(source) != place && source < count {
            let copy = HeldDescriptor(Descriptor(owning: try SystemCall.copy(source, notBelow: CInt(count))))
            copies.append(copy)
            places[place] = copy.number
        }
        return (places, copies)
    }
}
