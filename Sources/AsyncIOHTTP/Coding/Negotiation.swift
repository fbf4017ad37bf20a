#if HTTP
/// Which codings a client takes (RFC 9110 section 12.5.3).
struct Negotiation {
    private var qualities: [String: Double] = [:]
    private let hasField: Bool

    /// From the values of `Accept-Encoding`. What is malformed counts as not said.
    init(_ values: [String]) {
        hasField = !values.isEmpty
        for item in values.flatMap({ $0.split(separator: ",") }) {
            let parts = item.split(separator: ";", omittingEmptySubsequences: false).map(\.trimmingOptionalSpace)
            guard let name = parts.first, !name.isEmpty else { continue }
            var quality: Double? = 1
            for parameter in parts.dropFirst() where parameter.lowercased().hasPrefix("q=") {
                quality = Self.quality(parameter.dropFirst(2))
            }
            guard let quality else { continue }
            let coding = name.lowercased()
            // RFC 9110 section 8.4.1.3.
            qualities[coding == "x-gzip" ? "gzip" : coding] = quality
        }
    }

    /// How much a coding is wanted: 0 is not at all. Nil if nothing is said of it.
    func quality(of coding: String) -> Double? { qualities[coding] ?? qualities["*"] }

    /// Whether gzip is wanted, and not less than the bytes as they are. Nothing said is no wish.
    var prefersGzip: Bool {
        guard hasField, let gzip = quality(of: "gzip"), gzip > 0 else { return false }
        // As they are, they are always acceptable, unless somebody says otherwise; with no wish of their own.
        return gzip >= (qualities["identity"] ?? 0)
    }

    /// `0`, `0.5`, `1.000` (RFC 9110 section 12.4.2).
    private static func quality(_ text: Substring) -> Double? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        guard let whole = parts.first, whole == "0" || whole == "1" else { return nil }
        let digits = parts.count > 1 ? parts[1] : ""
        guard digits.utf8.count <= 3, digits.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
            return nil
        }
        let scale = [1.0, 10, 100, 1_000][digits.utf8.count]
        let value = (whole == "1" ? 1.0 : 0) + Double(Int(digits) ?? 0) / scale
        return value <= 1 ? value : nil
    }
}
#endif
