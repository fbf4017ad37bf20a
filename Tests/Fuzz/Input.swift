#if HTTP && FUZZ
import AsyncIOTesting

extension Randomness {
    /// Good inputs of a list behind each other, with a few things wrong.
    mutating func input(_ seeds: [[UInt8]], _ ingredients: [[UInt8]]) -> [UInt8] {
        var bytes: [UInt8] = []
        for _ in 0..<number(1...3) { bytes += one(of: seeds) }
        for _ in 0..<number(0...4) { mutate(&bytes, ingredients) }
        return bytes
    }

    mutating func mutate(_ bytes: inout [UInt8], _ ingredients: [[UInt8]]) {
        let place = number(0...bytes.count)
        switch number(0...5) {
        case 0: bytes.insert(contentsOf: one(of: ingredients), at: place)
        case 1: if place < bytes.count { bytes.remove(at: place) }
        case 2: if place < bytes.count { bytes[place] = UInt8(truncatingIfNeeded: next()) }
        case 3: if place < bytes.count { bytes[place] ^= 1 << UInt8(number(0...7)) }
        case 4: bytes.removeSubrange(place..<min(place + number(0...8), bytes.count))
        default:
            // Something comes twice.
            let end = min(place + number(0...40), bytes.count)
            bytes.insert(contentsOf: Array(bytes[place..<end]), at: number(0...bytes.count))
        }
    }

    /// The bytes in pieces: single ones, short ones, or a few long ones.
    mutating func cut(_ bytes: [UInt8]) -> [[UInt8]] {
        let most = one(of: [1, 2, 7, 40])
        var pieces: [[UInt8]] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = number(1...most)
            pieces.append(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        return pieces
    }

    mutating func number(_ range: ClosedRange<Int>) -> Int {
        range.lowerBound + Int(next() % UInt64(range.upperBound - range.lowerBound + 1))
    }

    mutating func one<Element>(of list: [Element]) -> Element { list[number(0...list.count - 1)] }

    mutating func chance(oneIn count: Int) -> Bool { number(1...count) == 1 }
}

/// How an input can be read by whoever mends what it has found.
func readable(_ bytes: [UInt8]) -> String {
    bytes.map { byte in
        switch byte {
        case 0x0d: "\\r"
        case 0x0a: "\\n"
        case 0x20...0x7e: String(UnicodeScalar(byte))
        default: "\\x" + String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
        }
    }.joined()
}
#endif
