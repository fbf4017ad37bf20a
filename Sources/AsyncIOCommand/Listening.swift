import ArgumentParser
import AsyncIO

/// Where a server listens.
struct Place: ParsableArguments {
    @Option(help: "The address or name to listen on; 0.0.0.0 means all of this machine's.")
    var host = "127.0.0.1"

    /// Where to listen, with the server's own default.
    func address(port: UInt16) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}

/// Why a server cannot listen, in one line with the remedy.
struct CannotListen: Error, CustomStringConvertible {
    let place: String
    let reason: String

    var description: String { "cannot listen on \(place): \(reason)" }

    init(_ place: String, port: UInt16, _ error: any Error) {
        self.place = place
        reason = Self.reason(error, port)
    }

    private static func reason(_ error: any Error, _ port: UInt16) -> String {
        if let error = error as? ResolutionError {
            return "that host cannot be found (\(error.detail ?? "\(error.reason)")); try --host 127.0.0.1"
        }
        guard let error = error as? IOError else { return "\(error)" }
        let other = port < 65_535 ? port + 1 : 0
        return switch error.code {
        case .addressInUse:
            "the port is in use by another program; choose another one (--port \(other), or --port 0 for any free one)"
        case .permissionDenied where port < 1024 && port > 0:
            "ports below 1024 are for root; choose a higher one (--port \(8000 + port))"
        case .addressNotAvailable:
            "this machine does not have that address; try --host 127.0.0.1, or --host 0.0.0.0 for all that it has"
        default:
            "\(error.code)"
        }
    }
}

extension Place {
    /// Listens, or says in a line that a person understands why that does not work.
    func listen<Listener>(port: UInt16, _ bind: (String, UInt16) async throws -> Listener) async throws -> Listener {
        do {
            return try await bind(host, port)
        } catch let error where !(error is CancellationError) {
            throw CannotListen(address(port: port), port: port, error)
        }
    }
}

extension SocketAddress {
    /// What a person on this machine types to get in.
    var invitation: String {
        let host = ["0.0.0.0", "::"].contains(host) ? "localhost" : host
        return "nc \(host) \(port ?? 0)"
    }
}

extension Error {
    /// Whether the other side has merely gone: nothing to report.
    var isDeparture: Bool {
        switch (self as? IOError)?.code {
        case .connectionReset, .brokenPipe, .timedOut, .canceled, .socketNotConnected, .connectionAbort: true
        default: false
        }
    }
}
