#if HTTP
import AsyncIO
import HTTPTypes

/// A file as the content of a response: whole, in parts, or not at all.
struct FileContent {
    let file: File
    let size: Int64
    let state: ResourceState
    let now: HTTPDate

    init(file: File, information: FileInformation, now: HTTPDate) {
        self.file = file
        self.now = now
        size = information.size
        let modified = information.modified
        // A moment that is still to come says nothing (RFC 9110 section 8.8.2.1).
        let date = min(HTTPDate(secondsSinceEpoch: modified.seconds), now)
        let isOld = now.secondsSinceEpoch - date.secondsSinceEpoch >= 2
        let value = [UInt64(bitPattern: size), UInt64(bitPattern: modified.seconds), UInt64(modified.nanoseconds)]
            .map { String($0, radix: 16) }.joined(separator: "-")
        state = ResourceState(tag: EntityTag(value, isWeak: !isOld), modified: date, datesAreStrong: isOld)
    }

    /// Puts into a response what the request's conditions and ranges leave of the file.
    func complete(_ response: HTTPServer.Response, for request: HTTPServer.Request) -> HTTPServer.Response {
        var response = response
        response.headerFields[.eTag] = state.tag?.description
        response.headerFields[.lastModified] = state.modified?.description
        switch state.verdict(on: request.method, request.headerFields, now: now) {
        case .notModified:
            response.status = .notModified
            response.headerFields[.contentType] = nil
            response.headerFields[.contentEncoding] = nil
            return response
        case .failed:
            response.status = .preconditionFailed
            response.headerFields[.contentType] = nil
            response.headerFields[.contentEncoding] = nil
            return response
        case .goOn:
            break
        }
        response.headerFields[.acceptRanges] = "bytes"
        // HEAD has no ranges (RFC 9110 section 14.2).
        let asked = request.method == .get && state.allowsRange(request.headerFields, now: now)
        switch ByteRanges(asked ? request.headerFields[.range] : nil, size: size) {
        case .all:
            response.body = HTTPBody(file: file, range: 0..<size)
        case .none:
            response.status = .rangeNotSatisfiable
            response.headerFields[.contentType] = nil
            response.headerFields[.contentEncoding] = nil
            response.headerFields[.contentRange] = "bytes */\(size)"
        case .some(let ranges) where ranges.count == 1:
            response.status = .partialContent
            response.headerFields[.contentRange] = contentRange(ranges[0])
            response.body = HTTPBody(file: file, range: ranges[0])
        case .some(let ranges):
            response.status = .partialContent
            send(ranges, in: &response)
        }
        return response
    }

    private func contentRange(_ range: Range<Int64>) -> String {
        "bytes \(range.lowerBound)-\(range.upperBound - 1)/\(size)"
    }

    /// Several ranges, each with its own head (RFC 9110 section 14.6). All is known beforehand, the length as well.
    private func send(_ ranges: [Range<Int64>], in response: inout HTTPServer.Response) {
        let boundary = Boundary.random()
        let type = response.headerFields[.contentType] ?? ContentTypes.unknown
        let heads = ranges.map {
            "\r\n--\(boundary)\r\nContent-Type: \(type)\r\nContent-Range: \(contentRange($0))\r\n\r\n"
        }
        let end = "\r\n--\(boundary)--\r\n"
        let length = zip(heads, ranges).reduce(end.utf8.count) { $0 + $1.0.utf8.count + $1.1.count }
        response.headerFields[.contentType] = "multipart/byteranges; boundary=\(boundary)"
        let file = file
        response.body = HTTPBody(length: length) { writer in
            for (head, range) in zip(heads, ranges) {
                try await writer.write(head)
                try await writer.write(file, range: range)
            }
            try await writer.write(end)
        }
    }
}

/// What separates the parts of a message (RFC 2046 section 5.1.1).
enum Boundary {
    /// One that nobody can foresee, and so nobody puts into a file.
    static func random() -> String {
        (0..<2).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }.joined(separator: "-")
    }
}
#endif
