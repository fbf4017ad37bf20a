#if HTTP
import ArgumentParser
import AsyncIOHTTP
import Glibc

#if TLS
import AsyncIOTLS
#endif

/// `asyncio fetch`.
struct Fetch: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch files from the web, many at once.",
        discussion: """
            Each URL becomes a file in this folder, or in the one that --into names, called
            as the last part of its path. While it comes it is called NAME.part; what was
            broken off goes on from there the next time, if the server still has the same.

            EXAMPLES
              asyncio fetch http://127.0.0.1:8000/a.iso http://127.0.0.1:8000/b.iso
              asyncio fetch --jobs 8 --into downloads $(cat urls.txt)
              asyncio fetch --output - http://127.0.0.1:8000/page.html | less
              asyncio fetch --sha256 9f86d081… http://127.0.0.1:8000/a.iso

            A terminal shows how far all are; anything else gets a line for each file that
            has come. What has failed is listed at the end.

            EXIT CODES
              0     all have come
              1     some have not
              130   interrupted by Ctrl-C: the next time it goes on
            """)

    @Argument(help: ArgumentHelp("What to fetch.", valueName: "url"))
    var urls: [String]

    @Option(help: ArgumentHelp("The folder for the files; it is made if there is none.", valueName: "folder"))
    var into = "."

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("The file for a single URL; - is standard output.", valueName: "file"))
    var output: String?

    @Option(name: .shortAndLong, help: "How many come at once.")
    var jobs = 4

    @Option(help: ArgumentHelp("How long a file may take in all.", valueName: "duration"))
    var timeout: TimeSpan?

    @Option(help: ArgumentHelp("What sha256sum must say of a single URL's file.", valueName: "hex"))
    var sha256: String?

    @Option(help: ArgumentHelp("Also trust the authorities in this file, in PEM form.", valueName: "file"))
    var tlsCa: String?

    @Flag(help: "Replace files that are there.")
    var overwrite = false

    func validate() throws {
        guard !urls.isEmpty else { throw ValidationError("Name at least one URL.") }
        guard (1...1000).contains(jobs) else { throw ValidationError("--jobs is a number from 1 to 1000.") }
        guard urls.count == 1 || output == nil && sha256 == nil else {
            throw ValidationError("--output and --sha256 are for a single URL.")
        }
        let digits = sha256.map { $0.lowercased().utf8.allSatisfy(Array("0123456789abcdef".utf8).contains) } ?? true
        guard digits, sha256.map({ $0.count == 64 }) ?? true else {
            throw ValidationError("--sha256 is 64 hexadecimal digits.")
        }
        guard sha256 == nil || output != "-" else { throw ValidationError("--sha256 needs a file.") }
    }

    func run() throws {
        let options = EventLoop.Options(name: "fetch", interrupts: [])
        let (signal, hasFailures) = try EventLoop.run(options: options) { try await fetchAll() }
        if let signal { throw ExitCode(128 + signal.rawValue) }
        if hasFailures { throw ExitCode(1) }
    }

    private func fetchAll() async throws -> (signal: Signal?, hasFailures: Bool) {
        guard let loop = EventLoop.current else { throw EventLoopError.noLoop }
        let interruption = try Interruption(on: loop)
        defer { interruption.close() }
        if into != "." { try await Folder.makeAll(into) }
        let display = FetchDisplay(total: urls.count, isQuiet: output == "-", on: loop)
        var configuration = HTTPClient.Configuration()
        // A file is what it is: bytes that were decoded would not fit to their parts.
        configuration.decompression = nil
        configuration.timeouts.total = timeout?.duration
        configuration.pool.connectionsPerServer = jobs
        if let tlsCa { try await trust(tlsCa, in: &configuration) }
        let fetching = loop.submit(name: "fetch") { [configuration] in
            try await HTTPClient.withClient(configuration) { client in
                let fetcher = Fetcher(
                    client: client, display: display, folder: into, output: output, sha256: sha256?.lowercased(),
                    overwrites: overwrite)
                _ = try await gatherEach(urls, limit: jobs) { url in try await fetcher.fetch(url) }
            }
        }
        interruption.first { fetching.cancel() }
        let drawing = loop.submit(name: "display") { try await display.drawAgain() }
        defer { drawing.cancel() }
        do {
            try await fetching.value
        } catch is CancellationError where interruption.signal != nil {
            // Told below.
        }
        display.finish()
        return (interruption.signal, display.hasFailures)
    }

    #if TLS
    private func trust(_ file: String, in configuration: inout HTTPClient.Configuration) async throws {
        var tls = TLSConfiguration()
        tls.trust = .systemAnd(pem: try await File.readAll(file, limit: 16 << 20))
        configuration.tls = try TLSConnector(tls)
    }
    #else
    private func trust(_ file: String, in configuration: inout HTTPClient.Configuration) async throws {
        throw MissingTrait(what: "--tls-ca", trait: "HTTP,TLS")
    }
    #endif
}
#endif
