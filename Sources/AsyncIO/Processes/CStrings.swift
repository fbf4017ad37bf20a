import AsyncIOKernel
import SystemPackage

/// Texts as the kernel wants them: a list of pointers to bytes that end in NUL, itself ended by a null pointer.
@safe
struct CStrings: ~Copyable {
    private let bytes: UnsafeMutableBufferPointer<CChar>
    /// Valid while this value lives.
    let words: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>

    /// Copies the texts. Throws ``IOError`` with `EINVAL` for one that has a NUL inside: it would end there.
    init(_ texts: [String], of subject: String) throws(IOError) {
        try self.init(bytes: texts.map { Array($0.utf8) }, of: subject)
    }

    /// As ``init(_:of:)``, for what need not be UTF-8.
    init(bytes texts: [[UInt8]], of subject: String) throws(IOError) {
        if let text = texts.first(where: { $0.contains(0) }) {
            throw IOError(
                .invalidArgument, operation: "spawn", subject: VisibleText.line(subject),
                detail: "\"\(VisibleText.line(String(decoding: text, as: UTF8.self)))\" has a NUL inside, "
                    + "which no program can be given")
        }
        let size = texts.reduce(0) { $0 + $1.count + 1 }
        unsafe bytes = .allocate(capacity: max(size, 1))
        unsafe words = .allocate(capacity: texts.count + 1)
        var place = 0
        for (index, text) in texts.enumerated() {
            unsafe (words + index).initialize(to: bytes.baseAddress.map { unsafe $0 + place })
            for byte in text {
                unsafe bytes.initializeElement(at: place, to: CChar(bitPattern: byte))
                place += 1
            }
            unsafe bytes.initializeElement(at: place, to: 0)
            place += 1
        }
        unsafe (words + texts.count).initialize(to: nil)
    }

    deinit {
        unsafe bytes.deallocate()
        unsafe words.deallocate()
    }
}
