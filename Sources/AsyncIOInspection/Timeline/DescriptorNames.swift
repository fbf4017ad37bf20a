import AsyncIOKernel

/// What the descriptors of a loop are connected to, from when on: `10.0.0.1:4000`, `listens at [::]:80`.
///
/// The kernel is asked when the first operation on a descriptor is seen, and again after its number has been closed.
struct DescriptorNames {
    /// A descriptor's name, from an instant on.
    struct Name: Equatable {
        var descriptor: Int32
        var since: Int64
        var text: String
    }

    /// In the order in which they were met.
    private(set) var all: [Name] = []
    private var known: [Bool] = []
    /// Descriptors of higher numbers stay without a name.
    static let highest: Int32 = 65_535
    /// Above that many names, the older half is forgotten.
    static let limit = 65_536

    /// Whether the descriptor has been asked about, or need not be.
    @inline(__always)
    func knows(_ descriptor: Int32) -> Bool {
        if UInt32(bitPattern: descriptor) < UInt32(truncatingIfNeeded: known.count) { return known[Int(descriptor)] }
        return descriptor < 0 || descriptor > Self.highest
    }

    /// An operation on a descriptor that is not known, or that makes it another one.
    @inline(never)
    mutating func meet(_ descriptor: Int32, _ operation: String, at time: Int64) {
        guard descriptor >= 0, descriptor <= Self.highest else { return }
        let index = Int(descriptor)
        while known.count <= index { known.append(contentsOf: repeatElement(false, count: max(known.count, 256))) }
        switch operation {
        case "close": known[index] = false
        // Its address comes later.
        case "adopt", "connect", "open": known[index] = false
        default:
            known[index] = true
            guard let text = Self.text(descriptor) else { return }
            if all.count >= Self.limit { all.removeFirst(Self.limit / 2) }
            all.append(Name(descriptor: descriptor, since: time, text: text))
        }
    }

    private static func text(_ descriptor: Int32) -> String? {
        // A simulated kernel would note the question, as everything else that happens there.
        if SystemCall.isSimulated { return nil }
        let (peerResult, peer) = SystemCall.peerAddress(descriptor)
        if peerResult >= 0, let address = SocketAddress(sockaddr: peer) { return "\(address)" }
        let (result, own) = SystemCall.localAddress(descriptor)
        guard result >= 0, let address = SocketAddress(sockaddr: own) else { return nil }
        return "at \(address)"
    }
}
