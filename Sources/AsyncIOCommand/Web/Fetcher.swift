#if HTTP
import AsyncIOHTTP
import Glibc

/// Fetches one file after the other; several tasks may use it.
struct Fetcher: Sendable {
    let client: HTTPClient
    let display: FetchDisplay
    let folder: String
    let output: String?
    let sha256: String?
    let overwrites: Bool

    /// Why a file has not come, in the words of this command.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Fetches one. Whatever goes wrong is told to the display; only a cancellation is thrown.
    func fetch(_ url: String) async throws {
        let number = display.begin(url)
        do {
            if output == "-" { try await pass(url, number) } else { try await save(url, number) }
            display.end(number, nil)
        } catch {
            if Task.isCancelled { throw CancellationError() }
            display.end(number, "\(error)")
        }
    }

    /// To standard output.
    private func pass(_ url: String, _ number: Int) async throws {
        let out = try await StandardStream.open()
        let response = try await client.get(url).expectSuccess()
        display.total(number, response.body.length)
        for try await piece in response.body {
            try await out.write(piece)
            display.add(number, piece.count)
        }
    }

    // MARK: Files

    private func save(_ url: String, _ number: Int) async throws {
        let target = try HTTPURL(url)
        let path = output ?? "\(folder)/\(fileName(target))"
        if !overwrites, (try? await File.information(at: path)) != nil {
            throw Failure(description: "\(path) is there already (--overwrite replaces it)")
        }
        let part = path + ".part"
        let note = path + ".part.etag"
        let begun = await begun(part, note)
        var request = HTTPClient.Request(.get, target)
        if let begun {
            request.headerFields[.range] = "bytes=\(begun.size)-"
            request.headerFields[.ifRange] = begun.tag
        }
        var response = try await client.send(request)
        if response.status == .rangeNotSatisfiable {
            // It is shorter now than what we have of it, or all of it was there and something else went wrong.
            response = try await client.send(HTTPClient.Request(.get, target))
        }
        try response.expectSuccess()
        let start = response.status == .partialContent ? begun?.size ?? 0 : 0
        try checkPart(response, start)
        display.total(number, response.body.length.map { $0 + Int(start) })
        display.add(number, Int(start))
        try await keepTag(response, note)
        try await withFile(part, .writing(start > 0 ? .createOrOpen : .createOrTruncate)) { file in
            var position = start
            for try await piece in response.body {
                try await file.write(piece, at: position)
                position += Int64(piece.count)
                display.add(number, piece.count)
            }
        }
        if let sha256 { try await check(part, sha256) }
        try await File.rename(part, to: path)
        try? await File.remove(note)
    }

    /// The last part of the path, or what a folder's page is called. Nothing that a server says is a name here.
    private func fileName(_ url: HTTPURL) -> String {
        let last = url.path.split(separator: "/").last.map(String.init) ?? ""
        let name = String(last.map { $0.isASCII && ($0.isLetter || $0.isNumber || "._-+".contains($0)) ? $0 : "_" })
        return name.isEmpty || name.hasPrefix(".") || url.path.hasSuffix("/") ? "index.html" : String(name.prefix(200))
    }

    /// What came before, if it is known what it was a part of.
    private func begun(_ part: String, _ note: String) async -> (size: Int64, tag: String)? {
        guard let size = try? await File.information(at: part).size, size > 0,
            let tag = try? await File.readAll(note, limit: 1000),
            let text = String(validating: tag, as: UTF8.self), !text.isEmpty
        else { return nil }
        return (size, text)
    }

    /// Remembers by what a later part can be asked for: a strong tag, or a date.
    private func keepTag(_ response: HTTPClient.Response, _ note: String) async throws {
        let tag = response.headerFields[.eTag].flatMap { $0.hasPrefix("W/") ? nil : $0 }
        guard let tag = tag ?? response.headerFields[.lastModified] else {
            try? await File.remove(note)
            return
        }
        try await File.writeAll(note, tag)
    }

    private func checkPart(_ response: HTTPClient.Response, _ start: Int64) throws {
        guard response.status == .partialContent else { return }
        let range = response.headerFields[.contentRange] ?? ""
        guard range.hasPrefix("bytes \(start)-") else {
            throw Failure(description: "asked for the bytes from \(start), and got \(range.isEmpty ? "others" : range)")
        }
    }

    /// Compares what the system's own tool makes of the file.
    private func check(_ path: String, _ wanted: String) async throws {
        let result = try await Process.run(Command("sha256sum", ["--", path])).checked()
        let sum = String(decoding: result.output.prefix { $0 != UInt8(ascii: " ") }, as: UTF8.self)
        guard sum == wanted else {
            try? await File.remove(path)
            throw Failure(description: "its sha256 is \(sum), and should be \(wanted): it was thrown away")
        }
    }
}
#endif
