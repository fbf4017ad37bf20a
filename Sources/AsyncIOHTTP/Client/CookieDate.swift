#if HTTP
/// The dates that servers write into cookies, in all their spellings (RFC 6265 section 5.1.1).
enum CookieDate {
    private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

    /// Seconds since 1970, before which it is 0; nil if it is no date.
    static func seconds(_ text: String) -> Int64? {
        var time: (Int64, Int64, Int64)?
        var day: Int64?
        var month: Int64?
        var year: Int64?
        for token in text.utf8.split(whereSeparator: isDelimiter) {
            if time == nil, let found = Self.time(token) {
                time = found
            } else if day == nil, let found = number(token, digits: 1...2) {
                day = found
            } else if month == nil, let found = Self.month(token) {
                month = found
            } else if year == nil, let found = number(token, digits: 2...4) {
                year = found < 70 ? found + 2_000 : found < 100 ? found + 1_900 : found
            }
        }
        guard let (hour, minute, second) = time, let day, let month, let year else { return nil }
        guard 1...31 ~= day, year >= 1_601, hour <= 23, minute <= 59, second <= 59 else { return nil }
        return max((days(year, month, day) * 24 + hour) * 3_600 + minute * 60 + second, 0)
    }

    private static func isDelimiter(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x09, 0x20...0x2f, 0x3b...0x40, 0x5b...0x60, 0x7b...0x7e: true
        default: false
        }
    }

    /// The number that a token begins with; nil if it has more digits, or fewer.
    private static func number(_ token: Substring.UTF8View, digits allowed: ClosedRange<Int>) -> Int64? {
        let digits = token.prefix { 0x30...0x39 ~= $0 }
        guard allowed.contains(digits.count) else { return nil }
        return digits.reduce(Int64(0)) { $0 * 10 + Int64($1 - 0x30) }
    }

    private static func time(_ token: Substring.UTF8View) -> (Int64, Int64, Int64)? {
        let parts = token.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard parts.count == 3 else { return nil }
        // Behind the last digit of the seconds may stand anything.
        guard parts.dropLast().allSatisfy({ part in part.allSatisfy { 0x30...0x39 ~= $0 } }) else { return nil }
        let numbers = parts.compactMap { number($0, digits: 1...2) }
        return numbers.count == 3 ? (numbers[0], numbers[1], numbers[2]) : nil
    }

    private static func month(_ token: Substring.UTF8View) -> Int64? {
        let name = String(Substring(token.prefix(3))).lowercased()
        return months.firstIndex(of: name).map { Int64($0 + 1) }
    }

    /// Days from 1970 on, in the calendar of Gregory: years begin in March here, so that the leap day is their last.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let years = month > 2 ? year : year - 1
        let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
        return years * 365 + years / 4 - years / 100 + years / 400 + dayOfYear - 719_468
    }
}
#endif
