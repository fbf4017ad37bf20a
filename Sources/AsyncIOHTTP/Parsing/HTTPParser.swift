#if HTTP
import AsyncIO
import CNIOLLHTTP
import HTTPTypes

/// Takes messages of HTTP/1 apart (RFC 9112): bytes in, events out, and nothing of a network.
///
/// ```
/// feed(bytes)  ──▶  next()  ──▶  head · body … body · end   head · …        in the order of the messages
///                                needsBytes                                  when all that was fed is understood
/// ```
///
/// It stops behind each message: what follows stays unparsed until ``next()`` is called again, or is somebody else's
/// (``takeRest()``) after an upgrade. The grammar is llhttp's, in its strict mode. What that lets through, and what a
/// message may cost, is checked here: ``HeadRules``, ``HTTPLimits``. Whatever is wrong ends the parser: there is no way
/// to find the next message behind one that is not understood.
///
/// For one thread at a time.
@safe
final class HTTPParser {
    /// Which messages come.
    enum Kind { case requests, responses }

    /// What was found in the bytes.
    enum Event {
        /// A head is complete: ``requestHead`` or ``responseHead`` has it.
        case head
        /// Bytes of the body, at least one.
        case body([UInt8])
        /// The message is complete: ``trailerFields`` are known.
        case end
        /// All that was fed is understood, and is not the end of a message.
        case needsBytes
    }

    /// How far the parser has come in a message.
    enum Stage { case between, head, body }

    /// A field that was collected, as offsets in ``text``: the name begins where the last value has ended.
    struct Mark {
        var nameEnd: Int32
        var valueEnd: Int32
    }

    let kind: Kind
    let limits: HTTPLimits
    /// Alive as long as this object.
    let machine: UnsafeMutablePointer<llhttp_t>

    // Touched by llhttp's callbacks as well, which know this object alone.

    @safe @exclusivity(unchecked) var stage = Stage.between
    /// The target or the reason phrase, and behind it names and values without anything between them: of the head, and
    /// later of the trailers.
    @safe @exclusivity(unchecked) var text: [UInt8] = []
    /// Where the first line's part of ``text`` ends.
    @safe @exclusivity(unchecked) var lineEnd = 0
    @safe @exclusivity(unchecked) var marks: [Mark] = []
    /// Where the name of the field ends that is being read; nil while there is none, or while the name is read.
    @safe @exclusivity(unchecked) var nameEnd: Int?
    @safe @exclusivity(unchecked) var headIsComplete = false
    @safe @exclusivity(unchecked) var messageIsComplete = false
    /// How many of the marks are the head's: those behind them are the trailers'.
    @safe @exclusivity(unchecked) var headMarks = 0
    @safe @exclusivity(unchecked) var length = HTTPBodyLength.none
    @safe @exclusivity(unchecked) var keepsAlive = false
    /// What the last turn has found of the body: one piece of ``input``, or several, copied together.
    @safe @exclusivity(unchecked) var piece = 0..<0
    @safe @exclusivity(unchecked) var pieces: [UInt8] = []
    @safe @exclusivity(unchecked) var bodySize = 0
    @safe @exclusivity(unchecked) var extensionsSize = 0
    @safe @exclusivity(unchecked) var trailerSize = 0
    /// Counts what shows that a body comes forward.
    @safe @exclusivity(unchecked) var progress = 0
    /// What has been found wrong by a callback: llhttp only says that one has.
    @safe @exclusivity(unchecked) var refusal: HTTPError?
    /// How many bytes of the head were read in earlier turns.
    @safe @exclusivity(unchecked) var headSize = 0
    /// From where in the input llhttp reads, in this turn.
    @safe @exclusivity(unchecked) var turnBegin = 0
    /// Where the input begins, while llhttp reads it.
    @exclusivity(unchecked) var inputStart: UnsafePointer<UInt8>?
    /// Of a response: whether it is one without a body, whatever its head says, as to HEAD.
    @safe @exclusivity(unchecked) var nextHasNoBody = false

    private var input: [UInt8] = []
    private var position = 0
    /// How many bytes were read in the body since it last came forward.
    private var framingSize = 0
    /// What has been read of the first line's beginning, where it came in pieces.
    private var lineBeginning: [UInt8] = []
    /// What ended the parser.
    private(set) var failure: HTTPError?
    /// ``firstLine``, of the head that ended the parser.
    private(set) var refusedLine: (method: HTTPRequest.Method, target: String)?
    private(set) var requestHead: HTTPRequestHead?
    private(set) var responseHead: HTTPResponseHead?
    /// The fields behind the body; empty while they have not come.
    private(set) var trailerFields: HTTPFields = [:]

    init(_ kind: Kind, limits: HTTPLimits = HTTPLimits()) {
        self.kind = kind
        self.limits = limits
        unsafe machine = .allocate(capacity: 1)
        unsafe machine.initialize(to: llhttp_t())
        let type = kind == .requests ? HTTP_REQUEST : HTTP_RESPONSE
        unsafe c_nio_llhttp_init(machine, type, LLHTTPCallbacks.table)
        unsafe machine.pointee.data = Unmanaged.passUnretained(self).toOpaque()
    }

    deinit {
        unsafe machine.deinitialize(count: 1)
        unsafe machine.deallocate()
    }

    // MARK: In and out

    /// Adds bytes behind those that were fed.
    func feed(_ bytes: [UInt8]) {
        if position == input.count {
            if !piece.isEmpty { collectPiece() }
            input = bytes
            position = 0
        } else {
            input += bytes
        }
    }

    /// What the request asks for whose head comes, if its first line has come and was understood.
    var firstLine: (method: HTTPRequest.Method, target: String)? {
        // Something of a field has come, or all of the head: so the line has been gone through.
        guard kind == .requests, lineEnd > 0, text.count > lineEnd || stage == .body else { return nil }
        return (method, String(decoding: text[..<lineEnd], as: UTF8.self))
    }

    /// How many bytes were fed and not parsed.
    var unparsedCount: Int { input.count - position }

    /// Whether a head has begun and is not complete.
    var isInHead: Bool { stage == .head }

    /// Whether nothing of a message is there: a connection may end here.
    var isBetweenMessages: Bool { stage == .between && !messageIsComplete && failure == nil }

    /// What comes next in the bytes. Throws ``HTTPError``, and no other error: untyped, since Swift 6.3's optimizer
    /// crashes where an asynchronous function calls this in a loop with a typed error.
    func next() throws -> Event {
        while true {
            if headIsComplete {
                headIsComplete = false
                try takeHead()
                return .head
            }
            if let bytes = takeBody() { return .body(bytes) }
            if messageIsComplete {
                try takeTrailers()
                messageIsComplete = false
                stage = .between
                return .end
            }
            if let failure { throw failure }
            guard position < input.count else {
                // Memory is for those that have something to say.
                input = []
                position = 0
                return .needsBytes
            }
            turn()
        }
    }

    /// The peer sends nothing more. Throws ``HTTPError`` if that cuts off a message; the end of one that lasts as
    /// long as the connection is an event like others.
    func finish() throws {
        if let failure { throw failure }
        guard stage != .between && !messageIsComplete else { return }
        let code = unsafe c_nio_llhttp_finish(machine)
        guard code == HPE_OK || code == HPE_PAUSED else {
            throw fail(HTTPError(.badRequest, "the connection ended within a message"))
        }
    }

    /// What was fed behind the last message: of another protocol, from here on.
    func takeRest() -> [UInt8] {
        defer {
            input = []
            position = 0
        }
        return position == 0 ? input : Array(input[position...])
    }

    // MARK: Steps

    /// Has llhttp read what is there, at most to the end of a message.
    private func turn() {
        if stage == .between && skipEmptyLines() { return }
        let isInHead = stage != .body
        // A head gets no byte more than it may have; so the limit does not depend on how the bytes came.
        let count = isInHead ? min(input.count - position, limits.headSize - headSize) : input.count - position
        let before = progress
        turnBegin = position
        var consumed = count
        let code = unsafe input.withUnsafeBufferPointer { input in
            guard let start = input.baseAddress else { return HPE_OK }
            unsafe inputStart = start
            let from = unsafe UnsafeRawPointer(start + position).assumingMemoryBound(to: CChar.self)
            let code = unsafe c_nio_llhttp_execute(machine, from, count)
            if code != HPE_OK, let end = unsafe c_nio_llhttp_get_error_pos(machine) {
                consumed = min(max(unsafe end - from, 0), count)
            }
            return code
        }
        unsafe inputStart = nil
        position += consumed
        switch code {
        case HPE_OK: break
        case HPE_PAUSED:
            unsafe c_nio_llhttp_resume(machine)
        case HPE_PAUSED_UPGRADE:
            unsafe c_nio_llhttp_resume_after_upgrade(machine)
        default:
            fail(refusal ?? error(code))
            return
        }
        if isInHead { countHead(consumed) } else { countFraming(consumed, progressed: before != progress) }
    }

    /// Passes over empty lines before a message (RFC 9112 section 2.2). True if nothing else is there.
    private func skipEmptyLines() -> Bool {
        while position < input.count, input[position] == 0x0d || input[position] == 0x0a { position += 1 }
        return position == input.count
    }

    private func countHead(_ consumed: Int) {
        guard stage != .body, !messageIsComplete else {
            headSize = 0
            return
        }
        headSize += consumed
        if headSize >= limits.headSize { fail(.headTooLarge("the head has more than \(limits.headSize) bytes")) }
        if stage == .head && lineEnd == 0 && text.isEmpty { lineBeginning += input[turnBegin..<position] }
    }

    /// What surrounds the chunks must come to a point, too: zeros before a size, white space behind a name.
    private func countFraming(_ consumed: Int, progressed: Bool) {
        framingSize = progressed ? 0 : framingSize + consumed
        guard framingSize > limits.chunkExtensionsSize + limits.trailerSize else { return }
        fail(HTTPError(.badRequest, "more than \(framingSize) bytes around a chunk"))
    }

    @discardableResult
    private func fail(_ error: HTTPError) -> HTTPError {
        guard failure == nil else { return error }
        failure = error
        refusedLine = firstLine
        return error
    }

    /// What llhttp has found wrong, as an answer.
    private func error(_ code: llhttp_errno) -> HTTPError {
        let reason =
            unsafe c_nio_llhttp_get_error_reason(machine).map { unsafe String(cString: $0) } ?? "not understood"
        switch code {
        case HPE_INVALID_METHOD where kind == .requests && stage == .head:
            // A word that might be a method, as far as it was looked at.
            let word = lineBeginning + input[turnBegin..<min(position + 1, input.count)]
            guard !word.isEmpty, word.allSatisfy(HeadRules.isTokenByte) else { break }
            return HTTPError(.notImplemented, "unknown method")
        case HPE_INVALID_VERSION where reason == "Invalid HTTP version":
            return .versionNotSupported
        case HPE_INVALID_CONSTANT where reason.hasPrefix("Invalid method for HTTP"):
            return HTTPError(.notImplemented, "a method of another protocol")
        case HPE_PAUSED_H2_UPGRADE:
            return .versionNotSupported
        default: break
        }
        return HTTPError(.badRequest, reason)
    }

    private func takeHead() throws(HTTPError) {
        lineBeginning = []
        framingSize = 0
        trailerFields = [:]
        defer {
            // The trailers may have come with it.
            if marks.count == headMarks && text.count == headEnd { forgetText() }
        }
        do {
            switch kind {
            case .requests: requestHead = try HTTPRequestHead(self)
            case .responses: responseHead = try HTTPResponseHead(self)
            }
        } catch {
            throw fail(error)
        }
    }

    /// Where the head's part of ``text`` ends.
    private var headEnd: Int { headMarks == 0 ? lineEnd : Int(marks[headMarks - 1].valueEnd) }

    private func takeTrailers() throws(HTTPError) {
        guard !text.isEmpty else { return }
        defer { forgetText() }
        guard marks.count > headMarks else { return }
        do { trailerFields = try HeadRules.trailers(self) } catch { throw fail(error) }
    }

    /// The memory is kept for the next message, if it is not much.
    private func forgetText() {
        text.removeAll(keepingCapacity: text.capacity <= 1024)
        marks.removeAll(keepingCapacity: marks.capacity <= 32)
        lineEnd = 0
        headMarks = 0
    }

    private func takeBody() -> [UInt8]? {
        if !pieces.isEmpty {
            defer { pieces = [] }
            return pieces
        }
        guard !piece.isEmpty else { return nil }
        defer { piece = 0..<0 }
        return piece.count == input.count ? input : Array(input[piece])
    }

    /// Puts the piece of the body that was found to the others, before the input goes away or one more comes.
    func collectPiece() {
        pieces += input[piece]
        piece = 0..<0
    }
}

extension HTTPError {
    static func headTooLarge(_ reason: String) -> HTTPError { HTTPError(.requestHeaderFieldsTooLarge, reason) }

    static let versionNotSupported = HTTPError(.httpVersionNotSupported, "HTTP/1.1 and HTTP/1.0 are spoken here")
}
#endif
