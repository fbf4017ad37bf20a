#if HTTP
import AsyncIO
import AsyncIOKernel
import HTTPTypes

/// What stands before the body of a response.
typealias ResponseHead = HTTPResponseHead

/// Reads the responses to one request: perhaps some with 1xx, then the one that counts.
///
/// What is wrong with them is told as 502: a server that asks others while it answers is a gateway then, and its own
/// client has done nothing wrong.
///
/// It is used by one task at a time, which takes it out of its place under a lock.
final class ResponseReader: @unchecked Sendable {
    enum Event {
        case head(ResponseHead)
        case body([UInt8])
        case end(HTTPFields)
        /// Something was read, of which there is nothing to tell.
        case nothing
    }

    private let parser: HTTPParser
    /// Responses to these have no body, whatever their head says (RFC 9112 section 6.3).
    private let hasNoBody: Bool

    init(to method: HTTPRequest.Method, limits: HTTPLimits) {
        // How large a body may be is for whoever reads it.
        var limits = limits
        limits.bodySize = nil
        parser = HTTPParser(.responses, limits: limits)
        hasNoBody = method == .head || method == .connect
    }

    func feed(_ bytes: [UInt8]) { parser.feed(bytes) }

    /// What comes next; nil if more has to be fed.
    func next() throws -> Event? {
        // Also behind a response with 1xx.
        if hasNoBody { parser.nextHasNoBody = true }
        do {
            switch try parser.next() {
            case .head: return parser.responseHead.map(Event.head) ?? .nothing
            case .body(let bytes): return .body(bytes)
            case .end: return .end(parser.trailerFields)
            case .needsBytes: return nil
            }
        } catch {
            throw Self.told(error)
        }
    }

    /// The server sends nothing more. Throws if that cuts the response off; a body that ends so has its end as the next
    /// event.
    func finish() throws {
        do {
            try parser.finish()
        } catch {
            throw Self.told(error)
        }
    }

    /// What came behind the response: nobody has asked for it.
    func takeRest() -> [UInt8] { parser.takeRest() }

    private static func told(_ error: any Error) -> any Error {
        guard let error = error as? HTTPError else { return error }
        return HTTPError(.badGateway, "the response is not understood: \(error.reason)")
    }
}
#endif
