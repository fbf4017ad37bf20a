#if HTTP
/// What is wrong with compressed data, or too much of it.
public enum ContentCodingError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The data breaks the rules of its format, in zlib's words; or its checksum says that it was changed.
    case corrupt(String)
    /// The data ends before its format does.
    case truncated
    /// There is something behind the end that the format knows of.
    case trailingBytes
    /// The data needs a dictionary that nobody has agreed on.
    case dictionaryNeeded
    /// It becomes more bytes than somebody takes.
    case tooLarge(limit: Int)
    /// It becomes more than so many times what it was: no text does.
    case ratioTooLarge(limit: Int)
    /// There is no memory for the state of the coding, which is 256 KiB at most.
    case outOfMemory

    /// A sentence: what is wrong, and with which limit.
    public var description: String {
        switch self {
        case .corrupt(let reason): "the compressed data is corrupt: \(reason)"
        case .truncated: "the compressed data ends too early"
        case .trailingBytes: "there are bytes behind the end of the compressed data"
        case .dictionaryNeeded: "the compressed data needs a dictionary"
        case .tooLarge(let limit): "the data would be more than \(limit) bytes without its compression"
        case .ratioTooLarge(let limit): "the data grows to more than \(limit) times its size without its compression"
        case .outOfMemory: "there is no memory to compress or decompress"
        }
    }
}
#endif
