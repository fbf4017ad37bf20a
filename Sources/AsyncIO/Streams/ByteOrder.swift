/// Which byte of a number comes first.
public enum ByteOrder: Hashable, Sendable {
    /// The most significant one: network byte order (RFC 1700).
    case big
    /// The least significant one.
    case little
}

extension FixedWidthInteger {
    /// Reads a number from bytes: exactly as many as it has. Nil if there are more or fewer.
    public init?(_ bytes: some Collection<UInt8>, _ order: ByteOrder) {
        guard bytes.count == Self.byteCount else { return nil }
        var value: Self = 0
        for (index, byte) in bytes.enumerated() {
            let position = order == .big ? Self.byteCount - 1 - index : index
            value |= Self(truncatingIfNeeded: byte) << (position * 8)
        }
        self = value
    }

    /// The number's bytes.
    public func bytes(_ order: ByteOrder) -> [UInt8] {
        (0..<Self.byteCount).map { index in
            let position = order == .big ? Self.byteCount - 1 - index : index
            return UInt8(truncatingIfNeeded: self >> (position * 8))
        }
    }

    /// How many bytes the number takes.
    static var byteCount: Int { bitWidth / 8 }
}
