import AsyncIO
import AsyncIOInspection
import AsyncIOKernel
import Glibc

/// Why a process cannot be inspected, in one line with the remedy.
struct CannotInspect: Error, Equatable, CustomStringConvertible {
    let description: String
}

/// A process as the system sees it, and where it can be inspected.
struct InspectedProcess {
    let id: Int32

    /// The user that it belongs to; nil if there is no such process.
    var owner: UInt32? { Self.owner(of: "/proc/\(id)") }

    /// As in /proc/PID/stat: `T` is stopped, `Z` has ended. Nil if there is no such process.
    var state: Character? {
        guard let text = Self.contents(of: "/proc/\(id)/stat") else { return nil }
        // The program's name stands in parentheses, and may have some itself.
        guard let end = text.lastIndex(of: ")") else { return nil }
        return text[text.index(after: end)...].first { $0 != " " }
    }

    /// The program's name, for messages.
    var name: String {
        let name = Self.contents(of: "/proc/\(id)/comm")?.trimmed ?? ""
        return name.isEmpty ? "" : " (\(CleanText(name)))"
    }

    /// Why it says nothing.
    var silence: CannotInspect {
        if hasEnded { return CannotInspect(description: "process \(id) has ended meanwhile") }
        guard isStopped else { return CannotInspect(description: "process \(id)\(name) does not answer") }
        return CannotInspect(description: "process \(id)\(name) is stopped; let it go on: kill -CONT \(id)")
    }

    /// The same of one that has hung up: if it has ended, it may have left its socket's file behind.
    func silence(leaving path: String) async -> CannotInspect {
        // One that is killed closes what it has open, one after the other, a moment before it has ended.
        for _ in 0..<100 {
            if hasEnded, InspectionPlace.listener(at: path) != .alive { break }
            try? await Task.sleep(for: .milliseconds(10))
        }
        InspectionPlace.removeIfDead(path)
        if hasEnded || isStopped { return silence }
        return CannotInspect(
            description: "process \(id)\(name) has hung up: its last loop has ended, or this was too slow for it")
    }

    private var hasEnded: Bool { [nil, "Z", "X"].contains(state) }
    private var isStopped: Bool { ["T", "t"].contains(state) }

    /// Where its socket is, with its owner. Throws ``CannotInspect``.
    func findSocket() throws -> (path: String, owner: UInt32) {
        let user = geteuid()
        guard let owner, state != "Z" else {
            for folder in folders(owner: owner ?? user) where (try? InspectionPlace.check(folder, user: user)) != nil {
                InspectionPlace.removeIfDead("\(folder)/\(InspectionPlace.name(of: id))")
            }
            throw CannotInspect(description: "there is no process \(id)")
        }
        guard owner == user || user == 0 else {
            throw CannotInspect(
                description: "process \(id)\(name) is another user's (\(owner)): only that user and root may inspect it"
            )
        }
        for folder in folders(owner: owner) {
            let path = "\(folder)/\(InspectionPlace.name(of: id))"
            guard Self.owner(of: path) != nil else { continue }
            do { try InspectionPlace.check(folder, user: owner) } catch {
                throw CannotInspect(description: "not to be trusted: \(error)")
            }
            return (path, owner)
        }
        throw notInspected
    }

    var notInspected: CannotInspect {
        CannotInspect(
            description:
                "process \(id)\(name) is not inspected; start it with ASYNCIO_INSPECT=1 or, an asyncio command, "
                + "with --inspect")
    }

    private func folders(owner: UInt32) -> [String] {
        var runtimeFolders = [InspectionPlace.runtimeFolder]
        let environment = Self.contents(of: "/proc/\(id)/environ") ?? ""
        for variable in environment.split(separator: "\0") where variable.hasPrefix("XDG_RUNTIME_DIR=") {
            runtimeFolders.append(String(variable.dropFirst("XDG_RUNTIME_DIR=".count)))
        }
        var folders: [String] = []
        for folder in runtimeFolders.flatMap({ InspectionPlace.folders(of: owner, runtimeFolder: $0) })
        where !folders.contains(folder) { folders.append(folder) }
        return folders
    }

    // MARK: All of them

    /// The processes that can be inspected by this user, as far as their sockets tell; those of the dead are removed.
    static func all() async -> [InspectedProcess] {
        var found: Set<Int32> = []
        for (folder, owner) in await places() {
            guard (try? InspectionPlace.check(folder, user: owner)) != nil else { continue }
            for name in await names(in: folder) {
                guard let process = InspectionPlace.process(named: name) else { continue }
                let path = "\(folder)/\(name)"
                if !InspectionPlace.removeIfDead(path) { found.insert(process) }
            }
        }
        found.remove(getpid())
        return found.sorted().map { InspectedProcess(id: $0) }
    }

    /// Our own folders; for root, also those of everybody who is logged in.
    private static func places() async -> [(folder: String, owner: UInt32)] {
        let user = geteuid()
        var places = InspectionPlace.folders(of: user, runtimeFolder: InspectionPlace.runtimeFolder).map { ($0, user) }
        guard user == 0 else { return places }
        for name in await names(in: "/run/user") {
            if let other = UInt32(name), other != 0 { places.append(("/run/user/\(name)/asyncio", other)) }
        }
        return places
    }

    private static func names(in folder: String) async -> [String] {
        var names: [String] = []
        do { for try await entry in Folder.entries(at: folder) { names.append(entry.name) } } catch {
            // None that we may see.
        }
        return names
    }

    // MARK: The system's files

    private static func owner(of path: String) -> UInt32? {
        var information = stat()
        guard SystemCall.result({ unsafe lstat(path, &information) }) >= 0 else { return nil }
        return information.st_uid
    }

    /// The whole of a small file of /proc.
    static func contents(of path: String) -> String? {
        guard let number = try? SystemCall.open(path, O_RDONLY | O_CLOEXEC) else { return nil }
        let file = Descriptor(owning: number)
        var bytes: [UInt8] = []
        while bytes.count < 1 << 20, let piece = try? SystemCall.bytes(of: file.number, count: 65_536), !piece.isEmpty {
            bytes += piece
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
