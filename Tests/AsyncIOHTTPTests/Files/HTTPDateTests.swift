#if HTTP
import AsyncIOHTTP
import Testing

@Suite("Dates")
struct HTTPDateTests {
    private let now = HTTPDate(secondsSinceEpoch: 1_795_000_000)

    @Test(
        "are written in the one format, for each moment",
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (-1, "Wed, 31 Dec 1969 23:59:59 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"), (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"), (.max, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-62_167_219_200, "Sat, 01 Jan 0000 00:00:00 GMT"), (.min, "Sat, 01 Jan 0000 00:00:00 GMT"),
        ] as [(Int64, String)])
    func writing(_ seconds: Int64, _ text: String) {
        let date = HTTPDate(secondsSinceEpoch: seconds)
        #expect(date.description == text)
        #expect(HTTPDate(text, now: now) == date)
    }

    @Test("are read as they were written, from day to day over ten thousand years")
    func roundTrip() {
        for day in stride(from: Int64(-719_528), to: 2_932_896, by: 37) {
            let date = HTTPDate(secondsSinceEpoch: day * 86_400 + 86_399)
            #expect(HTTPDate("\(date)", now: now) == date)
        }
    }

    @Test(
        "are read in all three formats, and in no other",
        arguments: [
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777),
            ("Sun Nov  6 08:49:37 1994", 784_111_777), ("Wed Nov 16 08:49:37 1994", 784_975_777),
            // 76 is within fifty years of 2026, 77 is a century before.
            ("Sunday, 06-Nov-76 08:49:37 GMT", 3_371_878_177), ("Sunday, 06-Nov-77 08:49:37 GMT", 247_654_177),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
            ("", nil), ("yesterday", nil), ("Sun, 06 Nov 1994 08:49:37", nil), ("Sun, 06 Nov 1994 08:49:37 UTC", nil),
            ("Sun, 6 Nov 1994 08:49:37 GMT", nil), ("Sun, 06 Nov 94 08:49:37 GMT", nil),
            ("Sun, 31 Nov 1994 08:49:37 GMT", nil),
            ("Sun, 29 Feb 2023 08:49:37 GMT", nil), ("Sun, 29 Feb 1900 08:49:37 GMT", nil),
            ("Sun, 00 Nov 1994 08:49:37 GMT", nil), ("Sun, 06 nov 1994 08:49:37 GMT", nil),
            ("Son, 06 Nov 1994 08:49:37 GMT", nil), ("Sun, 06 Nov 1994 24:49:37 GMT", nil),
            ("Sun, 06 Nov 1994 08:60:37 GMT", nil), ("Sun, 06 Nov 1994 08:49:61 GMT", nil),
            ("Sun, 06 Nov 1994 8:49:37 GMT", nil), ("Sun, 06 Nov 1994 +8:49:37 GMT", nil),
            ("Sun, 06 Nov -994 08:49:37 GMT", nil),
            ("Sun, 06 Nov 1994  08:49:37 GMT", nil), (" Sun, 06 Nov 1994 08:49:37 GMT", nil), ("784111777", nil),
            ("Sun Nov 6 08:49:37 1994", nil), ("Sun Nov  6 08:49:37 94", nil),
            ("Sunday, 06-Nov-1994 08:49:37 GMT", nil),
        ] as [(String, Int64?)])
    func reading(_ text: String, _ seconds: Int64?) {
        #expect(HTTPDate(text, now: now)?.secondsSinceEpoch == seconds)
    }
}
#endif
