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
    private let claims = Claims()

    init(client: HTTPClient, display: FetchDisplay, folder: String, output: String?, sha256: String?, overwrites: Bool)
    {
        self.client = client
        self.display = display
        self.folder = folder
        self.output = output
        self.sha256 = sha256
        self.overwrites = overwrites
    }

    /// The files that are one URL's already.
    private final class Claims: Sendable {
        private let paths = Locked<Set<String>>([])

        /// False if one of them was claimed before.
        func claim(_ wanted: Set<String>) -> Bool {
            paths.withLock { paths in
                guard paths.isDisjoint(with: wanted) else { return false }
                paths.formUnion(wanted)
                return true
            }
        }
    }

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
        let part = path + ".part"
        let note = path + ".part.etag"
        guard claims.claim([path, part, note]) else {
            throw Failure(description: "it has the same name as another: \(path)")
        }
        if !overwrites, (try? await File.information(at: path)) != nil {
            throw Failure(description: "\(path) is there already (--overwrite replaces it)")
        }
        let begun = await begun(part, note)
        var answer: HTTPClient.Response?
        if let begun { answer = try await rest(of: target, begun) }
        if let begun, let answer, answer.status == .partialContent {
            try await store(answer, from: begun.size, part, number)
        } else {
            let response = if let answer { answer } else { try await all(of: target) }
            // A part is never beside the note of another.
            try? await File.remove(note)
            try? await File.remove(part)
            try await keepTag(response, note)
            try await store(response, from: 0, part, number)
        }
        if let sha256 { try await check(part, sha256) }
        try await File.rename(part, to: path)
        try? await File.remove(note)
    }

    /// Writes what comes behind what is there.
    private func store(_ response: HTTPClient.Response, from start: Int64, _ part: String, _ number: Int) async throws {
        // What a server claims may be anything.
        let total = response.body.length.map { $0.addingReportingOverflow(Int(start)) }
        display.total(number, total.flatMap { $0.overflow ? nil : $0.partialValue })
        display.add(number, Int(start))
        try await withFile(part, .writing(start > 0 ? .createOrOpen : .createOrTruncate)) { file in
            var position = start
            for try await piece in response.body {
                try await file.write(piece, at: position)
                position += Int64(piece.count)
                display.add(number, piece.count)
            }
        }
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

    private func all(of target: HTTPURL) async throws -> HTTPClient.Response {
        let response = try await client.send(HTTPClient.Request(.get, target)).expectSuccess()
        guard response.status != .partialContent else {
            throw Failure(description: "asked for all of it, and got \(range(response))")
        }
        return response
    }

    /// Asks for what is missing, and returns that, or all, as the server likes; nil if all has to come anew: it is
    /// shorter now than what we have of it, it is something else, or all of it was there and something else went wrong.
    private func rest(of target: HTTPURL, _ begun: (size: Int64, tag: String)) async throws -> HTTPClient.Response? {
        var request = HTTPClient.Request(.get, target)
        request.headerFields[.range] = "bytes=\(begun.size)-"
        request.headerFields[.ifRange] = begun.tag
        let response = try await client.send(request)
        if response.status == .rangeNotSatisfiable { return nil }
        try response.expectSuccess()
        guard response.status == .partialContent else { return response }
        let now = response.headerFields[begun.tag.hasPrefix("\"") ? .eTag : .lastModified]
        if let now, now != begun.tag { return nil }
        guard isRest(response, from: begun.size) else {
            throw Failure(description: "asked for the bytes from \(begun.size), and got \(range(response))")
        }
        return response
    }

    /// Whether a part begins there, and goes to the end: `bytes 100-299/300`, or `/*` if that is not known.
    private func isRest(_ response: HTTPClient.Response, from start: Int64) -> Bool {
        guard let match = range(response).wholeMatch(of: #/bytes ([0-9]+)-([0-9]+)/([0-9]+|\*)/#),
            let first = Int64(match.1), let last = Int64(match.2), last < .max
        else { return false }
        return first == start && last >= start && (match.3 == "*" || Int64(match.3) == last + 1)
    }

    private func range(_ response: HTTPClient.Response) -> String { response.headerFields[.contentRange] ?? "others" }

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
