import AsyncIOKernel
import Glibc

extension InspectionAnswers {
    /// What this process says of itself.
    static let ofProcess = InspectionAnswers(
        process: {
            ProcessLine(
                pid: getpid(), program: programPath, loops: ProcessInspector.shared.loops.count,
                age: ProcessInspector.shared.began.duration(to: .monotonicNow))
        },
        tree: { Inspection.captureTaskTreeBlocking(stacks: $0, timeout: .seconds(2)) },
        beginTrace: {
            Inspection.startTrace() ? nil : "a trace is being recorded already, by the program or its environment"
        },
        endTrace: { form in
            let recording = Inspection.stopTraceBlocking(timeout: form == nil ? .zero : .seconds(2))
            return form.map(recording.bytes) ?? []
        })

    /// What was run, with its path.
    private static let programPath: String = {
        guard let link = try? PathBytes("/proc/self/exe".utf8, for: "read link") else { return "?" }
        var memory = [UInt8](repeating: 0, count: 4096)
        let count = unsafe memory.withUnsafeMutableBytes { memory in
            unsafe SystemCall.readLink(link, in: SystemCall.currentFolder, memory)
        }
        return count > 0 ? String(decoding: memory.prefix(count), as: UTF8.self) : "?"
    }()
}
