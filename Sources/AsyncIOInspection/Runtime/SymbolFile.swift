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
        return unsafe Place(file: String(cString: casyncio_place_file(&place)), line: Int(place.line))
    }

    private func demangled(_ name: UnsafePointer<CChar>) -> String {
        guard let demangled = unsafe casyncio_demangle(name) else { return unsafe String(cString: name) }
        defer { unsafe free(demangled) }
        return unsafe String(cString: demangled)
    }
}
