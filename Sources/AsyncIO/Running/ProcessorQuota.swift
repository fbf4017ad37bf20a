import AsyncIOKernel
import Glibc
import SystemPackage

/// How much processor time the process's control group has, in whole cores (cgroups(7)): what containers are limited
/// by, while all of the machine's processors are there to be seen.
enum ProcessorQuota {
    /// Nil if nothing is limited, or nothing can be read.
    static var current: Int? {
        quota(membership: text("/proc/self/cgroup") ?? "", file: text)
    }

    /// The smallest quota on the way from the process's group to the root, rounded up.
    ///
    /// Inside of a container the path is often that of the host, while the container's own group stands at the root of
    /// what can be seen: folders that do not exist are passed by.
    static func quota(membership: String, file: (String) -> String?) -> Int? {
        var smallest: Int?
        for line in membership.split(separator: "\n") {
            // hierarchy : controllers : path
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3 else { continue }
            let isUnified = parts[0] == "0" && parts[1].isEmpty
            guard isUnified || parts[1].split(separator: ",").contains("cpu") else { continue }
            for folder in folders(parts[2]) {
                let found = isUnified ? unified(folder, file) : older(folder, file)
                if let found { smallest = min(smallest ?? found, found) }
            }
        }
        return smallest
    }

    /// The folder and all above it: `/a/b`, `/a`, and the root as an empty path.
    private static func folders(_ path: Substring) -> [String] {
        let names = path.split(separator: "/")
        return (0...names.count).reversed().map { names[..<$0].map { "/" + $0 }.joined() }
    }

    /// Version 2: quota and period in one file; `max` for no quota.
    private static func unified(_ folder: String, _ file: (String) -> String?) -> Int? {
        guard let fields = file("/sys/fs/cgroup\(folder)/cpu.max")?.split(whereSeparator: \.isWhitespace),
            fields.count == 2
        else { return nil }
        return cores(Int(fields[0]), Int(fields[1]))
    }

    /// Version 1: a file each; -1 for no quota.
    private static func older(_ folder: String, _ file: (String) -> String?) -> Int? {
        for mount in ["/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"] {
            guard let quota = file("\(mount)\(folder)/cpu.cfs_quota_us"),
                let period = file("\(mount)\(folder)/cpu.cfs_period_us")
            else { continue }
            return cores(Int(quota.filter { !$0.isWhitespace }), Int(period.filter { !$0.isWhitespace }))
        }
        return nil
    }

    private static func cores(_ quota: Int?, _ period: Int?) -> Int? {
        guard let quota, let period, quota > 0, period > 0 else { return nil }
        return quota / period + (quota % period == 0 ? 0 : 1)
    }

    /// A small file's text; nil if it cannot be read.
    private static func text(_ path: String) -> String? {
        let opened = SystemCall.result { unsafe open(path, O_RDONLY | O_CLOEXEC) }
        guard opened >= 0 else { return nil }
        let file = Descriptor(owning: CInt(truncatingIfNeeded: opened))
        let number = file.number
        var all: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 4096)
        while all.count < 65_536 {
            let count = unsafe part.withUnsafeMutableBytes {
                unsafe SystemCall.read(number, $0.baseAddress, $0.count)
            }
            guard count > 0 else { break }
            all += part.prefix(count)
        }
        return String(decoding: all, as: UTF8.self)
    }
}
