#if HTTP
public import AsyncIO
import HTTPTypes

/// Serves the files of a folder.
///
/// ```swift
/// var files = StaticFiles("site")
/// files.cacheControl = "public, max-age=3600"
/// try await server.serve(files.handler)          // or router.mount("/pages", files.handler)
/// ```
///
/// Nothing outside of the folder is ever opened: the kernel sees to it (openat2(2)), whatever the path says, and
/// wherever links lead. Links that stay in the folder are followed. Names that begin with a dot are not there, except
/// `.well-known`.
///
/// GET and HEAD are answered, with `ETag`, `Last-Modified`, conditions (RFC 9110 section 13), one or several ranges
/// (section 14), and the content sent by the kernel. 404 for what is not there, 403 for what may not be read.
///
/// The tag is the size and the moment of the last change. It is weak while that is less than two seconds ago: files may
/// change twice in one tick of the kernel's clock, and a part must never be put together with one of another state.
public struct StaticFiles: Sendable {
    private let folder: EnclosedFolder
    /// What is served for a folder, the first that is there.
    public var indexNames = ["index.html"]
    /// Whether a folder without an index is answered with a page of its names, at most 10,000.
    public var listsFolders = false
    /// Whether names that begin with a dot are served: `.git`, `.env`.
    public var servesHiddenFiles = false
    /// How long clients and caches may keep the answers (RFC 9111 section 5.2): `public, max-age=3600`. Nothing is said
    /// by default.
    public var cacheControl: String?
    /// Whether clients that take gzip get the file with `.gz` behind its name, if it is there, and not older.
    public var usesPrecompressedFiles = false
    /// Types by the ends of names, before the built-in ones: `["gmi": "text/gemini"]`. In small letters.
    public var contentTypes: [String: String] = [:]

    /// The files of a folder. It is opened anew for every request: what a deployment puts in its place is served from
    /// then on.
    public init(_ folder: some PathConvertible) { self.folder = EnclosedFolder(folder) }

    /// The files as a handler.
    public var handler: HTTPServer.Handler {
        { request in try await answer(request) }
    }

    private func answer(_ request: HTTPServer.Request) async throws -> HTTPServer.Response {
        guard request.method == .get || request.method == .head else {
            let allow: HTTPFields = [.allow: "GET, HEAD, OPTIONS"]
            if request.method == .options { return HTTPServer.Response(.noContent, headerFields: allow) }
            throw HTTPError(.methodNotAllowed, "files are for GET and HEAD", headerFields: allow)
        }
        let segments = try PathSegments(request.path)
        // A slash that came encoded is in no file's name. An empty part is only possible at the end: a folder's.
        var names = segments.decoded
        let isFolder = names.last == ""
        if isFolder { names.removeLast() }
        let areNames = names.allSatisfy { !$0.isEmpty && !$0.utf8.contains(UInt8(ascii: "/")) && isVisible($0) }
        guard areNames else { throw missing(request) }
        let path = names.isEmpty ? "." : names.joined(separator: "/")
        do {
            if isFolder { return try await answer(request, folder: path) }
            let file = try await folder.open(path)
            return try await send(file, path: path, request)
        } catch let error as IOError where error.code == .isDirectory {
            // Relative, since a proxy may have taken something away in front; `./`, since a name may have a colon.
            let last = request.path.split(separator: "/").last ?? ""
            return .redirect(to: "./\(last)/\(request.queryText)", status: .movedPermanently)
        } catch let error as IOError {
            throw explained(error, request)
        }
    }

    private func isVisible(_ name: some StringProtocol) -> Bool {
        // By bytes, as others see it: a combining mark may be joined to the dot.
        servesHiddenFiles || name.utf8.first != UInt8(ascii: ".") || name == ".well-known"
    }

    private func missing(_ request: HTTPServer.Request) -> HTTPError {
        HTTPError(.notFound, "nothing is at \(request.path.prefix(200))")
    }

    /// What a client may know of what the file system says: no paths.
    private func explained(_ error: IOError, _ request: HTTPServer.Request) -> any Error {
        switch error.code {
        case .noSuchFileOrDirectory, .notDirectory, .improperLink, .tooManySymbolicLinkLevels, .fileNameTooLong,
            .noSuchAddressOrDevice, .invalidArgument:
            missing(request)
        case .permissionDenied, .notPermitted:
            HTTPError(.forbidden, "\(request.path.prefix(200)) may not be read")
        default:
            error
        }
    }

    // MARK: Folders

    private func answer(_ request: HTTPServer.Request, folder path: String) async throws -> HTTPServer.Response {
        for name in indexNames {
            let inner = path == "." ? name : "\(path)/\(name)"
            do {
                return try await send(try await folder.open(inner), path: inner, request)
            } catch let error as IOError where error.code == .noSuchFileOrDirectory || error.code == .isDirectory {
                continue
            }
        }
        guard listsFolders else { throw missing(request) }
        let entries = try await folder.entries(of: path, limit: FolderPage.limit).filter { isVisible($0.name) }
        let shown = PercentCoding.text(request.path) ?? request.path
        var response = HTTPServer.Response.html(FolderPage.page(shown, entries))
        response.headerFields[.contentSecurityPolicy] = "default-src 'none'"
        response.headerFields[.xContentTypeOptions] = "nosniff"
        response.headerFields[.cacheControl] = cacheControl
        return response
    }

    // MARK: Files

    private func send(_ file: File, path: String, _ request: HTTPServer.Request) async throws -> HTTPServer.Response {
        guard file.kind == .regular else { throw missing(request) }
        let information = try await file.information()
        let name = path.split(separator: "/").last ?? ""
        var response = HTTPServer.Response()
        response.headerFields[.contentType] = ContentTypes.type(of: name, contentTypes)
        response.headerFields[.xContentTypeOptions] = "nosniff"
        response.headerFields[.cacheControl] = cacheControl
        var (chosen, state) = (file, information)
        if usesPrecompressedFiles {
            response.headerFields[.vary] = "Accept-Encoding"
            if Negotiation(request.headerFields[values: .acceptEncoding]).prefersGzip,
                let (packed, its) = try await precompressed(path), its.modified >= information.modified
            {
                (chosen, state) = (packed, its)
                response.headerFields[.contentEncoding] = "gzip"
            }
        }
        let content = FileContent(file: chosen, information: state, now: .now)
        return content.complete(response, for: request)
    }

    private func precompressed(_ path: String) async throws -> (File, FileInformation)? {
        do {
            let file = try await folder.open("\(path).gz")
            return file.kind == .regular ? (file, try await file.information()) : nil
        } catch is IOError {
            // Then it is sent as it is.
            return nil
        }
    }
}
#endif
