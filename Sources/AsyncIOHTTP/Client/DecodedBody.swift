#if HTTP
import AsyncIO
import HTTPTypes

/// The body of a response without its compression, decoded as it is read.
final class DecodedBody: IncomingBody {
    private struct State {
        /// Taken out by the one task that reads. The coding that was applied last comes first.
        var inflaters: [Inflater]?
        var input: [ArraySlice<UInt8>]
        var isOver = false
        var failure: (any Error)?
    }

    private let exchange: Exchange
    private let state: Locked<State>

    /// More layers than a server could have a reason for.
    private static let layerLimit = 3

    private init(_ exchange: Exchange, _ inflaters: [Inflater]) {
        self.exchange = exchange
        state = Locked(State(inflaters: inflaters, input: inflaters.map { _ in [] }))
    }

    /// The body as its codings say. One that has a coding that is not known here stays as it is.
    static func decoding(
        _ body: HTTPBody, _ exchange: Exchange, _ fields: inout HTTPFields, _ limits: HTTPClient.Decompression
    ) throws -> HTTPBody {
        let codings = fields.list(.contentEncoding).map { $0.lowercased() }.filter { $0 != "identity" }
        guard !codings.isEmpty, body.length != 0 else { return body }
        var formats: [DeflateFormat] = []
        for coding in codings {
            switch coding {
            case "gzip", "x-gzip": formats.append(.gzip)
            case "deflate": formats.append(.zlibOrRaw)
            default: return body
            }
        }
        guard formats.count <= layerLimit else {
            let error = exchange.decodingFailed("\(formats.count) codings on top of each other")
            exchange.end(with: error)
            throw error
        }
        let inflating = InflateLimits(total: limits.limit ?? .max, ratio: max(limits.ratio, 1))
        let inflaters = try formats.reversed().map { try Inflater($0, limits: inflating) }
        fields[.contentEncoding] = nil
        fields[.contentLength] = nil
        return HTTPBody(incoming: DecodedBody(exchange, inflaters), length: nil)
    }

    var trailerFields: HTTPFields? { state.withLock { $0.isOver } ? exchange.trailerFields : nil }

    func next() async throws -> [UInt8]? {
        let (taken, rest, failure, isOver) = state.withLock { state in
            (state.inflaters.take(), state.input, state.failure, state.isOver)
        }
        guard let inflaters = taken else { throw Exchange.isRead }
        var input = rest
        defer {
            let kept = input
            state.withLock { state in
                state.inflaters = inflaters
                state.input = kept
            }
        }
        if let failure { throw failure }
        if isOver { return nil }
        do {
            if let piece = try await piece(from: inflaters.count - 1, inflaters, &input) { return piece }
            state.withLock { $0.isOver = true }
            return nil
        } catch let error as ContentCodingError {
            let error = exchange.decodingFailed("\(error)")
            state.withLock { $0.failure = error }
            exchange.end(with: error)
            throw error
        }
    }

    /// What a layer makes of what the one below it makes; the lowest takes what has come.
    private func piece(
        from layer: Int, _ inflaters: [Inflater], _ input: inout [ArraySlice<UInt8>]
    ) async throws -> [UInt8]? {
        guard layer >= 0 else { return try await exchange.next() }
        while true {
            if let piece = try inflaters[layer].next(&input[layer]) { return piece }
            guard let more = try await piece(from: layer - 1, inflaters, &input) else {
                try inflaters[layer].finish()
                return nil
            }
            input[layer] = more[...]
        }
    }
}

extension Exchange {
    /// The error of a body that cannot be decoded, or is not to be.
    func decodingFailed(_ detail: String) -> HTTPClientError {
        HTTPClientError(.decompressionFailed, subject: plan.request.subject, detail: detail)
    }
}
#endif
