#if HTTP
import AsyncIO
import AsyncIOKernel
import Glibc

/// A moment as HTTP tells it: in whole seconds, in Greenwich (RFC 9110 section 5.6.7).
public struct HTTPDate: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// The seconds since 1970-01-01, without leap seconds.
    public let secondsSinceEpoch: Int64

    /// A moment by its seconds since 1970-01-01. What the format cannot tell, before the year 0 and after 9999, is
    /// taken to the nearest one that it can.
    public init(secondsSinceEpoch: Int64) {
        self.secondsSinceEpoch = min(max(secondsSinceEpoch, Self.range.lowerBound), Self.range.upperBound)
    }

    /// The moment by the machine's clock, which somebody may set; by the loop's own in a simulation.
    static var now: HTTPDate {
        if SystemCall.isSimulated {
            return HTTPDate(secondsSinceEpoch: EventLoop.ambient.now.nanoseconds / 1_000_000_000)
        }
        return HTTPDate(secondsSinceEpoch: Int64(time(nil)))
    }

    private static let range: ClosedRange<Int64> = -62_167_219_200...253_402_300_799

    /// Whether one is before the other.
    public static func < (left: HTTPDate, right: HTTPDate) -> Bool { left.secondsSinceEpoch < right.secondsSinceEpoch }

    // MARK: Writing

    /// `Sun, 06 Nov 1994 08:49:37 GMT`: the one format that may be sent.
    public var description: String {
        let days = Self.floor(secondsSinceEpoch, by: 86_400)
        let second = Int(secondsSinceEpoch - days * 86_400)
        let (year, month, day) = Self.civil(day: days)
        let weekday = Int((days % 7 + 11) % 7)
        let time = [second / 3_600, second / 60 % 60, second % 60].map { Self.padded($0, 2) }.joined(separator: ":")
        return "\(Self.weekdays[weekday].prefix(3)), \(Self.padded(day, 2)) \(Self.months[month - 1]) "
            + "\(Self.padded(Int(year), 4)) \(time) GMT"
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(width - digits.count, 0)) + digits
    }

    // MARK: Reading

    /// Reads any of the three formats that a recipient has to know; nil for everything else.
    ///
    /// A year of two digits (RFC 850's format) that would be more than 50 years after the second moment is meant a
    /// century before.
    public init?(_ text: String, now: HTTPDate) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        let fields: Fields?
        if words.count == 6, words[5] == "GMT", words[0].last == "," {
            // Sun, 06 Nov 1994 08:49:37 GMT
            fields = Fields(words[0].dropLast(), .usual, words[1], words[2], year: words[3], words[4])
        } else if words.count == 4, words[3] == "GMT", words[0].last == "," {
            // Sunday, 06-Nov-94 08:49:37 GMT
            let date = words[1].split(separator: "-", omittingEmptySubsequences: false)
            guard date.count == 3, date[2].count == 2 else { return nil }
            fields = Fields(words[0].dropLast(), .old, date[0], date[1], year: date[2], words[2])
        } else if words.count == 6, words[2].isEmpty {
            // Sun Nov  6 08:49:37 1994
            guard words[3].count == 1 else { return nil }
            fields = Fields(words[0], .usual, "0" + words[3], words[1], year: words[5], words[4])
        } else if words.count == 5 {
            // Sun Nov 16 08:49:37 1994
            fields = Fields(words[0], .usual, words[2], words[1], year: words[4], words[3])
        } else {
            fields = nil
        }
        guard var fields else { return nil }
        if fields.hasShortYear {
            let (thisYear, _, _) = Self.civil(day: Self.floor(now.secondsSinceEpoch, by: 86_400))
            fields.year += Self.floor(thisYear, by: 100) * 100
            if fields.year > thisYear + 50 { fields.year -= 100 }
        }
        guard let seconds = fields.seconds else { return nil }
        self.init(secondsSinceEpoch: seconds)
    }

    /// RFC 850 has whole names of days, and two digits of the year.
    private enum Style { case usual, old }

    private struct Fields {
        let month: Int
        let day: Int
        var year: Int64
        let hasShortYear: Bool
        let time: [Int]

        init?(
            _ weekday: Substring, _ style: Style, _ day: Substring, _ month: Substring, year: Substring,
            _ time: Substring
        ) {
            let names = style == .usual ? weekdays.map { String($0.prefix(3)) } : weekdays
            // A wrong day of the week is not looked for: the date says what is meant.
            hasShortYear = style == .old
            guard names.contains(String(weekday)), let month = months.firstIndex(of: String(month)),
                let day = number(day, 2), let year = number(year, hasShortYear ? 2 : 4)
            else { return nil }
            let parts = time.split(separator: ":", omittingEmptySubsequences: false).map { number($0, 2) }
            let known = parts.compactMap { $0 }
            // 60 is a leap second, which is the next minute's first one.
            guard parts.count == 3, known.count == 3, known[0] < 24, known[1] < 60, known[2] <= 60 else { return nil }
            self.month = month + 1
            self.day = day
            self.year = Int64(year)
            self.time = known
        }

        var seconds: Int64? {
            guard let days = HTTPDate.days(year: year, month: month, day: day) else { return nil }
            return days * 86_400 + Int64(time[0] * 3_600 + time[1] * 60 + time[2])
        }
    }

    /// Exactly so many digits.
    private static func number(_ text: Substring, _ width: Int) -> Int? {
        guard text.utf8.count == width, text.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }) else {
            return nil
        }
        return Int(text)
    }

    // MARK: Calendar

    private static let weekdays = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"]
    private static let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]

    private static func floor(_ value: Int64, by divisor: Int64) -> Int64 {
        value / divisor - (value % divisor < 0 ? 1 : 0)
    }

    private static func isLeap(_ year: Int64) -> Bool { year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) }

    private static func length(ofMonth month: Int, _ year: Int64) -> Int {
        month == 2 ? (isLeap(year) ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    /// The days from 0000-01-01 to a year's first one.
    private static func days(before year: Int64) -> Int64 {
        let past = year - 1
        return year * 365 + floor(past, by: 4) - floor(past, by: 100) + floor(past, by: 400) + 1
    }

    /// 0000-01-01, in days since 1970-01-01.
    private static let start: Int64 = -719_528

    private static func days(year: Int64, month: Int, day: Int) -> Int64? {
        guard (1...12).contains(month), day >= 1, day <= length(ofMonth: month, year) else { return nil }
        let months = (1..<month).reduce(0) { $0 + length(ofMonth: $1, year) }
        return start + days(before: year) + Int64(months + day - 1)
    }

    private static func civil(day: Int64) -> (year: Int64, month: Int, day: Int) {
        let sinceStart = day - start
        // 400 years are 146,097 days; the guess is never more than one off.
        var year = floor(sinceStart * 400, by: 146_097)
        while days(before: year + 1) <= sinceStart { year += 1 }
        while days(before: year) > sinceStart { year -= 1 }
        var rest = Int(sinceStart - days(before: year))
        var month = 1
        while rest >= length(ofMonth: month, year) {
            rest -= length(ofMonth: month, year)
            month += 1
        }
        return (year, month, rest + 1)
    }
}
#endif
