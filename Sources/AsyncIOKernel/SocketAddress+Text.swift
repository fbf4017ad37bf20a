extension SocketAddress {
    /// The address as it is printed, behind some words. A server names each connection's task so: an IPv4 address is
    /// written into the string's own memory, without a text for each of its numbers.
    package func description(after words: StaticString) -> String {
        guard let (address, port) = numbers else { return "\(words)\(self)" }
        return unsafe String(unsafeUninitializedCapacity: words.utf8CodeUnitCount + 21) { memory in
            var text = unsafe Text(memory: memory)
            unsafe text.append(UnsafeBufferPointer(start: words.utf8Start, count: words.utf8CodeUnitCount))
            text.append(decimal: address >> 24)
            for shift: UInt32 in [16, 8, 0] {
                text.append(UInt8(ascii: "."))
                text.append(decimal: address >> shift & 255)
            }
            text.append(UInt8(ascii: ":"))
            text.append(decimal: UInt32(port))
            return text.count
        }
    }

    private var numbers: (address: UInt32, port: UInt16)? {
        guard case .ipv4(let value) = storage else { return nil }
        return (value.address, value.port)
    }

    /// Bytes one after the other, as far as there is room.
    @safe
    private struct Text {
        let memory: UnsafeMutableBufferPointer<UInt8>
        private(set) var count = 0

        init(memory: UnsafeMutableBufferPointer<UInt8>) { unsafe self.memory = memory }

        mutating func append(_ byte: UInt8) {
            guard unsafe count < memory.count else { return }
            unsafe memory[count] = byte
            count += 1
        }

        mutating func append(_ bytes: UnsafeBufferPointer<UInt8>) {
            let taken = unsafe min(bytes.count, memory.count - count)
            for index in 0..<taken { unsafe memory[count + index] = bytes[index] }
            count += taken
        }

        /// A number of five digits at most.
        mutating func append(decimal number: UInt32) {
            if number >= 10_000 { append(digit: number / 10_000) }
            if number >= 1000 { append(digit: number / 1000) }
            if number >= 100 { append(digit: number / 100) }
            if number >= 10 { append(digit: number / 10) }
            append(digit: number)
        }

        @inline(__always)
        private mutating func append(digit number: UInt32) {
            append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: number % 10))
        }
    }
}
