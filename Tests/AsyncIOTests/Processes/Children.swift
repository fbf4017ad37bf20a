import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import Glibc

/// The children of this process, as the kernel lists them.
enum Children {
    /// Those that have ended and that nobody has reaped yet.
    static var zombies: [pid_t] { get throws { try all.filter { state(of: $0) == "Z" } } }

    private static var all: [pid_t] {
        get throws {
            let own = getpid()
            return try processes().filter { fields(of: $0).flatMap { $0.count > 1 ? pid_t($0[1]) : nil } == own }
        }
    }

    /// The state of a process, as in `R`, `S`, `Z`; nil if there is none of that number.
    static func state(of process: pid_t) -> String? { fields(of: process)?.first.map { String($0) } }

    /// What comes after the name in /proc/PID/stat.
    private static func fields(of process: pid_t) -> [Substring]? {
        let text = ProcessTable.text("/proc/\(process)/stat")
        guard let end = text.lastIndex(of: ")") else { return nil }
        return text[text.index(after: end)...].split(separator: " ")
    }

    private static func processes() throws -> [pid_t] {
        guard let stream = unsafe opendir("/proc") else { return [] }
        defer { unsafe closedir(stream) }
        var found: [pid_t] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            if let number = pid_t(name) { found.append(number) }
        }
        return found
    }
}

/// Lets others run until the condition holds, but not for ever.
func until(deadline: Duration, _ condition: () async throws -> Bool) async rethrows -> Bool {
    let end = Instant.monotonicNow.advanced(by: deadline)
    while try await !condition() {
        guard Instant.monotonicNow < end else { return false }
        await Task.yield()
    }
    return true
}
