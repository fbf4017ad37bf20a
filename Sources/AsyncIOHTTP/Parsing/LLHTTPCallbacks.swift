#if HTTP
import CNIOLLHTTP
import HTTPTypes

/// What llhttp calls while it reads, for all parsers: each finds its own through `data`.
///
/// A callback that returns something else than zero ends the reading. Those of one parser run within its `next()`, on
/// the same thread, so the object is alive.
enum LLHTTPCallbacks {
    /// Made once, never changed and never freed: llhttp keeps the pointer.
    @safe nonisolated(unsafe) static let table: UnsafeMutablePointer<llhttp_settings_t> = {
        let table = UnsafeMutablePointer<llhttp_settings_t>.allocate(capacity: 1)
        unsafe table.initialize(to: llhttp_settings_t())
        unsafe c_nio_llhttp_settings_init(table)
        unsafe table.pointee.on_message_begin = { unsafe parser($0)?.messageBegins() ?? failed }
        unsafe table.pointee.on_url = { unsafe parser($0)?.line($1, $2) ?? failed }
        unsafe table.pointee.on_status = { unsafe parser($0)?.line($1, $2) ?? failed }
        unsafe table.pointee.on_protocol = { unsafe parser($0)?.protocolName($1, $2) ?? failed }
        unsafe table.pointee.on_header_field = { unsafe parser($0)?.fieldName($1, $2) ?? failed }
        unsafe table.pointee.on_header_field_complete = { unsafe parser($0)?.fieldNameEnds() ?? failed }
        unsafe table.pointee.on_header_value = { unsafe parser($0)?.fieldValue($1, $2) ?? failed }
        unsafe table.pointee.on_headers_complete = { unsafe parser($0)?.headEnds() ?? failed }
        unsafe table.pointee.on_body = { unsafe parser($0)?.body($1, $2) ?? failed }
        unsafe table.pointee.on_chunk_extension_name = { unsafe parser($0)?.chunkExtension($2) ?? failed }
        unsafe table.pointee.on_chunk_extension_value = { unsafe parser($0)?.chunkExtension($2) ?? failed }
        unsafe table.pointee.on_chunk_extension_name_complete = { unsafe parser($0)?.chunkExtension(1) ?? failed }
        unsafe table.pointee.on_chunk_extension_value_complete = { unsafe parser($0)?.chunkExtension(1) ?? failed }
        unsafe table.pointee.on_chunk_header = { unsafe parser($0)?.chunkBegins() ?? failed }
        unsafe table.pointee.on_message_complete = { unsafe parser($0)?.messageEnds() ?? failed }
        return unsafe table
    }()

    fileprivate static let goOn: CInt = 0
    fileprivate static let failed = CInt(bitPattern: HPE_USER.rawValue)

    @inline(__always)
    private static func parser(_ machine: UnsafeMutablePointer<llhttp_t>?) -> HTTPParser? {
        guard let object = unsafe machine?.pointee.data else { return nil }
        return unsafe Unmanaged<HTTPParser>.fromOpaque(object).takeUnretainedValue()
    }
}

extension HTTPParser {
    fileprivate func messageBegins() -> CInt {
        stage = .head
        bodySize = 0
        extensionsSize = 0
        trailerSize = 0
        return LLHTTPCallbacks.goOn
    }

    /// Part of the target, or of the reason phrase.
    @unsafe
    fileprivate func line(_ start: UnsafePointer<CChar>?, _ count: Int) -> CInt {
        let begin = unsafe offset(start)
        if kind == .requests && lineEnd == 0 && begin != methodSize + 1 {
            return refuse(HTTPError(.badRequest, "more than a space before the target"))
        }
        unsafe add(start, count)
        lineEnd = text.count
        guard lineEnd + HTTPRequestHead.lineOverhead > limits.lineSize else { return LLHTTPCallbacks.goOn }
        return refuse(HTTPError(.uriTooLong, "the first line has more than \(limits.lineSize) bytes"))
    }

    /// llhttp passes over several spaces where one belongs, and reads other protocols, too.
    @unsafe
    fileprivate func protocolName(_ start: UnsafePointer<CChar>?, _ count: Int) -> CInt {
        guard kind == .requests, let start = unsafe start else { return LLHTTPCallbacks.goOn }
        let begin = unsafe offset(start) - (methodSize + 1 + lineEnd + 1)
        guard begin >= 0, begin + count <= 4 else {
            return refuse(HTTPError(.badRequest, "more than a space before the version"))
        }
        // H, T, T, P
        let name: InlineArray<4, CChar> = [0x48, 0x54, 0x54, 0x50]
        for index in 0..<count where unsafe start[index] != name[begin + index] {
            return refuse(HTTPError(.badRequest, "another protocol than HTTP"))
        }
        return LLHTTPCallbacks.goOn
    }

    /// How far into the head a place is.
    @unsafe
    private func offset(_ place: UnsafePointer<CChar>?) -> Int {
        guard let place = unsafe place, let inputStart = unsafe inputStart else { return 0 }
        return unsafe UnsafeRawPointer(place) - UnsafeRawPointer(inputStart) - turnBegin + headSize
    }

    @unsafe
    fileprivate func fieldName(_ start: UnsafePointer<CChar>?, _ count: Int) -> CInt {
        endField()
        unsafe add(start, count)
        return countField(count)
    }

    fileprivate func fieldNameEnds() -> CInt {
        nameEnd = text.count
        return LLHTTPCallbacks.goOn
    }

    @unsafe
    fileprivate func fieldValue(_ start: UnsafePointer<CChar>?, _ count: Int) -> CInt {
        unsafe add(start, count)
        return countField(count)
    }

    fileprivate func headEnds() -> CInt {
        endField()
        stage = .body
        headIsComplete = true
        headMarks = marks.count
        keepsAlive = unsafe c_nio_llhttp_should_keep_alive(machine) != 0
        // What a request asks for is decided by whoever answers; until then it is a request like others.
        if kind == .requests { unsafe machine.pointee.upgrade = 0 }
        let flags = unsafe UInt32(machine.pointee.flags)
        if nextHasNoBody || kind == .responses && statusHasNoBody {
            nextHasNoBody = false
            length = .none
            return 1
        }
        if flags & F_CHUNKED.rawValue != 0 {
            length = .chunked
        } else if flags & F_CONTENT_LENGTH.rawValue != 0 {
            guard let known = unsafe Int(exactly: machine.pointee.content_length) else {
                return refuse(HTTPError(.badRequest, "Content-Length is beyond everything"))
            }
            length = .known(known)
        } else {
            length = unsafe kind == .responses && c_nio_llhttp_message_needs_eof(machine) != 0 ? .untilEnd : .none
        }
        return LLHTTPCallbacks.goOn
    }

    /// Whatever its fields say (RFC 9112 section 6.3). What follows 101 is no body, but another protocol.
    private var statusHasNoBody: Bool {
        switch unsafe machine.pointee.status_code {
        case 100, 102...199, 204, 304: true
        default: false
        }
    }

    @unsafe
    fileprivate func body(_ start: UnsafePointer<CChar>?, _ count: Int) -> CInt {
        guard count > 0, let start = unsafe start, let inputStart = unsafe inputStart else {
            return LLHTTPCallbacks.goOn
        }
        progress &+= 1
        let (size, isBeyond) = bodySize.addingReportingOverflow(count)
        if isBeyond || size > limits.bodySize ?? Int.max {
            return refuse(.contentTooLarge(limit: limits.bodySize ?? size))
        }
        bodySize = size
        let bytes = unsafe UnsafeRawPointer(start).assumingMemoryBound(to: UInt8.self)
        let offset = unsafe bytes - inputStart
        if piece.isEmpty && pieces.isEmpty {
            piece = offset..<offset + count
        } else if !piece.isEmpty && piece.upperBound == offset {
            piece = piece.lowerBound..<offset + count
        } else {
            if !piece.isEmpty {
                // The input cannot be read as an array while llhttp has it.
                let first = unsafe UnsafeBufferPointer(start: inputStart + piece.lowerBound, count: piece.count)
                unsafe pieces.append(contentsOf: first)
                piece = 0..<0
            }
            unsafe pieces.append(contentsOf: UnsafeBufferPointer(start: bytes, count: count))
        }
        return LLHTTPCallbacks.goOn
    }

    /// Some more bytes of a name or a value, and at the end of each one more for what stands between them.
    fileprivate func chunkExtension(_ count: Int) -> CInt {
        extensionsSize += count
        guard extensionsSize > limits.chunkExtensionsSize else { return LLHTTPCallbacks.goOn }
        return refuse(HTTPError(.badRequest, "more than \(limits.chunkExtensionsSize) bytes of chunk extensions"))
    }

    fileprivate func chunkBegins() -> CInt {
        progress &+= 1
        return LLHTTPCallbacks.goOn
    }

    fileprivate func messageEnds() -> CInt {
        endField()
        messageIsComplete = true
        return CInt(bitPattern: HPE_PAUSED.rawValue)
    }

    // MARK: Parts

    @unsafe
    private func add(_ start: UnsafePointer<CChar>?, _ count: Int) {
        guard let start = unsafe start else { return }
        let bytes = unsafe UnsafeRawPointer(start).assumingMemoryBound(to: UInt8.self)
        unsafe text.append(contentsOf: UnsafeBufferPointer(start: bytes, count: count))
    }

    /// The field that was read is complete: something else has begun.
    private func endField() {
        guard let end = nameEnd else { return }
        nameEnd = nil
        marks.append(Mark(nameEnd: Int32(truncatingIfNeeded: end), valueEnd: Int32(truncatingIfNeeded: text.count)))
    }

    /// Some more bytes of a field, of the head or behind the body.
    private func countField(_ count: Int) -> CInt {
        if marks.count - headMarks >= limits.fieldCount {
            return refuse(.headTooLarge("more than \(limits.fieldCount) fields"))
        }
        let begin = marks.last.map { Int($0.valueEnd) } ?? lineEnd
        if text.count - begin > limits.lineSize {
            return refuse(.headTooLarge("a field has more than \(limits.lineSize) bytes"))
        }
        guard stage == .body else { return LLHTTPCallbacks.goOn }
        trailerSize += count
        guard trailerSize > limits.trailerSize else { return LLHTTPCallbacks.goOn }
        return refuse(.headTooLarge("the fields behind the body have more than \(limits.trailerSize) bytes"))
    }

    private func refuse(_ error: HTTPError) -> CInt {
        refusal = error
        return LLHTTPCallbacks.failed
    }
}
#endif
