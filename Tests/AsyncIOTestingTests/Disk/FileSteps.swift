import AsyncIO
import AsyncIOTesting
import SystemPackage

/// Random work on files and folders, the same for the same seed, wherever it is done: what it says is all that a
/// program can see of it.
final class FileSteps {
    private var random: SimulatedRandom
    private let base: String
    private var files: [File?] = [nil, nil, nil]
    private(set) var transcript: [String] = []

    init(seed: UInt64, in base: String) {
        random = SimulatedRandom(seed: seed)
        self.base = base
    }

    func run(_ count: Int) async {
        for _ in 0..<count { await step() }
        for file in files { try? await file?.close() }
        await note("everything") { try await tree("\(base)") }
    }

    /// Says what came of a step.
    private func note(_ what: String, _ body: () async throws -> String) async {
        // Some names are long.
        let what = what.replacing(String(repeating: "x", count: 250), with: "x…")
        do {
            transcript.append("\(what): \(try await body())")
        } catch let error as IOError {
            transcript.append("\(what): error \(error.code.rawValue)")
        } catch {
            transcript.append("\(what): \(error)")
        }
    }

    private func pick<Element>(_ elements: [Element]) -> Element { elements[random.below(elements.count)] }

    /// A path, mostly of one or two names, relative to the base.
    private func name() -> String {
        let names = ["a", "b", "c", "d"]
        var parts = [pick(names)]
        for _ in 0..<pick([0, 0, 1, 1, 2]) { parts.append(pick(names)) }
        switch random.below(24) {
        case 0: parts.append("..")
        case 1: parts.append(".")
        case 2: return parts.joined(separator: "//") + "/"
        case 3: parts.append(String(repeating: "x", count: 256))
        default: break
        }
        return parts.joined(separator: "/")
    }

    private func step() async {
        let (first, second) = (name(), name())
        let (path, other) = ("\(base)/\(first)", "\(base)/\(second)")
        let slot = random.below(files.count)
        switch random.below(26) {
        case 0, 1, 2:
            await note("make \(first)") {
                try await Folder.make(path, permissions: .ownerReadWriteExecute); return "ok"
            }
        case 3:
            await note("make all \(first)") {
                try await Folder.makeAll(path, permissions: .ownerReadWriteExecute)
                return "ok"
            }
        case 4, 5, 6: await open(path, first, slot)
        case 7, 8, 9: await write(slot)
        case 10, 11: await read(slot)
        case 12: await change(slot)
        case 13: await close(slot)
        case 14:
            await note("remove \(first)") {
                try await File.remove(path); return "ok"
            }
        case 15:
            await note("remove folder \(first)") {
                try await Folder.remove(path); return "ok"
            }
        case 16, 17, 18:
            let existing = pick([File.Existing.keep, .replace, .replace])
            await note("rename \(first) \(second) \(existing)") {
                try await File.rename(path, to: other, existing: existing)
                return "ok"
            }
        case 19:
            await note("link \(first) \(second)") {
                try await File.link(path, at: other); return "ok"
            }
        case 20:
            let target = pick([second, other, "../\(second)", "."])
            let shown = target.replacing(base, with: "BASE")
            await note("symbolic link \(first) \(shown)") {
                try await File.symbolicLink(to: target, at: path)
                return "ok"
            }
        case 21: await note("read link \(first)") { try await File.readLink(path).string.replacing(base, with: "BASE") }
        case 22:
            let existing = pick([File.Existing.keep, .replace])
            await note("copy \(first) \(second)") { "\(try await File.copy(path, to: other, existing: existing))" }
        case 23: await note("information \(first)") { try await information(path) }
        case 24: await note("tree \(first)") { try await tree(path) }
        default: await rarely(path, first)
        }
    }

    private func rarely(_ path: String, _ name: String) async {
        let bytes = [UInt8](repeating: UInt8(random.below(256)), count: random.below(10_000))
        switch random.below(4) {
        case 0:
            await note("remove tree \(name)") {
                try await Folder.removeTree(path); return "ok"
            }
        case 1:
            await note("sync \(name)") {
                try await Folder.sync(at: path); return "ok"
            }
        default:
            await note("replace \(name)") {
                try await File.replace(path, with: bytes, permissions: .ownerReadWrite)
                return "ok"
            }
        }
    }

    // MARK: Open files

    private func open(_ path: String, _ name: String, _ slot: Int) async {
        await close(slot)
        let creation = pick(Array(File.Mode.Creation.allCases))
        let mode: File.Mode = pick([
            .readingAndWriting(creation), .readingAndWriting(creation), .writing(creation), .appending(creation),
            .reading,
        ])
        await note("open \(name)") {
            files[slot] = try await File.open(path, mode, permissions: .ownerReadWrite)
            return "ok"
        }
    }

    private func close(_ slot: Int) async {
        guard let file = files[slot] else { return }
        await note("close") {
            try await file.close(); return "ok"
        }
        files[slot] = nil
    }

    private func write(_ slot: Int) async {
        let bytes = [UInt8](repeating: UInt8(random.below(256)), count: 1 + random.below(9_000))
        let offset: Int64? = pick([nil, Int64(random.below(20_000))])
        guard let file = files[slot] else { return }
        await note("write \(bytes.count) at \(offset ?? -1)") {
            if let offset { try await file.write(bytes, at: offset) } else { try await file.write(bytes) }
            return "\(file.position)"
        }
    }

    private func read(_ slot: Int) async {
        let offset = Int64(random.below(20_000))
        guard let file = files[slot] else { return }
        await note("read at \(offset)") {
            var hash: UInt64 = 14_695_981_039_346_656_037
            var count = 0
            while let part = try await file.read(upTo: 65_536, at: offset + Int64(count)) {
                for byte in part { hash = (hash ^ UInt64(byte)) &* 1_099_511_628_211 }
                count += part.count
            }
            return "\(count) \(hash)"
        }
    }

    private func change(_ slot: Int) async {
        let size = Int64(random.below(15_000))
        let permissions = pick([FilePermissions.ownerReadWrite, [.ownerReadWrite, .groupRead], .ownerReadWriteExecute])
        let choice = random.below(5)
        guard let file = files[slot] else { return }
        await note("change \(choice) \(size)") {
            switch choice {
            case 0: try await file.truncate(to: size)
            case 1: try await file.allocate(size, at: 1_000, growing: size % 2 == 0 ? .grows : .keepsSize)
            case 2: try await file.setPermissions(permissions)
            case 3: return "\(try await file.tryLock(size % 2 == 0 ? .shared : .exclusive))"
            default: try await file.sync(size % 2 == 0 ? .all : .data)
            }
            let information = try await file.information()
            return "\(information.size) \(information.permissions.rawValue) \(information.linkCount)"
        }
    }

    // MARK: What is there

    private func information(_ path: String) async throws -> String {
        let information = try await File.information(at: path, links: .stay)
        guard information.kind == .regular else { return "\(information.kind)" }
        return "\(information.size) \(information.permissions.rawValue) \(information.linkCount)"
    }

    private func tree(_ path: String) async throws -> String {
        var lines: [String] = []
        for try await entry in Folder.walk(path) {
            lines.append(
                "\(entry.path.string.dropFirst(path.utf8.count)) \(entry.kind) \(entry.error?.code.rawValue ?? 0)")
        }
        return lines.sorted().joined(separator: ", ")
    }
}
