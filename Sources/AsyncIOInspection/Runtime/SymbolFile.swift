import CAsyncIOInspection
import Glibc

/// The file of a program or library, as far as it tells what its code is called.
///
/// Used by one thread at a time.
@safe
final class SymbolFile: @unchecked Sendable {
    struct Function: Equatable {
        /// Demangled.
        var name: String
        var address: UInt64
        var end: UInt64
    }

    struct Place: Equatable {
        var file: String
        var line: Int
        /// The address that was asked for, and where the function has more code of the line.
        var addresses: [UInt64] = []
    }

    /// A function that the optimizer has put into another one.
    struct Inlined: Equatable {
        /// Demangled.
        var name: String
        /// Where it was called.
        var caller: Place?
    }

    private let symbols: OpaquePointer

    /// Nil if the file cannot be read, or is not the one that was loaded.
    init?(of image: casyncio_image) {
        var image = image
        var refusal: UnsafePointer<CChar>?
        guard let symbols = unsafe casyncio_symbols_open(&image, &refusal) else { return nil }
        unsafe self.symbols = unsafe symbols
    }

    /// For tests: a file's bytes, which must stay while this lives. Nil if they are no file that is understood.
    init?(_ bytes: UnsafeRawBufferPointer) {
        var refusal: UnsafePointer<CChar>?
        guard let symbols = unsafe casyncio_symbols_of_bytes(bytes.baseAddress, bytes.count, &refusal) else {
            return nil
        }
        unsafe self.symbols = unsafe symbols
    }

    deinit { unsafe casyncio_symbols_close(symbols) }

    /// How many functions are named.
    var count: Int { unsafe casyncio_symbols_count(symbols) }

    /// How many bytes its tables take.
    var memory: Int { unsafe casyncio_symbols_memory(symbols) }

    /// The function at an address in the file.
    func function(at address: UInt64) -> Function? {
        var symbol = unsafe casyncio_symbol()
        guard unsafe casyncio_symbols_find(symbols, address, &symbol), let mangled = unsafe symbol.name else {
            return nil
        }
        return unsafe Function(
            name: demangled(mangled), address: symbol.address, end: symbol.address &+ max(1, symbol.size))
    }

    /// The line of an address in the file, or of the next one before `end` that has one.
    func place(at address: UInt64, before end: UInt64) -> Place? {
        var place = casyncio_place()
        guard unsafe casyncio_symbols_place(symbols, address, end, &place) else { return nil }
        return Place(&place)
    }

    /// The functions that were put into the one at an address in the file, the innermost first.
    func inlined(at address: UInt64) -> [Inlined] {
        unsafe withUnsafeTemporaryAllocation(of: casyncio_inlined.self, capacity: 16) { buffer in
            let count = unsafe casyncio_symbols_inlined(symbols, address, buffer.baseAddress, buffer.count)
            return (0..<count).map { index in
                let name = unsafe buffer[index].name.map { unsafe demangled($0) } ?? ""
                return unsafe Inlined(name: name, caller: Place(&buffer[index].called_from))
            }
        }
    }

    private func demangled(_ name: UnsafePointer<CChar>) -> String {
        guard let demangled = unsafe casyncio_demangle(name) else { return unsafe String(cString: name) }
        defer { unsafe free(demangled) }
        return unsafe String(cString: demangled)
    }
}

extension SymbolFile.Place {
    /// Nil without a line.
    fileprivate init?(_ place: inout casyncio_place) {
        guard place.line > 0 else { return nil }
        line = Int(place.line)
        file = unsafe String(cString: casyncio_place_file(&place))
        let count = Int(place.address_count)
        addresses = unsafe Array(UnsafeBufferPointer(start: casyncio_place_addresses(&place), count: count))
    }
}
