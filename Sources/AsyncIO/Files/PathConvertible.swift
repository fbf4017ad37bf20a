import AsyncIOKernel
public import SystemPackage

/// What may name a file: a `String`, or a `FilePath`, which also keeps names that are not UTF-8.
///
/// A path with a zero byte in it is refused with `EINVAL`: the system would take what stands before it for the whole.
public protocol PathConvertible: Sendable {
    /// The path's bytes, as the system calls take them, without a final zero.
    var pathBytes: [UInt8] { get }
}

extension String: PathConvertible {
    /// The text as UTF-8.
    public var pathBytes: [UInt8] { Array(utf8) }
}

extension Substring: PathConvertible {
    /// The text as UTF-8.
    public var pathBytes: [UInt8] { Array(utf8) }
}

extension FilePath: PathConvertible {
    /// The bytes of the path, whatever they are.
    public var pathBytes: [UInt8] {
        unsafe withPlatformString { start in
            unsafe UnsafeBufferPointer(start: start, count: length).map { UInt8(bitPattern: $0) }
        }
    }
}

extension PathConvertible {
    /// The path as an operation takes it.
    func bytes(for operation: String) throws(IOError) -> PathBytes { try PathBytes(pathBytes, for: operation) }

    /// The path with its bytes, whatever they are.
    var filePath: FilePath { FilePath(bytes: pathBytes) }

    /// The folder that the path's last name stands in, and the name: what has to be looked at to replace it.
    var split: (folder: [UInt8], name: [UInt8]) {
        var bytes = pathBytes[...]
        while bytes.count > 1, bytes.last == slash { bytes.removeLast() }
        guard let last = bytes.lastIndex(of: slash) else { return ([UInt8(ascii: ".")], Array(bytes)) }
        return (last == 0 ? [slash] : Array(bytes[..<last]), Array(bytes[(last + 1)...]))
    }
}

private let slash = UInt8(ascii: "/")

extension FilePath {
    init(bytes: some Collection<UInt8>) {
        unsafe self.init(platformString: bytes.map { CChar(bitPattern: $0) } + [0])
    }

    /// The path of a name in this folder.
    func appending(_ name: [UInt8]) -> FilePath { FilePath(bytes: pathBytes + [slash] + name) }
}
