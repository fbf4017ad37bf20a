#if HTTP
@testable import AsyncIOHTTP
import Testing

@Suite("Ranges")
struct ByteRangesTests {
    @Test(
        "are read against the size, and malformed ones are not looked at",
        arguments: [
            (nil, .all), ("bytes=0-0", .some([0..<1])), ("bytes=0-9", .some([0..<10])), ("bytes=2-", .some([2..<10])),
            ("bytes=-3", .some([7..<10])), ("bytes=-99", .some([0..<10])), ("bytes=9-99", .some([9..<10])),
            ("BYTES=1-2", .some([1..<3])), ("bytes= 1-2 ,\t4-4 ", .some([1..<3, 4..<5])),
            ("bytes=,1-2,,", .some([1..<3])),
            ("bytes=5-6,0-1", .some([5..<7, 0..<2])), ("bytes=0-1,-1", .some([0..<2, 9..<10])),
            ("bytes=0-99999999999999999999999", .some([0..<10])), ("bytes=-99999999999999999999999", .some([0..<10])),
            ("bytes=0-1,50-60", .some([0..<2])),
            // Nothing is there.
            ("bytes=10-", .none), ("bytes=10-20", .none), ("bytes=-0", .none), ("bytes=99999999999999999999-", .none),
            ("bytes=20-,30-40", .none),
            // Malformed, or another unit.
            ("", .all), ("bytes", .all), ("bytes=", .all), ("bytes=-", .all), ("bytes=a-b", .all), ("bytes=1", .all),
            ("bytes=3-2", .all), ("bytes=1-2-3", .all), ("bytes=1-2;3-4", .all), ("bytes=+1-2", .all),
            ("bytes=0x1-2", .all), ("lines=1-2", .all), ("bytes =1-2", .all), ("bytes=0-1,x", .all),
            ("bytes=1 -2", .all),
            ("bytes=١-٢", .all), ("bytes=--3", .all),
            // Too much to ask for.
            ("bytes=0-5,5-6", .all), ("bytes=0-,0-,0-", .all), ("bytes=-1,-2", .all),
            ("bytes=" + (0..<17).map { "\($0)-\($0)" }.joined(separator: ","), .all),
        ] as [(String?, ByteRanges)])
    func table(_ field: String?, _ ranges: ByteRanges) {
        #expect(ByteRanges(field, size: 10) == ranges)
    }

    @Test(
        "of nothing are not there, and of the largest file are",
        arguments: [
            ("bytes=0-", 0, .none), ("bytes=-1", 0, .none), ("bytes=0-0", 0, .none),
            ("bytes=-1", Int64.max, .some([Int64.max - 1..<Int64.max])),
            ("bytes=0-9223372036854775807", Int64.max, .some([0..<Int64.max])),
        ] as [(String, Int64, ByteRanges)])
    func edges(_ field: String, _ size: Int64, _ ranges: ByteRanges) {
        #expect(ByteRanges(field, size: size) == ranges)
    }

    @Test("as many as may be asked for are sent")
    func limit() {
        let ranges = (0..<16).map { Int64($0)..<Int64($0 + 1) }
        let field = "bytes=" + ranges.map { "\($0.lowerBound)-\($0.lowerBound)" }.joined(separator: ",")
        #expect(ByteRanges(field, size: 99) == .some(ranges))
    }
}

@Suite("Conditions")
struct ConditionTests {
    private static let date = "Sun, 06 Nov 1994 08:49:37 GMT"
    private static let earlier = "Sun, 06 Nov 1994 08:49:36 GMT"
    private static let later = "Sun, 06 Nov 1994 08:49:38 GMT"

    private func state(isWeak: Bool = false) -> ResourceState {
        ResourceState(
            tag: EntityTag("a", isWeak: isWeak), modified: HTTPDate(secondsSinceEpoch: 784_111_777),
            datesAreStrong: !isWeak)
    }

    @Test(
        "are looked at in their order (RFC 9110 section 13.2.2)",
        arguments: [
            ([:], .goOn),
            ([.ifNoneMatch: "\"a\""], .notModified), ([.ifNoneMatch: "W/\"a\""], .notModified),
            ([.ifNoneMatch: "*"], .notModified),
            ([.ifNoneMatch: "\"b\", \"a\""], .notModified), ([.ifNoneMatch: "\"b,\", W/\"c\""], .goOn),
            ([.ifNoneMatch: "a"], .goOn), ([.ifNoneMatch: "\"a"], .goOn), ([.ifNoneMatch: "\"b\" \"a\""], .goOn),
            ([.ifNoneMatch: "w/\"a\""], .goOn),
            ([.ifModifiedSince: date], .notModified), ([.ifModifiedSince: later], .notModified),
            ([.ifModifiedSince: earlier], .goOn),
            ([.ifModifiedSince: "Sunday, 06-Nov-94 08:49:37 GMT"], .notModified), ([.ifModifiedSince: "soon"], .goOn),
            // The tag knows better than the date.
            ([.ifNoneMatch: "\"b\"", .ifModifiedSince: later], .goOn),
            ([.ifNoneMatch: "\"a\"", .ifModifiedSince: earlier], .notModified),
            ([.ifMatch: "\"a\""], .goOn), ([.ifMatch: "*"], .goOn), ([.ifMatch: "\"b\",\"a\""], .goOn),
            ([.ifMatch: "\"b\""], .failed), ([.ifMatch: "W/\"a\""], .failed), ([.ifMatch: "nonsense"], .failed),
            ([.ifUnmodifiedSince: date], .goOn), ([.ifUnmodifiedSince: earlier], .failed),
            ([.ifUnmodifiedSince: "x"], .goOn),
            ([.ifMatch: "\"a\"", .ifUnmodifiedSince: earlier], .goOn),
            ([.ifMatch: "\"a\"", .ifNoneMatch: "\"a\""], .notModified),
            ([.ifMatch: "\"b\"", .ifNoneMatch: "\"a\""], .failed),
        ] as [(HTTPFields, ResourceState.Verdict)])
    func table(_ fields: HTTPFields, _ verdict: ResourceState.Verdict) {
        let now = HTTPDate(secondsSinceEpoch: 1_795_000_000)
        #expect(state().verdict(on: .get, fields, now: now) == verdict)
        #expect(state().verdict(on: .head, fields, now: now) == verdict)
        // Changing something needs a state that is known.
        let expected: ResourceState.Verdict =
            verdict == .notModified ? (fields[.ifNoneMatch] == nil ? .goOn : .failed) : verdict
        #expect(state().verdict(on: .put, fields, now: now) == expected)
    }

    @Test(
        "of ranges need the very same bytes (RFC 9110 section 13.1.5)",
        arguments: [
            (nil, true, true), ("\"a\"", true, false), ("W/\"a\"", false, false), ("\"b\"", false, false),
            (date, true, false), (later, false, false), (earlier, false, false), ("x", false, false),
        ] as [(String?, Bool, Bool)])
    func ranges(_ condition: String?, _ ifStrong: Bool, _ ifWeak: Bool) {
        let now = HTTPDate(secondsSinceEpoch: 1_795_000_000)
        var fields = HTTPFields()
        fields[.ifRange] = condition
        #expect(state().allowsRange(fields, now: now) == ifStrong)
        #expect(state(isWeak: true).allowsRange(fields, now: now) == ifWeak)
    }
}
#endif
