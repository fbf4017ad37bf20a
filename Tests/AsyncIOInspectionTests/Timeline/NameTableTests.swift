import Testing

@testable import AsyncIOInspection

@Suite("Numbers of names")
struct NameTableTests {
    @Test("are the same for equal names, wherever they lie in memory")
    func equalNames() {
        var table = NameTable()
        let long = "a name that does not fit into a string's own words"
        #expect(table.number(of: "read") == 0)
        #expect(table.number(of: long) == 1)
        for copy in 0..<100 {
            #expect(table.number(of: String(decoding: Array(long.utf8), as: UTF8.self)) == 1, "copy \(copy)")
            #expect(table.number(of: String(["r", "e", "a", "d"] as [Character])) == 0)
        }
        #expect(table.names == ["read", long])
    }

    @Test("of names whose memory another one has now are not mixed up")
    func reusedMemory() {
        var table = NameTable()
        for round in 0..<200 {
            let name = "the name of the \(round)th of many operations"
            let number = table.number(of: String(decoding: Array(name.utf8), as: UTF8.self))
            #expect(number == UInt8(round) && table.names[round] == name)
        }
    }

    @Test("end at 255, and what comes then has none")
    func limit() {
        var table = NameTable()
        for number in 0..<300 { #expect(table.number(of: "\(number)") == UInt8(min(number, NameTable.limit))) }
        #expect(table.names.count == NameTable.limit)
        #expect(table.number(of: "254") == 254)
        #expect(!table.changesDescriptor(255))
    }

    @Test("tell which operations begin or end a descriptor's life")
    func changes() {
        var table = NameTable()
        let numbers = ["read", "close", "adopt"].map { table.number(of: $0) }
        #expect(numbers.map { table.changesDescriptor($0) } == [false, true, true])
    }
}
