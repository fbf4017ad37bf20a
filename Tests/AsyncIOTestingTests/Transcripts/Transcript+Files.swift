import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage

extension Transcript {
    static let files = [
        Transcript("Files: every mode, on what is there and what is not") { stage in
            let path = stage.folder + "/file"
            for creation in File.Mode.Creation.allCases {
                for (name, mode) in [
                    ("writing", File.Mode.writing(creation)), ("appending", .appending(creation)),
                    ("both", .readingAndWriting(creation)),
                ] {
                    for isThere in [false, true] {
                        await stage.tell("\(name), \(creation), \(isThere ? "there" : "not there")") {
                            if isThere { try await File.writeAll(path, Array("before".utf8)) }
                            do {
                                try await withFile(path, mode) { try await $0.write("new") }
                            } catch { stage.note("\(error)") }
                            let content = try? await File.readAll(path)
                            if content != nil { try await File.remove(path) }
                            return content
                        }
                    }
                }
            }
        },

        Transcript("Files: paths that lead nowhere, to a folder, through a file, in a circle") { stage in
            let folder = stage.folder
            await stage.tell("set up") {
                try await File.writeAll(folder + "/file", [1])
                try await File.symbolicLink(to: "circle", at: folder + "/circle")
                try await File.symbolicLink(to: "nothing", at: folder + "/dangling")
            }
            let names = [
                "", "/none", "/none/file", "/file/x", "/file/", "/circle", "/dangling", "/.", "/..//",
                "/" + String(repeating: "n", count: 256), "/" + String(repeating: "a/", count: 2_100),
            ]
            for name in names {
                let shown = name.count > 30 ? "long \(name.count)" : name
                await stage.tell("read \(shown)") {
                    do { return try await File.readAll(folder + name).count } catch let error as IOError {
                        throw IOError(error.code, operation: error.operation)
                    }
                }
                await stage.tell("write \(shown)") {
                    do { try await withFile(folder + name, .writing(.existing)) { _ in } } catch let error as IOError {
                        throw IOError(error.code, operation: error.operation)
                    }
                }
            }
            await stage.tell("an empty path") { try await File.readAll("") }
            await stage.tell("a path with a zero") { try await File.readAll("a\0b") }
        },

        Transcript("Files: positions, holes, and what is read beyond the end") { stage in
            await stage.tell("file") {
                let file = try await File.open(stage.folder + "/file", .readingAndWriting(.createNew))
                try await file.write("0123456789")
                stage.note("at \(file.position)")
                try await file.seek(to: 3)
                stage.note("read \(String(decoding: try await file.read(upTo: 4) ?? [], as: UTF8.self))")
                stage.note("at \(file.position)")
                try await file.write(Array("xyz".utf8), at: 100_000)
                stage.note("hole \(try await file.read(upTo: 3, at: 99_999) ?? [])")
                stage.note("end \(try await file.read(upTo: 3, at: 100_003) as Any)")
                stage.note("size \(try await file.information().size)")
                try await file.truncate(to: 5)
                try await file.truncate(to: 8)
                stage.note("cut \(try await file.read(upTo: 100, at: 0) ?? [])")
                do { try await file.seek(to: -1) } catch { stage.note("\(error)") }
                do { _ = try await file.read(upTo: 1, at: -1) } catch { stage.note("\(error)") }
                do { try await file.truncate(to: -1) } catch { stage.note("\(error)") }
                try await file.allocate(50)
                stage.note("size \(try await file.information().size)")
                try await file.close()
                do { try await file.close() } catch { stage.note("\(error)") }
                return try await file.read()
            }
        },

        Transcript("Files: what may not be read, and what may not be written") { stage in
            let path = stage.folder + "/file"
            await stage.tell("write to one that is read") {
                try await File.writeAll(path, [1, 2, 3])
                try await withFile(path) { try await $0.write("x") }
            }
            await stage.tell("read one that is written") {
                try await withFile(path, .writing(.existing)) { try await $0.read() }
            }
            await stage.tell("truncate one that is read") { try await withFile(path) { try await $0.truncate(to: 1) } }
            await stage.tell("read with a limit") { try await File.readAll(path, limit: 2) }
        },

        Transcript("Files: appending writes to the end, wherever the position is") { stage in
            let path = stage.folder + "/log"
            await stage.tell("log") {
                let one = try await File.open(path, .appending)
                let other = try await File.open(path, .appending)
                try await one.write("one ")
                try await other.write("two ")
                try await one.write("three ")
                stage.note("\(one.position), \(other.position)")
                try await one.write(Array("at ".utf8), at: 0)
                try await one.close()
                try await other.close()
                return try await File.readAll(path)
            }
        },

        Transcript("Files: renames keep or replace, and links count") { stage in
            let (one, two) = (stage.folder + "/one", stage.folder + "/two")
            let folder = stage.folder + "/folder"
            await stage.tell("set up") {
                try await File.writeAll(one, Array("one".utf8))
                try await File.writeAll(two, Array("two".utf8))
                try await Folder.make(folder)
            }
            await stage.tell("keep") { try await File.rename(one, to: two) }
            await stage.tell("replace") { try await File.rename(one, to: two, existing: .replace) }
            await stage.tell("again") { try await File.rename(one, to: two, existing: .replace) }
            await stage.tell("over a folder") { try await File.rename(two, to: folder, existing: .replace) }
            await stage.tell("folder over a file") { try await File.rename(folder, to: two, existing: .replace) }
            await stage.tell("folder into itself") { try await File.rename(folder, to: folder + "/in") }
            await stage.tell("link") { try await File.link(two, at: one) }
            await stage.tell("link again") { try await File.link(two, at: one) }
            await stage.tell("link a folder") { try await File.link(folder, at: folder + "2") }
            await stage.tell("links") { try await File.information(at: one).linkCount }
            await stage.tell("remove") { try await File.remove(two) }
            await stage.tell("remove again") { try await File.remove(two) }
            await stage.tell("remove a folder as a file") { try await File.remove(folder) }
            await stage.tell("remove a file as a folder") { try await Folder.remove(one) }
            await stage.tell("links") { try await File.information(at: one).linkCount }
            await stage.tell("content") { try await File.readAll(one) }
            await stage.tell("symbolic") {
                try await File.symbolicLink(to: "../x/one", at: two)
                return try await File.readLink(two).string
            }
            await stage.tell("no link") { try await File.readLink(one).string }
            await stage.tell("kinds") {
                let kinds = (
                    try await File.information(at: two, links: .stay).kind, try await File.information(at: folder).kind
                )
                return "\(kinds)"
            }
            await stage.tell("behind a dangling link") { try await File.information(at: two) }
        },

        Transcript("Files: a file that is removed lives as long as it is open") { stage in
            let path = stage.folder + "/file"
            await stage.tell("read") {
                try await File.writeAll(path, Array("alive".utf8))
                return try await withFile(path, .readingAndWriting(.existing)) { file in
                    try await File.remove(path)
                    try await file.write(Array(" still".utf8), at: 5)
                    stage.note("links: \(try await file.information().linkCount)")
                    return try await file.readRest()
                }
            }
            await stage.tell("is there") { try await File.exists(at: path) }
        },

        Transcript("Files: replace and copy are whole, or not at all") { stage in
            let (one, two) = (stage.folder + "/one", stage.folder + "/two")
            await stage.tell("replace what is not there") { try await File.replace(one, with: Bytes.pattern(100_000)) }
            await stage.tell("replace") { try await File.replace(one, with: Bytes.pattern(50_000)) }
            await stage.tell("copy") { try await File.copy(one, to: two) }
            await stage.tell("copy again") { try await File.copy(one, to: two) }
            await stage.tell("copy over") { try await File.copy(one, to: two, existing: .replace) }
            await stage.tell("content") { try await File.readAll(two) }
            await stage.tell("copy nothing") { try await File.copy(one + "x", to: two, existing: .replace) }
            await stage.tell("copy a folder") { try await File.copy(stage.folder, to: two, existing: .replace) }
            await stage.tell("replace a folder") { try await File.replace(stage.folder, with: [1]) }
            await stage.tell("left") {
                var names: [String] = []
                for try await entry in Folder.entries(at: stage.folder) { names.append(entry.name) }
                return names.sorted()
            }
        },

        Transcript("Files: locks exclude, share, and go with their file") { stage in
            let path = stage.folder + "/lock"
            await stage.tell("locks") {
                let one = try await File.open(path, .readingAndWriting(.createNew))
                let other = try await File.open(path, .readingAndWriting(.existing))
                var answers: [Bool] = []
                answers.append(try await one.tryLock(.exclusive))
                answers.append(try await other.tryLock(.shared))
                try await one.unlock()
                answers.append(try await other.tryLock(.shared))
                answers.append(try await one.tryLock(.shared))
                answers.append(try await one.tryLock(.exclusive))
                try await other.close()
                answers.append(try await one.tryLock(.exclusive))
                let third = try await File.open(path, .readingAndWriting(.existing))
                let waiting = stage.client.start {
                    try await third.withLock(.exclusive) { stage.note("third has the lock") }
                }
                try await stage.settle()
                stage.note("first gives it up")
                try await one.close()
                try await waiting.value
                return answers
            }
        },

        Transcript("Files: lines of a file, and how they end") { stage in
            let path = stage.folder + "/text"
            for text in [
                "", "\n", "one", "one\ntwo\n", "one\r\n\r\ntwo", "\n\n", String(repeating: "x", count: 70_000),
            ] {
                await stage.tell("\(text.prefix(12).debugDescription)") {
                    try await File.writeAll(path, Array(text.utf8))
                    var lines: [Int] = []
                    for try await line in File.lines(of: path) { lines.append(line.utf8.count) }
                    return lines
                }
            }
            await stage.tell("a line that is too long") {
                for try await _ in File.lines(of: path, limit: 1_000) {}
            }
            await stage.tell("no file") { for try await _ in File.lines(of: path + "x") {} }
        },

        Transcript("Files: permissions, as they are given and changed") { stage in
            let path = stage.folder + "/file"
            await stage.tell("given") {
                let file = try await File.open(
                    path, .readingAndWriting(.createNew), permissions: [.ownerReadWrite, .otherExecute])
                stage.note("\(try await file.information().permissions)")
                try await file.setPermissions([.ownerRead, .groupRead])
                try await file.close()
                return "\(try await File.information(at: path).permissions)"
            }
        },

        Transcript("Files: a cancelled task reads and writes nothing more") { stage in
            let path = stage.folder + "/file"
            let work = stage.client.start {
                try await withFile(path, .writing(.createNew)) { file in
                    for _ in 0..<1_000_000 { try await file.write(Bytes.pattern(1_000)) }
                }
            }
            try await stage.settle()
            work.cancel()
            await stage.tell("writer", work)
            let late = stage.client.start { try await File.readAll(path).count }
            late.cancel()
            await stage.tell("reader", late)
        },
    ]
}
