import ArgumentParser

/// A span of time as people write it: `1.5`, `30s`, `500ms`, `2m`, `1h`. A number alone is seconds.
struct TimeSpan: ExpressibleByArgument, CustomStringConvertible {
    let seconds: Double

    var duration: Duration { .seconds(seconds) }

    init(seconds: Double) { self.seconds = seconds }

    /// Nil for what is no span of time, is negative, or longer than a year.
    init?(argument: String) {
        let number = argument.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let units = ["": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600]
        guard let count = Double(number), let unit = units[String(argument.dropFirst(number.count))] else { return nil }
        seconds = count * unit
        guard (0...31_536_000).contains(seconds) else { return nil }
    }

    var defaultValueDescription: String { description }

    /// `0.25 s`, `12.3 s`, `3 min 5 s`, `2 h 0 min`.
    var description: String {
        switch seconds {
        case ..<10: return "\(Self.rounded(seconds, 100)) s"
        case ..<60: return "\(Self.rounded(seconds, 10)) s"
        case ..<3600: return "\(Int(seconds) / 60) min \(Int(seconds) % 60) s"
        default: return "\(Int(seconds) / 3600) h \(Int(seconds) % 3600 / 60) min"
        }
    }

    private static func rounded(_ number: Double, _ parts: Double) -> Double { (number * parts).rounded() / parts }
}

extension TimeSpan {
    init(_ duration: Duration) { self.init(seconds: duration / .seconds(1)) }
}
