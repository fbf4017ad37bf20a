#if HTTP
import ArgumentParser
import AsyncIOHTTP

#if TLS
import AsyncIOTLS
#endif

/// `asyncio serve files`.
struct ServeFiles: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "files",
        abstract: "A web server for the files of a folder.",
        discussion: """
            EXAMPLES
              asyncio serve files                    this folder, at http://127.0.0.1:8000
              asyncio serve files site --port 8080   another one
              asyncio serve files --tls-cert server.pem --tls-key server.key --port 8443

            Folders are listed unless they have an index.html. Parts, and files that have
            not changed, are understood; nothing leads out of the folder, and what begins
            with a dot is not shown. Each answer is a line in the log. Ctrl-C ends it
            with exit code 0, after the answers that are under way.
            """)

    @Argument(help: "The folder.")
    var folder = "."

    @OptionGroup var place: Place

    @Option(help: "The port; 0 means any that is free.")
    var port: UInt16 = 8000

    @Option(help: ArgumentHelp("Serve https with this certificate, and those that vouch for it.", valueName: "file"))
    var tlsCert: String?

    @Option(help: ArgumentHelp("The certificate's private key.", valueName: "file"))
    var tlsKey: String?

    @Flag(help: "Write no line for each answer.")
    var quiet = false

    @OptionGroup var inspection: InspectOption

    func validate() throws {
        guard (tlsCert == nil) == (tlsKey == nil) else {
            throw ValidationError("--tls-cert and --tls-key belong together.")
        }
    }

    func run() throws {
        inspection.apply()
        let options = EventLoop.Options(name: "files", interrupts: [.interrupt, .terminate])
        try EventLoop.run(options: options) { try await serve() }
        Console.sayGoodbye("files: goodbye")
    }

    private func serve() async throws {
        guard try await File.information(at: folder).kind == .folder else {
            throw ValidationError("\(folder) is no folder")
        }
        var files = StaticFiles(folder)
        files.listsFolders = true
        var server = HTTPServer()
        if !quiet {
            server.onResponse = { exchange in
                let request = exchange.request
                Console.say("\(exchange.status.code) \(request.method) \(shown(request.target))")
            }
        }
        let isSecure = tlsCert != nil
        if let tlsCert, let tlsKey { try secure(&server, tlsCert, tlsKey) }
        let listener = try await place.listen(port: port) { try await TCPListener.bind($0, $1) }
        let host = ["0.0.0.0", "::"].contains(listener.address.host) ? "localhost" : place.host
        let url = "\(isSecure ? "https" : "http")://\(host):\(listener.address.port ?? 0)/"
        Console.say("files: \(folder) on \(listener.address) (\(listener.loop.driverName)) - try: \(url)")
        server.middleware = [HTTPServer.compression()]
        try await server.serve(listener, drain: .seconds(5), files.handler)
    }

    /// A target as it may stand on a terminal: of printable ASCII alone.
    private func shown(_ target: String) -> String {
        String(decoding: target.utf8.map { (0x21...0x7e).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }

    #if TLS
    private func secure(_ server: inout HTTPServer, _ certificate: String, _ key: String) throws {
        let acceptor = try TLSAcceptor(TLSIdentity(certificateFile: certificate, keyFile: key))
        server.secured = { stream in try await TLSStream.server(over: stream, tls: acceptor) }
    }
    #else
    private func secure(_ server: inout HTTPServer, _ certificate: String, _ key: String) throws {
        throw MissingTrait(what: "--tls-cert", trait: "HTTP,TLS")
    }
    #endif
}
#endif
