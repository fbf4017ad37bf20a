import AsyncIOKernel

/// Datagrams that wait to be sent, in order.
struct DatagramQueue {
    struct Entry {
        var bytes: [UInt8]
        /// Nil means the peer of a connected socket.
        var peer: SocketAddress?
    }

    private var entries: [Entry] = []
    /// The first entry's place in the list. The places before it are empty.
    private var head = 0
    /// How much waits: the datagrams' bytes, and what each costs beside them.
    private(set) var size = 0

    /// What a datagram counts for beside its bytes: many empty ones need memory, too.
    static let overhead = 64

    static func size(of bytes: [UInt8]) -> Int { bytes.count + overhead }

    var isEmpty: Bool { head == entries.count }

    var first: Entry? { isEmpty ? nil : entries[head] }

    mutating func append(_ bytes: [UInt8], to peer: SocketAddress?) {
        entries.append(Entry(bytes: bytes, peer: peer))
        size += Self.size(of: bytes)
    }

    mutating func removeFirst() {
        guard !isEmpty else { return }
        size -= Self.size(of: entries[head].bytes)
        entries[head].bytes = []
        head += 1
        guard head > 64 && head * 2 > entries.count || isEmpty else { return }
        entries.removeFirst(head)
        head = 0
    }

    mutating func removeAll() { self = DatagramQueue() }
}
