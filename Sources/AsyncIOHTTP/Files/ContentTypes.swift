#if HTTP
/// What files hold, by the ends of their names.
enum ContentTypes {
    /// What nothing is known of.
    static let unknown = "application/octet-stream"

    /// The type of a file with this name. Texts are taken to be UTF-8.
    static func type(of name: some StringProtocol, _ own: [String: String]) -> String {
        guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return unknown }
        let ending = name[name.index(after: dot)...].lowercased()
        return own[ending] ?? table[ending] ?? unknown
    }

    /// Whether compressing it is worth while: what has not been compressed already.
    static func isCompressible(_ type: String) -> Bool {
        let name = type.prefix { $0 != ";" }.filter { $0 != " " }.lowercased()
        if name.hasPrefix("text/") || name.hasSuffix("+json") || name.hasSuffix("+xml") { return true }
        return compressible.contains(name)
    }

    private static let compressible: Set<String> = [
        "application/javascript", "application/json", "application/ld+json", "application/manifest+json",
        "application/rtf", "application/vnd.ms-fontobject", "application/wasm", "application/x-javascript",
        "application/x-ndjson", "application/x-tar", "application/x-www-form-urlencoded", "application/xml",
        "application/yaml", "font/otf", "font/ttf", "image/bmp", "image/svg+xml", "image/x-icon",
    ]

    private static let table: [String: String] = {
        var table: [String: String] = [:]
        let text = "; charset=utf-8"
        for (type, endings) in [
            ("text/html" + text, "html htm"), ("text/css" + text, "css"), ("text/javascript" + text, "js mjs"),
            ("text/plain" + text, "txt text log conf ini swift c h cpp py rs go sh toml"),
            ("text/markdown" + text, "md markdown"), ("text/csv" + text, "csv"), ("text/calendar" + text, "ics"),
            ("text/xml" + text, "xml xsl"), ("application/json", "json map"), ("application/ld+json", "jsonld"),
            ("application/yaml", "yaml yml"), ("application/x-ndjson", "ndjson jsonl"),
            ("application/manifest+json", "webmanifest"), ("application/wasm", "wasm"), ("application/pdf", "pdf"),
            ("application/rss+xml", "rss"), ("application/atom+xml", "atom"), ("application/xhtml+xml", "xhtml"),
            ("application/rtf", "rtf"), ("application/epub+zip", "epub"), ("application/sql", "sql"),
            ("image/png", "png"), ("image/apng", "apng"), ("image/jpeg", "jpg jpeg"), ("image/gif", "gif"),
            ("image/webp", "webp"), ("image/avif", "avif"), ("image/svg+xml", "svg"), ("image/x-icon", "ico"),
            ("image/bmp", "bmp"), ("image/tiff", "tif tiff"), ("image/heic", "heic"), ("image/jxl", "jxl"),
            ("audio/mpeg", "mp3"), ("audio/mp4", "m4a"), ("audio/ogg", "ogg oga opus"), ("audio/wav", "wav"),
            ("audio/flac", "flac"), ("audio/aac", "aac"), ("audio/webm", "weba"), ("audio/midi", "mid midi"),
            ("video/mp4", "mp4 m4v"), ("video/webm", "webm"), ("video/ogg", "ogv"), ("video/quicktime", "mov"),
            ("video/mpeg", "mpeg mpg"), ("video/x-msvideo", "avi"), ("video/mp2t", "ts"),
            ("application/vnd.apple.mpegurl", "m3u8"), ("text/vtt" + text, "vtt"), ("font/woff", "woff"),
            ("font/woff2", "woff2"), ("font/ttf", "ttf"), ("font/otf", "otf"), ("application/zip", "zip"),
            ("application/gzip", "gz tgz"), ("application/x-bzip2", "bz2"), ("application/x-xz", "xz"),
            ("application/zstd", "zst"), ("application/x-7z-compressed", "7z"), ("application/x-tar", "tar"),
            ("application/java-archive", "jar"), ("application/vnd.debian.binary-package", "deb"),
            ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
            ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
            ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
            ("application/vnd.oasis.opendocument.text", "odt"),
            ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
        ] {
            for ending in endings.split(separator: " ") { table[String(ending)] = type }
        }
        return table
    }()
}
#endif
