/// Decides in which order messages leave a ``BufferedWriter``, who waits for room, and who sends.
///
/// Bytes are accepted whole, message by message, and sent in batches, by one sender at a time. A message that finds no
/// room stays with its task, and is taken in from there, in turn, once enough has been sent; one that is larger than
/// the buffer is never taken in: its task becomes the sender for as long as it takes.
@safe
struct WriterMachine: WaitMachine, ~Copyable {
    /// What is still accepted.
    enum Phase { case open, finished, closed }
    /// What a visitor waits for: its note. Anything from zero on is a mark that a flush waits for.
    enum Wish {
        static let room = -1
        /// Granted to a writer that waited: it is the sender now.
        static let isSender = -2
        static let everything = -3
    }

    let lowWater: Int
    let highWater: Int
    private(set) var phase = Phase.open
    /// Why nothing more can be sent.
    private(set) var failure: (any Error)?
    /// Whether somebody has heard of the failure.
    private(set) var isTold = false
    /// Accepted, and not yet in a batch.
    private var pending: [UInt8] = []
    /// Bytes accepted so far, and those of them that were sent or dropped.
    private(set) var accepted = 0
    private(set) var sent = 0
    /// Whether a sender is at work.
    private(set) var isSending = false
    /// Whether a sender will come by itself.
    private var isScheduled = false
    private var writers = ParkingLot()
    private var flushers = ParkingLot()
    private var closers = ParkingLot()

    init(lowWater: Int, highWater: Int) {
        self.lowWater = lowWater
        self.highWater = highWater
    }

    /// Bytes that were accepted and not yet sent.
    var buffered: Int { accepted - sent }
    private var isIdle: Bool { buffered == 0 && !isSending && writers.isEmpty }

    // MARK: Writing

    enum Writing {
        /// The message is in; somebody will send it.
        case accepted
        /// The message is in; the caller sees to it that a sender comes.
        case acceptedFirst
        /// The message is too large for the buffer, and it is its turn: the caller sends it.
        case isSender
        case full, refused
    }

    /// Takes a message in if there is room for all of it and nobody waits before it.
    mutating func write(_ bytes: UnsafeRawBufferPointer) -> Writing {
        guard failure == nil, phase == .open else { return .refused }
        guard writers.isEmpty, fits(bytes.count) else { return .full }
        if bytes.count > highWater {
            isSending = true
            return .isSender
        }
        unsafe accept(bytes)
        if isSending || isScheduled { return .accepted }
        isScheduled = true
        return .acceptedFirst
    }

    private func fits(_ count: Int) -> Bool {
        count > highWater ? buffered == 0 && !isSending : buffered == 0 || count <= highWater - buffered
    }

    private mutating func accept(_ bytes: UnsafeRawBufferPointer) {
        unsafe pending.append(contentsOf: bytes)
        accepted += bytes.count
    }

    /// Waits for room, or for the turn.
    mutating func wait(toWrite bytes: UnsafeRawBufferPointer, _ visitor: ParkedTask) -> Writing {
        let answer = unsafe write(bytes)
        switch answer {
        case .accepted, .acceptedFirst, .isSender: visitor.grant()
        case .refused: visitor.end()
        case .full:
            // The suspended task keeps the memory alive.
            unsafe visitor.slot(for: UnsafeRawBufferPointer.self).initialize(to: bytes)
            writers.append(visitor)
        }
        return answer
    }

    /// Takes in the messages of those who wait, in turn, once the buffer has come down to the low-water mark.
    private mutating func admit(waking woken: inout WakeList) {
        var isOpen = buffered <= lowWater
        while isOpen, let writer = writers.first {
            let bytes = unsafe writer.slot(for: UnsafeRawBufferPointer.self).pointee
            guard fits(bytes.count) else { break }
            writers.remove(writer)
            woken.grant(writer)
            if bytes.count > highWater {
                isSending = true
                writer.note = Wish.isSender
                isOpen = false
            } else {
                unsafe accept(bytes)
            }
        }
    }

    // MARK: Sending

    /// Becomes the sender. Nil if there is none needed.
    mutating func beginSending() -> [UInt8]? {
        isScheduled = false
        guard !isSending, !pending.isEmpty else { return nil }
        isSending = true
        return takeBatch()
    }

    private mutating func takeBatch() -> [UInt8] {
        defer { pending = [] }
        return pending
    }

    /// The sender has sent so many bytes of its batch.
    mutating func didSend(_ count: Int, waking woken: inout WakeList) {
        sent += count
        settle(waking: &woken)
    }

    /// The sender has sent all of its batch: the next one, or nil, and it is the sender no more.
    mutating func nextBatch(waking woken: inout WakeList) -> [UInt8]? {
        guard failure == nil else { return nil }
        if !pending.isEmpty { return takeBatch() }
        isSending = false
        settle(waking: &woken)
        // Whoever has been let in now needs a sender; one that is larger than the buffer is its own.
        guard !pending.isEmpty else { return nil }
        isSending = true
        return takeBatch()
    }

    private mutating func settle(waking woken: inout WakeList) {
        admit(waking: &woken)
        while let flusher = flushers.first, flusher.note <= sent {
            flushers.remove(flusher)
            woken.grant(flusher)
        }
        if isIdle { closers.grantAll(waking: &woken) }
    }

    /// Nothing more can be sent: what is inside is dropped, and everybody who waits hears of it.
    mutating func fail(_ error: any Error, waking woken: inout WakeList) {
        guard failure == nil else { return }
        failure = error
        pending = []
        isSending = false
        writers.endAll(waking: &woken)
        flushers.endAll(waking: &woken)
        closers.endAll(waking: &woken)
    }

    /// The failure, for somebody who will hear of it.
    mutating func tellFailure() -> (any Error)? {
        if failure != nil { isTold = true }
        return failure
    }

    // MARK: Flushing and ending

    /// Waits until what has been accepted by now is sent.
    mutating func wait(toFlush visitor: ParkedTask) -> Arrival {
        if failure != nil {
            visitor.end()
        } else if sent >= accepted {
            visitor.grant()
        } else {
            visitor.note = accepted
            flushers.append(visitor)
            return .parked
        }
        return .answered
    }

    /// Waits until everything is sent, also what waits for room.
    mutating func wait(toSendEverything visitor: ParkedTask) -> Arrival {
        if failure != nil {
            visitor.end()
        } else if isIdle {
            visitor.grant()
        } else {
            closers.append(visitor)
            return .parked
        }
        return .answered
    }

    /// Accepts no more messages; those that wait for room are still sent.
    mutating func end(_ phase: Phase) {
        if self.phase != .closed { self.phase = phase }
    }

    mutating func leave(_ waiter: ParkedTask, waking woken: inout WakeList) {
        switch waiter.note {
        case Wish.room: writers.remove(waiter)
        case Wish.everything: closers.remove(waiter)
        default: flushers.remove(waiter)
        }
        // Who stood behind it may go on. Somebody is sending, else nobody would wait.
        settle(waking: &woken)
    }
}
