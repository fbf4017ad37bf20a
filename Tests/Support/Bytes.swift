import AsyncIOKernel
import Glibc

/// Bytes that tell where in a stream they belong, so that one lost, doubled or strange byte is seen.
package enum Bytes {
    /// The bytes of a stream from its start. The period is no power of two.
    package static func pattern(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: count) { memory, filled in
            for index in 0..<count { unsafe memory[index] = byte(index, seed) }
            filled = count
        }
    }

    package static func byte(_ index: Int, _ seed: UInt64 = 1) -> UInt8 {
        let position = UInt64(truncatingIfNeeded: index) &+ seed &* 0x9e37_79b9_7f4a_7c15
        return UInt8(truncatingIfNeeded: (position &* 0xbf58_476d_1ce4_e5b9) >> 37)
    }

    /// Where in a stream that begins at the offset the bytes differ from the pattern; nil if nowhere.
    package static func difference(_ bytes: [UInt8], at offset: Int, seed: UInt64 = 1) -> Int? {
        for (index, value) in bytes.enumerated() where value != byte(offset + index, seed) { return offset + index }
        return nil
    }

    /// FNV-1a, for streams that are too long to keep.
    package static func checksum(_ bytes: [UInt8], _ start: UInt64 = 0xcbf2_9ce4_8422_2325) -> UInt64 {
        bytes.reduce(start) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}

// The plain calls, once.
extension Bytes {
    @discardableResult
    package static func write(_ count: Int, to descriptor: CInt) -> Int {
        let bytes = [UInt8](repeating: 7, count: count)
        return SystemCall.result {
            unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
        }
    }

    @discardableResult
    package static func read(_ count: Int, from descriptor: CInt) -> Int {
        var bytes = [UInt8](repeating: 0, count: count)
        return SystemCall.result {
            unsafe bytes.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
        }
    }
}
