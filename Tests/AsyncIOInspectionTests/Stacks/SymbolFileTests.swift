import AsyncIOKernel
import AsyncIOTestSupport
import CAsyncIOInspection
import Glibc
import Testing

@testable import AsyncIOInspection

/// The reader of ELF and DWARF: what it finds in files that are right, and that it survives those that are not.
@Suite("Symbols of a file")
struct SymbolFileTests {
    @Test("the program's own functions have names")
    func own() throws {
        let function: @convention(c) () -> Int32 = { getpid() }
        let frame = unsafe Symbols.frame(at: unsafeBitCast(function, to: UInt.self))
        #expect(frame.function?.contains("closure #1 in AsyncIOInspectionTests.SymbolFileTests.own()") == true)
        #expect(frame.image?.contains("Tests") == true)
    }

    @Test("a library that was stripped names what it exports")
    func stripped() throws {
        let function = unsafe UInt(bitPattern: dlsym(nil, "getpid"))
        let frame = Symbols.frame(at: function)
        #expect(frame.function?.contains("getpid") == true)
        #expect(frame.image?.hasPrefix("libc") == true)
    }

    @Test("addresses that belong to nothing have no name")
    func nowhere() {
        for address: UInt in [0, 1, 0xdead_beef, .max] {
            let frame = Symbols.frame(at: address)
            #expect(frame == Frame(address: address))
        }
    }

    @Test("another file at the path of a library is refused")
    func exchanged() throws {
        let function = unsafe UInt(bitPattern: dlsym(nil, "getpid"))
        var image = casyncio_image()
        #expect(unsafe casyncio_find_image(function, &image))
        #expect(SymbolFile(of: image) != nil)
        var other = image
        other.segments ^= 1
        #expect(SymbolFile(of: other) == nil)
        other = image
        other.build_id.0 ^= 1
        #expect(other.build_id_length == 0 || SymbolFile(of: other) == nil)
        // The program's file is another one than the library's.
        other = image
        other.path.0 = 0
        #expect(SymbolFile(of: other) == nil)
    }

    @Test(
        "a file that was cut off or changed is refused, or read as far as it can be",
        arguments: 1...5 as ClosedRange<UInt64>)
    func damaged(seed: UInt64) throws {
        var random = Lehmer(seed: seed)
        let whole = try Self.probe()
        let places = Self.sections(of: whole)
        #expect(places.count > 20)
        for round in 0..<4 {
            let isCut = round == 0
            var bytes = isCut ? Array(whole.prefix(random.below(whole.count))) : whole
            for _ in 0..<random.below(40) {
                let place = places[random.below(places.count)]
                let index = place.lowerBound + random.below(place.count)
                if index < bytes.count { bytes[index] = random.below(3) == 0 ? 0xff : UInt8(random.below(256)) }
            }
            unsafe bytes.withUnsafeBytes { bytes in
                guard let file = unsafe SymbolFile(bytes) else { return }
                for _ in 0..<20 {
                    let address = UInt64(random.below(whole.count))
                    let end = file.function(at: address)?.end ?? address + 8
                    _ = file.place(at: address, before: end)
                    _ = file.inlined(at: address)
                }
            }
        }
    }

    @Test("what is no program is refused")
    func noPrograms() {
        for bytes: [UInt8] in [[], [0x7f], Array("\u{7f}ELF".utf8), Array(repeating: 0, count: 100)] {
            unsafe bytes.withUnsafeBytes { unsafe #expect(SymbolFile($0) == nil) }
        }
    }

    private static func probe() throws -> [UInt8] {
        let descriptor = unsafe open(ProbeProcess.folder + "/probe-stacks", O_RDONLY)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        let size = Int(lseek(descriptor, 0, SEEK_END))
        return unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            count = unsafe max(0, pread(descriptor, buffer.baseAddress, size, 0))
        }
    }

    /// Where its headers, its tables and its sections lie.
    private static func sections(of file: [UInt8]) -> [Range<Int>] {
        func number(_ offset: Int, _ size: Int) -> Int {
            file[offset..<offset + size].reversed().reduce(0) { $0 << 8 | Int($1) }
        }
        let (table, count) = (number(0x28, 8), number(0x3c, 2))
        var places = [0..<64, 64..<64 + 56 * number(0x38, 2), table..<table + 64 * count]
        for index in 0..<count where number(table + 64 * index + 4, 4) != 8 {
            let offset = number(table + 64 * index + 24, 8)
            places.append(offset..<offset + number(table + 64 * index + 32, 8))
        }
        return places.filter { !$0.isEmpty }
    }
}

/// Lehmer's random numbers.
private struct Lehmer {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

    mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(max(1, bound)))
    }
}
