import AsyncIOKernel

extension Duration {
    /// For people, in two digits or three and a unit, which are six columns at most: `850 µs`, `1.2 ms`, `12 ms`,
    /// `3.2 s`, `45 s`, `12 min`, `3.1 h`, `12 d`. The longest of all is `for ever`.
    package var inWords: String {
        let nanoseconds = saturatedNanoseconds
        if nanoseconds == .max { return "for ever" }
        if nanoseconds < 0 { return "-" + (Duration.zero - self).inWords }
        let seconds = Double(nanoseconds) / 1e9
        return switch seconds {
        case ..<0.000001: "\(nanoseconds) ns"
        case ..<0.00000995: "\(Self.tenths(seconds * 1e6)) µs"
        case ..<0.0009995: "\(Self.whole(seconds * 1e6)) µs"
        case ..<0.00995: "\(Self.tenths(seconds * 1e3)) ms"
        case ..<0.9995: "\(Self.whole(seconds * 1e3)) ms"
        case ..<9.95: "\(Self.tenths(seconds)) s"
        case ..<99.5: "\(Self.whole(seconds)) s"
        case ..<5_970: "\(Self.whole(seconds / 60)) min"
        case ..<35_820: "\(Self.tenths(seconds / 3600)) h"
        case ..<356_400: "\(Self.whole(seconds / 3600)) h"
        default: "\(Self.whole(min(seconds / 86_400, 9_999))) d"
        }
    }

    private static func whole(_ number: Double) -> Int { Int(exactly: number.rounded()) ?? 0 }
    private static func tenths(_ number: Double) -> Double { (number * 10).rounded() / 10 }
}
