#if HTTP
extension HTTPServer.Request {
    /// The fields of a form that comes as `application/x-www-form-urlencoded`, as browsers send those without files.
    ///
    /// Throws ``HTTPError``: 415 for another type, 413 for more bytes than the limit, 400 for what is malformed and for
    /// more fields than that limit; and as reading the body does.
    public func form(upTo limit: Int = 1 << 20, fields: Int = 1_000) async throws -> Query {
        guard contentType?.name == "application/x-www-form-urlencoded" else {
            throw HTTPError(.unsupportedMediaType, "send the form as application/x-www-form-urlencoded")
        }
        return try Query(try await body.text(upTo: limit), limit: fields)
    }

    /// The parts of a form that comes as `multipart/form-data`, as browsers send those with files.
    ///
    /// Throws ``HTTPError``: 415 for another type, 400 for a boundary that may not be one.
    public func multipart(limits: MultipartLimits = MultipartLimits()) throws(HTTPError) -> Multipart {
        guard let type = contentType, type.name == "multipart/form-data" else {
            throw HTTPError(.unsupportedMediaType, "send the form as multipart/form-data")
        }
        guard let boundary = type.parameters["boundary"] else {
            throw HTTPError(.badRequest, "multipart/form-data needs its boundary")
        }
        return try Multipart(body, boundary: boundary, limits: limits)
    }

    /// What the body is said to be; nil if nothing is said, or nothing that can be understood.
    var contentType: MediaType? {
        let values = headerFields[values: .contentType]
        return values.count == 1 ? MediaType(values[0]) : nil
    }
}
#endif
