import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage

extension Transcript {
    static let folders = [
        Transcript("Folders: are made, one or all, and removed when empty") { stage in
            let folder = stage.folder
            await stage.tell("make") { try await Folder.make(folder + "/a") }
            await stage.tell("make again") { try await Folder.make(folder + "/a") }
            await stage.tell("make without the one above") { try await Folder.make(folder + "/x/y") }
            await stage.tell("make all") { try await Folder.makeAll(folder + "/x/y/z") }
            await stage.tell("make all again") { try await Folder.makeAll(folder + "/x/y/z") }
            await stage.tell("remove") { try await Folder.remove(folder + "/x/y") }
            await stage.tell("remove") { try await Folder.remove(folder + "/x/y/z") }
            await stage.tell("remove again") { try await Folder.remove(folder + "/x/y/z") }
            await stage.tell("a file in the way") {
                try await File.writeAll(folder + "/file", [1])
                try await Folder.makeAll(folder + "/file/x")
            }
            await stage.tell("permissions") {
                try await Folder.make(folder + "/p", permissions: .ownerReadWriteExecute)
                return "\(try await File.information(at: folder + "/p").permissions)"
            }
            await stage.tell("links of a folder") { try await File.information(at: folder + "/x").linkCount }
        },

        Transcript("Folders: a walk sees everything, and follows no link") { stage in
            let folder = stage.folder + "/root"
            await stage.tell("set up") {
                try await Folder.makeAll(folder + "/a/b/c")
                try await File.writeAll(folder + "/a/file", [1])
                try await File.writeAll(folder + "/a/b/other", [1])
                try await File.symbolicLink(to: "..", at: folder + "/a/b/up")
                try await File.symbolicLink(to: "nothing", at: folder + "/dangling")
                try await UnixListener.bind(stage.folder + "/s").close()
            }
            for depth in [1, 2, 128] {
                await stage.tell("walk \(depth)") {
                    var lines: [String] = []
                    for try await entry in Folder.walk(folder, maximumDepth: depth) {
                        let error = entry.error.map { "\($0.code)" } ?? ""
                        lines.append(
                            "\(entry.path.string.dropFirst(folder.count)) \(entry.kind) \(entry.depth)\(error)")
                    }
                    return lines.sorted().joined(separator: ", ")
                }
            }
            await stage.tell("entries") {
                var names: [String] = []
                for try await entry in Folder.entries(at: folder + "/a/b") {
                    names.append("\(entry.name) \(entry.kind)")
                }
                return names.sorted()
            }
            await stage.tell("entries of a file") { for try await _ in Folder.entries(at: folder + "/a/file") {} }
            await stage.tell("walk through nothing") { for try await _ in Folder.walk(folder + "/none") {} }
        },

        Transcript("Folders: a tree is removed, and what its links lead to stays") { stage in
            let folder = stage.folder
            await stage.tell("set up") {
                try await Folder.makeAll(folder + "/tree/deep/er")
                try await Folder.make(folder + "/kept")
                try await File.writeAll(folder + "/kept/file", [1])
                try await File.symbolicLink(to: folder + "/kept", at: folder + "/tree/deep/link")
                try await File.writeAll(folder + "/tree/deep/er/file", [1])
            }
            await stage.tell("remove") { try await Folder.removeTree(folder + "/tree") }
            await stage.tell("is there") { try await File.exists(at: folder + "/tree") }
            await stage.tell("kept") { try await File.readAll(folder + "/kept/file").count }
            await stage.tell("remove again") { try await Folder.removeTree(folder + "/tree") }
            await stage.tell("remove a file's tree") { try await Folder.removeTree(folder + "/kept/file") }
            await stage.tell("remove a point") { try await Folder.removeTree(folder + "/kept/.") }
            await stage.tell("and that of a link") {
                try await File.symbolicLink(to: folder + "/kept", at: folder + "/link")
                try await Folder.removeTree(folder + "/link")
            }
            await stage.tell("kept") { try await File.exists(at: folder + "/kept") }
        },

        Transcript("Folders: temporary ones go with their body, also when it throws") { stage in
            await stage.tell("temporary") {
                let path = try await withTemporaryFolder(in: stage.folder) { folder in
                    try await File.writeAll(folder.appending("file"), [1])
                    stage.note("\(try await File.information(at: folder).permissions)")
                    return folder
                }
                return try await File.exists(at: path)
            }
            await stage.tell("temporary file") {
                let file = try await File.temporary(in: stage.folder)
                try await file.write("nameless")
                let text = try await file.read(upTo: 100, at: 0)
                try await file.close()
                return text
            }
            await stage.tell("left") {
                var count = 0
                for try await _ in Folder.entries(at: stage.folder) { count += 1 }
                return count
            }
            await stage.tell("sync") { try await Folder.sync(at: stage.folder) }
            await stage.tell("sync nothing") { try await Folder.sync(at: stage.folder + "/none") }
        },
    ]
}
