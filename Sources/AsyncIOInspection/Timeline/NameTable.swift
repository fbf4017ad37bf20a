/// Numbers for names that are few and come again and again.
struct NameTable {
    /// Above that many, all others have the last number, which has no name.
    static let limit = 255

    private(set) var names: [String] = []
    /// The words that each of the names consists of. What has the same words is the same string: either they contain
    /// it, or they lead to memory that cannot become another one's, since the table keeps it.
    private var words: [(UInt64, UInt64)] = []
    private var changes: [Bool] = []

    /// A name's number. Those that come often have come early.
    @inline(__always)
    mutating func number(of name: String) -> UInt8 {
        let wanted = Self.words(of: name)
        for index in words.indices where words[index].0 == wanted.0 && words[index].1 == wanted.1 {
            return UInt8(truncatingIfNeeded: index)
        }
        return find(name)
    }

    /// Whether an operation of that number begins or ends the life of a descriptor.
    @inline(__always)
    func changesDescriptor(_ number: UInt8) -> Bool { number < changes.count && changes[Int(number)] }

    @inline(never)
    private mutating func find(_ name: String) -> UInt8 {
        if let index = names.firstIndex(of: name) { return UInt8(truncatingIfNeeded: index) }
        guard names.count < Self.limit else { return UInt8(Self.limit) }
        names.append(name)
        words.append(Self.words(of: name))
        changes.append(name == "close" || name == "adopt")
        return UInt8(truncatingIfNeeded: names.count - 1)
    }

    @inline(__always)
    private static func words(of name: String) -> (UInt64, UInt64) {
        unsafe unsafeBitCast(name, to: (UInt64, UInt64).self)
    }
}
