import AsyncIOKernel
import SystemPackage

/// One direction of a TCP connection: bytes from their writer to their reader, in order, over a route that may lose
/// packets and acknowledgements.
///
/// The bytes lie in one ring from the write to the read, and events move positions in it: how far it is written, sent,
/// arrived, acknowledged, taken. What the sender knows comes with acknowledgements, which have a way of their own. They
/// are looked at when the sender acts, and make events only if it waits for them, so that a conversation in which
/// nobody waits for room costs one event a segment.
final class TCPFlow {
    var world: World { unsafe owner }
    // Packets and sockets go with their world.
    private unowned(unsafe) let owner: World
    let route: Route
    /// The way of the acknowledgements.
    let back: Route
    /// Nil as soon as the connection is over for that side. Not weak, which would make every retain a slow one.
    @safe @exclusivity(unchecked) var sender: TCPSocket?
    @safe @exclusivity(unchecked) var receiver: TCPSocket?

    @safe @exclusivity(unchecked) private var ring = ByteRing()
    /// How much the sender may have written beyond what is acknowledged, and how much may wait for the reader.
    @safe @exclusivity(unchecked) var sendLimit: Int
    @safe @exclusivity(unchecked) var receiveLimit: Int
    @safe @exclusivity(unchecked) private(set) var sent = 0
    @safe @exclusivity(unchecked) private(set) var arrived = 0
    @safe @exclusivity(unchecked) private(set) var acknowledged = 0
    /// Up to where the sender may send, as it knows; and as the receiver has said last.
    @safe @exclusivity(unchecked) private var edge: Int
    @safe @exclusivity(unchecked) private var advertised: Int
    /// The sender has said that no more comes; it is sent; it has come; the sender knows that.
    @safe @exclusivity(unchecked) private(set) var isFinishing = false
    @safe @exclusivity(unchecked) private(set) var endIsSent = false
    @safe @exclusivity(unchecked) private(set) var endHasArrived = false
    @safe @exclusivity(unchecked) private(set) var endIsAcknowledged = false
    /// When something has come last.
    @safe @exclusivity(unchecked) private(set) var lastActivity: Instant

    private struct Segment {
        let end: Int
        var time: Instant
        let isEnd: Bool
    }

    private struct Acknowledgement {
        let time: Instant
        let position: Int
        let edge: Int
        let isOfEnd: Bool
    }

    @safe @exclusivity(unchecked) private var flight = Queue<Segment>()
    @safe @exclusivity(unchecked) private var lastArrival = Instant.distantPast
    @safe @exclusivity(unchecked) private var acknowledgements = Queue<Acknowledgement>()
    @safe @exclusivity(unchecked) private var lastAcknowledgement = Instant.distantPast
    /// Somebody waits for room to write.
    @safe @exclusivity(unchecked) private var wantsRoom = false
    /// The sender is gone.
    @safe @exclusivity(unchecked) private(set) var isAbandoned = false
    @safe @exclusivity(unchecked) private var deliveryIsDue = false
    @safe @exclusivity(unchecked) private var acknowledgementIsDue = false

    // What TCPFlow+Recovery.swift keeps.
    /// A segment was lost, and what follows waits for it.
    @safe @exclusivity(unchecked) var isStalled = false
    /// An acknowledgement was lost.
    @safe @exclusivity(unchecked) var lacksWord = false
    var wordIsHeld = false
    var recovery: Recovery?

    init(_ route: Route, back: Route, sendLimit: Int, receiveLimit: Int) {
        unsafe owner = route.world
        self.route = route
        self.back = back
        self.sendLimit = sendLimit
        self.receiveLimit = receiveLimit
        edge = receiveLimit
        advertised = receiveLimit
        lastActivity = route.world.now
    }

    // MARK: The sender's side

    /// How much can be written now.
    var room: Int { sendLimit - (ring.written - acknowledged) }
    var unsent: Int { ring.written - sent }
    /// Whether the sender does not know of everything that it has arrived.
    var isUncertain: Bool { acknowledged < ring.written || isFinishing && !endIsAcknowledged }

    func write(_ bytes: UnsafeRawBufferPointer) {
        unsafe ring.write(bytes)
        push()
        // The word that opens the window may be under way already, and be the last one.
        expectWord()
    }

    /// The sender shall be told when there is room.
    func waitForRoom() {
        wantsRoom = true
        expectWord()
    }

    /// No more will be written.
    func finish() {
        guard !isFinishing else { return }
        isFinishing = true
        push()
        expectWord()
    }

    /// Sends what may be sent.
    func push() {
        guard !isAbandoned else { return }
        while sent < ring.written && sent < edge {
            send(upTo: min(ring.written, edge, sent + route.piece), isEnd: false)
        }
        if isFinishing && !endIsSent && sent == ring.written {
            endIsSent = true
            send(upTo: sent, isEnd: true)
        }
    }

    private func send(upTo end: Int, isEnd: Bool) {
        let length = end - sent
        sent = end
        // What follows a lost segment comes with it.
        var time = Instant.distantFuture
        if !isStalled {
            let packets = length <= route.segment ? 1 : (length + route.segment - 1) / route.segment
            if let arrival = route.send(length, packets: packets) {
                time = max(arrival, lastArrival)
                lastArrival = time
            } else {
                isStalled = true
            }
        }
        flight.append(Segment(end: end, time: time, isEnd: isEnd))
        if isStalled { beginRecovery() } else { expectDelivery() }
    }

    /// Looks at what has been acknowledged by now.
    func absorb() {
        guard let first = acknowledgements.first, first.time <= world.now else { return }
        while let next = acknowledgements.first, next.time <= world.now {
            acknowledgements.removeFirst()
            acknowledged = max(acknowledged, next.position)
            edge = max(edge, next.edge)
            if next.isOfEnd { endIsAcknowledged = true }
        }
        push()
    }

    private func hearWhatIsDue() {
        acknowledgementIsDue = false
        guard !isAbandoned, let sender, !sender.isGone else { return }
        absorb()
        // A third of the buffer is free: earlier, the kernel wakes nobody (sk_stream_is_writeable).
        if wantsRoom && room >= (ring.written - acknowledged) / 2 {
            wantsRoom = false
            sender.raiseAll()
        }
        expectWord()
    }

    /// Makes an event of the next acknowledgement, if somebody waits for it.
    private func expectWord() {
        guard !acknowledgementIsDue, wantsRoom || unsent > 0, let next = acknowledgements.first else { return }
        acknowledgementIsDue = true
        world.at(max(next.time, world.now)) { self.hearWhatIsDue() }
    }

    // MARK: The receiver's side

    /// How much can be read now.
    var available: Int { arrived - ring.taken }

    /// Takes bytes that are there.
    func read(into memory: UnsafeMutableRawBufferPointer) {
        unsafe ring.read(into: memory)
        // The sender hears of room when it is worth a packet.
        let opened = ring.taken + receiveLimit - advertised
        if opened >= receiveLimit / 2 { acknowledge() }
    }

    /// Tells the sender how far everything has come.
    func acknowledge() {
        guard !isAbandoned, receiver != nil else { return }
        if back.isObstructed { return loseWord() }
        lacksWord = false
        advertised = max(advertised, ring.taken + receiveLimit)
        let time = max(Instant(nanoseconds: world.now.nanoseconds + back.latency()), lastAcknowledgement)
        lastAcknowledgement = time
        acknowledgements.append(
            Acknowledgement(time: time, position: arrived, edge: advertised, isOfEnd: endHasArrived))
        expectWord()
    }

    // MARK: Under way

    func expectDelivery() {
        guard !deliveryIsDue, let first = flight.first, first.time != .distantFuture else { return }
        deliveryIsDue = true
        world.at(first.time) { self.deliverWhatIsDue() }
    }

    private func deliverWhatIsDue() {
        deliveryIsDue = false
        guard let first = flight.first, first.time <= world.now else { return }
        if route.isCut { return loseFlight() }
        if route.isClogged {
            // The sender hears nothing of what it has sent.
            beginRecovery()
            return route.hold { self.deliverWhatIsDue() }
        }
        guard let receiver = reachedReceiver() else { return }
        while let next = flight.first, next.time <= world.now {
            flight.removeFirst()
            if next.end > arrived && receiver.isOrphan { return receiver.refuseBytes() }
            arrived = next.end
            if next.isEnd { endHasArrived = true }
        }
        lastActivity = world.now
        acknowledge()
        receiver.hasReceived()
        expectDelivery()
    }

    /// The receiver, if it still knows of the connection. Otherwise its host says so, or nothing.
    func reachedReceiver() -> TCPSocket? {
        if let receiver, !receiver.isGone { return receiver }
        if route.to.life == nil {
            loseFlight()
        } else {
            _ = back.carry(0) { self.sender?.receiveReset() }
        }
        return nil
    }

    /// Everything that is under way is lost.
    private func loseFlight() {
        isStalled = true
        for index in 0..<flight.count { flight[index].time = .distantFuture }
        beginRecovery()
    }

    /// Everything that was lost arrives at that time.
    func sendAgain(_ arrival: Instant) {
        isStalled = false
        for index in 0..<flight.count where flight[index].time == .distantFuture {
            lastArrival = max(arrival, lastArrival)
            flight[index].time = lastArrival
        }
        expectDelivery()
    }

    /// How many bytes were lost and not been sent again.
    var lost: Int { isStalled ? sent - arrived : 0 }

    /// After what has been sent so far.
    var afterFlight: Instant { lastArrival == .distantFuture ? .distantPast : lastArrival }

    /// The sender is gone: nothing more is sent. What is under way arrives, if it is not lost.
    func abandon() {
        isAbandoned = true
        recovery = nil
        acknowledgements.removeAll()
    }
}
