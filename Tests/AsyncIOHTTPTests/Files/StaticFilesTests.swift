#if HTTP
import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import AsyncIOTesting
import Glibc
import Testing

@testable import AsyncIOHTTP

/// A folder with files in it, and others beside it that nobody may get.
private struct Site: Sendable {
    let scratch: Scratch
    var files: StaticFiles

    init() throws {
        scratch = try Scratch()
        try scratch.file("secret.txt", "secret")
        try scratch.folder("private")
        try scratch.file("private/key.txt", "secret")
        try scratch.folder("site")
        try scratch.file("site/index.html", "<p>home</p>")
        try scratch.file("site/ten.txt", "0123456789")
        try scratch.file("site/empty", "")
        try scratch.file("site/a b%2f?&<'\".txt", "odd")
        try scratch.file("site/.env", "secret")
        try scratch.file("site/.\u{301}env", "secret")
        try scratch.folder("site/docs")
        try scratch.file("site/docs/a.json", "{}")
        try scratch.folder("site/.git")
        try scratch.file("site/.git/config", "secret")
        try scratch.folder("site/.well-known")
        try scratch.file("site/.well-known/x.txt", "known")
        try scratch.link("site/inside.txt", to: "docs/../ten.txt")
        try scratch.link("site/out.txt", to: "../secret.txt")
        try scratch.link("site/absolute.txt", to: scratch["secret.txt"])
        try scratch.link("site/outfolder", to: "../private")
        try scratch.link("site/up", to: "..")
        try scratch.link("site/loop", to: "loop")
        try scratch.link("site/dangling", to: "nothing")
        try scratch.link("site/proc", to: "/proc/self/root")
        try SystemCall.call("mkfifo") { [scratch] in unsafe mkfifo(scratch["site/fifo"], 0o644) }
        files = StaticFiles(scratch["site"])
        // Long ago: what has just been changed has weak tags.
        for name in scratch.names("site") { age("site/\(name)") }
    }

    /// Changed on 6 November 1994.
    func age(_ name: String, seconds: Int = 784_111_777) {
        let times = [timespec(tv_sec: seconds, tv_nsec: 0), timespec(tv_sec: seconds, tv_nsec: 0)]
        unsafe times.withUnsafeBufferPointer { times in
            _ = unsafe utimensat(AT_FDCWD, scratch[name], times.baseAddress, AT_SYMLINK_NOFOLLOW)
        }
    }
}

@Suite("Static files")
struct StaticFilesTests {
    @Test("are served with what is known of them", arguments: Setting.onRealLoop)
    func plain(setting: Setting) async throws {
        let site = try Site()
        try await withLoop(setting) { _ in
            var files = site.files
            files.cacheControl = "max-age=60"
            files.contentTypes = ["json": "application/own"]
            let response = try await ask(files.handler, .get, "/ten.txt?v=2")
            #expect(response.status == .ok)
            #expect(try await response.text == "0123456789")
            #expect(
                response.headerFields == [
                    .contentType: "text/plain; charset=utf-8", .xContentTypeOptions: "nosniff",
                    .cacheControl: "max-age=60", .eTag: "\"a-2ebc98a1-0\"",
                    .lastModified: "Sun, 06 Nov 1994 08:49:37 GMT", .acceptRanges: "bytes",
                ])
            let empty = try await ask(files.handler, .get, "/empty")
            #expect(try await empty.bytes.isEmpty)
            #expect(empty.status == .ok && empty.headerFields[.contentType] == "application/octet-stream")
            #expect(try await ask(files.handler, .get, "/docs/a.json").headerFields[.contentType] == "application/own")
            // The server leaves the body out, and tells its length.
            #expect(try await ask(files.handler, .head, "/ten.txt").body.length == 10)
        }
        #expect(site.scratch.openDescriptors == 0)
    }

    @Test(
        "are found by their encoded names, and nothing else is",
        arguments: [
            ("/", "200 <p>home</p>"), ("/index.html", "200 <p>home</p>"), ("/ten.txt", "200 0123456789"),
            ("/%74en.txt", "200 0123456789"), ("/inside.txt", "200 0123456789"),
            ("/a%20b%252f%3F&%3C'%22.txt", "200 odd"), ("/.well-known/x.txt", "200 known"),
            ("/docs/a.json", "200 {}"), ("/docs", "301"), ("/docs/", "404"),
            // Nothing there, or not a file.
            ("/none", "404"), ("/ten.txt/", "404"), ("/ten.txt/x", "404"), ("/fifo", "404"), ("/loop", "404"),
            ("/dangling", "404"), ("//ten.txt", "404"), ("/docs//a.json", "404"),
            ("/" + String(repeating: "a", count: 300), "404"),
            ("/" + String(repeating: "a/", count: 3_000), "404"),
            // Hidden.
            ("/.env", "404"), ("/.%CC%81env", "404"), ("/.git/config", "404"), ("/%2eenv", "404"),
            ("/docs/.git", "404"),
            // Ways out.
            ("/..", "400"), ("/../secret.txt", "400"), ("/docs/../../secret.txt", "400"), ("/%2e%2e/secret.txt", "400"),
            ("/.%2e/secret.txt", "400"), ("/%2e./secret.txt", "400"), ("/docs/%2E%2E/%2E%2E/secret.txt", "400"),
            ("/..%2fsecret.txt", "404"), ("/%2e%2e%2fsecret.txt", "404"), ("/docs%2fa.json", "404"),
            ("/docs/..%2f..%2fsecret.txt", "404"),
            ("/%252e%252e/secret.txt", "404"), ("/..%5csecret.txt", "404"), ("/..\\secret.txt", "404"),
            ("/%c0%ae%c0%ae/secret.txt", "400"), ("/%2fetc/passwd", "404"), ("//etc/passwd", "404"),
            ("/ten.txt%00.html", "400"), ("/%00", "400"), ("/.../secret.txt", "404"), ("/....//secret.txt", "404"),
            ("/out.txt", "404"), ("/absolute.txt", "404"), ("/outfolder/key.txt", "404"), ("/outfolder/", "404"),
            ("/up/secret.txt", "404"), ("/up/site/ten.txt", "404"), ("/up/", "404"), ("/proc/etc/passwd", "404"),
            ("/outfolder", "404"),
        ])
    func traversal(_ target: String, _ expected: String) async throws {
        let site = try Site()
        for lists in [false, true] {
            try await withLoop(Setting.onRealLoop[0]) { _ in
                var files = site.files
                files.listsFolders = lists
                let response = try await ask(files.handler, .get, target)
                let text = try await response.text
                if lists && target == "/docs/" {
                    #expect(response.status == .ok)
                } else {
                    #expect((response.status == .ok ? "200 \(text)" : "\(response.status.code)") == expected)
                }
                #expect(!text.contains(site.scratch.path))
            }
        }
        #expect(site.scratch.openDescriptors == 0)
    }

    @Test("that may not be read are forbidden", .enabled(if: geteuid() != 0), arguments: Setting.onRealLoop)
    func forbidden(setting: Setting) async throws {
        let site = try Site()
        try site.scratch.file("site/closed", "x", mode: 0)
        try await withLoop(setting) { _ in
            let response = try await ask(site.files.handler, .get, "/closed")
            #expect(response.status == .forbidden)
        }
    }

    @Test("are for GET and HEAD")
    func methods() async throws {
        let site = try Site()
        let refused = try await ask(site.files.handler, .post, "/ten.txt")
        #expect(refused.status == .methodNotAllowed && refused.headerFields[.allow] == "GET, HEAD, OPTIONS")
        let options = try await ask(site.files.handler, .options, "/ten.txt")
        #expect(options.status == .noContent && options.headerFields[.allow] == "GET, HEAD, OPTIONS")
    }

    @Test(
        "answer conditions, and ranges under conditions",
        arguments: [
            ([.ifNoneMatch: "\"a-2ebc98a1-0\""], "304"), ([.ifModifiedSince: "Sun, 06 Nov 1994 08:49:37 GMT"], "304"),
            ([.ifMatch: "\"x\""], "412"), ([.ifUnmodifiedSince: "Sun, 06 Nov 1994 08:49:36 GMT"], "412"),
            ([.range: "bytes=2-4"], "206 bytes 2-4/10 234"), ([.range: "bytes=-2"], "206 bytes 8-9/10 89"),
            ([.range: "bytes=0-"], "206 bytes 0-9/10 0123456789"), ([.range: "bytes=10-"], "416 bytes */10"),
            ([.range: "bytes=x"], "200 0123456789"), ([.range: "bytes=0-5,2-3"], "200 0123456789"),
            ([.range: "bytes=2-4", .ifRange: "\"a-2ebc98a1-0\""], "206 bytes 2-4/10 234"),
            ([.range: "bytes=2-4", .ifRange: "\"x\""], "200 0123456789"),
            ([.range: "bytes=10-", .ifRange: "\"x\""], "200 0123456789"),
            ([.range: "bytes=2-4", .ifNoneMatch: "\"a-2ebc98a1-0\""], "304"),
        ] as [(HTTPFields, String)])
    func conditions(_ fields: HTTPFields, _ expected: String) async throws {
        let site = try Site()
        try await withLoop(Setting.onRealLoop[0]) { _ in
            let response = try await ask(site.files.handler, .get, "/ten.txt", fields)
            let range = response.headerFields[.contentRange].map { " \($0)" } ?? ""
            let text = try await response.text
            #expect("\(response.status.code)\(range)" + (text.isEmpty ? "" : " \(text)") == expected)
            // Whatever it is, it is said of which state.
            #expect(response.headerFields[.eTag] != nil && response.headerFields[.lastModified] != nil)
            // What has no content has no type.
            #expect((response.headerFields[.contentType] == nil) == text.isEmpty)
            // HEAD knows no ranges.
            if fields[.range] != nil, fields.count == 1 {
                #expect(try await ask(site.files.handler, .head, "/ten.txt", fields).status == .ok)
            }
        }
    }

    @Test("send several ranges as parts, with their length known beforehand", arguments: Setting.onRealLoop)
    func parts(setting: Setting) async throws {
        let site = try Site()
        try await withLoop(setting) { _ in
            let response = try await ask(site.files.handler, .get, "/ten.txt", [.range: "bytes=7-8,0-0"])
            #expect(response.status == .partialContent && response.headerFields[.contentRange] == nil)
            let type = try #require(response.headerFields[.contentType])
            let boundary = try #require(type.split(separator: "=").last)
            #expect(type == "multipart/byteranges; boundary=\(boundary)")
            let part = "\r\n--\(boundary)\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes"
            let text = try await response.text
            #expect(text == "\(part) 7-8/10\r\n\r\n78\(part) 0-0/10\r\n\r\n0\r\n--\(boundary)--\r\n")
            #expect(response.body.length == text.utf8.count)
        }
    }

    @Test("that were changed just now have weak tags, and no ranges by them", arguments: Setting.onRealLoop)
    func fresh(setting: Setting) async throws {
        let site = try Site()
        try site.scratch.file("site/new.txt", "0123456789")
        // However long the test takes.
        site.age("site/new.txt", seconds: time(nil) + 1_000)
        try await withLoop(setting) { _ in
            let response = try await ask(site.files.handler, .get, "/new.txt")
            let tag = try #require(response.headerFields[.eTag])
            #expect(tag.hasPrefix("W/"))
            let again = try await ask(site.files.handler, .get, "/new.txt", [.ifNoneMatch: tag])
            #expect(again.status == .notModified)
            let part = try await ask(site.files.handler, .get, "/new.txt", [.range: "bytes=1-2", .ifRange: tag])
            #expect(part.status == .ok)
        }
    }

    @Test("that lie compressed beside themselves are sent so to those who take it", arguments: Setting.onRealLoop)
    func precompressed(setting: Setting) async throws {
        var site = try Site()
        site.files.usesPrecompressedFiles = true
        let packed = try Deflater(.gzip).deflate(Array("0123456789".utf8), .finish)
        try site.scratch.file("site/ten.txt.gz", packed)
        let (files, scratch, aged) = (site.files, site.scratch, site)
        try await withLoop(setting) { _ in
            let response = try await ask(files.handler, .get, "/ten.txt", [.acceptEncoding: "br, gzip"])
            #expect(try await response.bytes == packed)
            #expect(
                response.headerFields[.contentEncoding] == "gzip" && response.headerFields[.vary] == "Accept-Encoding")
            #expect(response.headerFields[.contentType] == "text/plain; charset=utf-8")
            let plain = try await ask(files.handler, .get, "/ten.txt")
            #expect(try await plain.text == "0123456789")
            #expect(plain.headerFields[.contentEncoding] == nil && plain.headerFields[.vary] == "Accept-Encoding")
            #expect(plain.headerFields[.eTag] != response.headerFields[.eTag])
            // Older than the file: of another state of it.
            aged.age("site/ten.txt.gz", seconds: 1)
            let old = try await ask(files.handler, .get, "/ten.txt", [.acceptEncoding: "gzip"])
            #expect(old.headerFields[.contentEncoding] == nil)
        }
        #expect(scratch.openDescriptors == 0)
    }

    @Test("are listed by option, with every name escaped", arguments: Setting.onRealLoop)
    func listing(setting: Setting) async throws {
        var site = try Site()
        site.files.listsFolders = true
        site.files.indexNames = []
        let files = site.files
        try await withLoop(setting) { _ in
            let page = try await ask(files.handler, .get, "/")
            let text = try await page.text
            #expect(page.headerFields[.contentType] == "text/html; charset=utf-8")
            #expect(text.contains("<li><a href=\"./docs/\">docs/</a></li>"))
            #expect(text.contains("./a%20b%252f%3F%26%3C%27%22.txt\">a b%2f?&amp;&lt;&#39;&quot;.txt</a>"))
            #expect(!text.contains(".env") && !text.contains(".git") && !text.contains("href=\"../\""))
            // What a link says leads there.
            let odd = try await ask(files.handler, .get, "/a%20b%252f%3F%26%3C%27%22.txt")
            #expect(try await odd.text == "odd")
            #expect(try await ask(files.handler, .get, "/docs/").text.contains("href=\"../\""))
            let redirect = try await ask(files.handler, .get, "/docs?x=1")
            #expect(redirect.headerFields[.location] == "./docs/?x=1")
        }
    }

    @Test("and folders by their way, where the kernel cannot enclose them: no link is followed then")
    func simulated() async throws {
        try await withLoop(Setting.simulated[0], faults: SimulationFaults()) { _ in
            try await Folder.makeAll("/srv/site/docs")
            try await File.writeAll("/srv/site/docs/a.txt", Array("hello".utf8))
            try await File.writeAll("/srv/secret.txt", Array("secret".utf8))
            try await File.symbolicLink(to: "../secret.txt", at: "/srv/site/out.txt")
            try await File.symbolicLink(to: "docs/a.txt", at: "/srv/site/in.txt")
            let files = StaticFiles("/srv/site")
            let response = try await ask(files.handler, .get, "/docs/a.txt")
            let text = try await response.text
            guard text == "hello", response.status == .ok else { throw IOError(.ioError, operation: text) }
            for target in ["/out.txt", "/in.txt", "/docs/b.txt"] {
                let status = try await ask(files.handler, .get, target).status
                guard status == .notFound else { throw IOError(.ioError, operation: "\(target): \(status)") }
            }
            guard try await ask(files.handler, .get, "/docs").status == .movedPermanently else {
                throw IOError(.ioError, operation: "redirect")
            }
        }
    }
}
#endif
