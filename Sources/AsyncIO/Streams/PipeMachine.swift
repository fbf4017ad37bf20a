/// One direction of a stream in memory: a bounded ring between one reader and one writer, and what each of them gets to
/// hear when the other one goes.
///
/// Who cannot be served at once stays inside, and a second one is sent away with the first one's name. A writer that
/// waits leaves its bytes where they are; reads draw them into the ring as room comes, and the writer is woken once,
/// when the last of them is in.
@safe
struct PipeMachine: WaitMachine, ~Copyable {
    /// How far the reading end has come.
    enum ReadingEnd { case open, closed, aborted }
    /// How far the writing end has come.
    enum WritingEnd { case open, finished, closed, aborted }
    /// What a visitor came for: its note.
    enum Wish: Int { case read, write }

    /// Why nothing can be done.
    enum Fault: Equatable {
        /// This end was closed, here.
        case closedHere
        /// This end has finished writing.
        case finishedHere
        /// The peer has closed its reading end.
        case peerClosed
        /// The peer has broken off.
        case peerAborted
        /// Somebody is inside already.
        case busy(TaskLabel)
    }

    private(set) var ring: ByteRing
    private(set) var readingEnd = ReadingEnd.open
    private(set) var writingEnd = WritingEnd.open
    /// Who is inside of a read: in the lot, or granted and about to take.
    private(set) var reader: TaskLabel?
    /// Who is inside of a write: in the lot.
    private(set) var writer: TaskLabel?
    private var readers = ParkingLot()
    private var writers = ParkingLot()
    /// What the writer in the lot still has to hand over. Its suspended task keeps the memory alive.
    private var rest: UnsafeRawBufferPointer?

    init(capacity: Int) {
        ring = ByteRing(capacity: capacity)
    }

    // MARK: Reading

    enum Reading: Equatable { case bytes(Int), end, empty, fault(Fault) }

    /// What a read would find.
    private var outlook: Reading {
        if readingEnd != .open { return .fault(.closedHere) }
        if writingEnd == .aborted { return .fault(.peerAborted) }
        if !ring.isEmpty { return .bytes(ring.count) }
        return writingEnd == .open ? .empty : .end
    }

    /// What somebody finds who comes to read: the number of bytes that are there.
    func arriveToRead() -> Reading {
        if readingEnd == .open, let reader { return .fault(.busy(reader)) }
        return outlook
    }

    /// Takes what is there.
    mutating func read(
        into memory: UnsafeMutableRawBufferPointer, waking woken: inout WakeList
    ) -> Reading {
        guard case .bytes = outlook else { return outlook }
        let count = unsafe ring.take(into: memory)
        refill(waking: &woken)
        return .bytes(count)
    }

    /// Waits until something is there, or says what is known already: then the visit is answered.
    mutating func wait(toRead visitor: ParkedTask, as label: TaskLabel) -> Reading {
        let found = arriveToRead()
        switch found {
        case .fault: visitor.end()
        case .bytes, .end:
            reader = label
            visitor.grant()
        case .empty:
            reader = label
            readers.append(visitor)
        }
        return found
    }

    /// Whoever has waited to read is about to take, and leaves.
    mutating func readerLeaves() { reader = nil }

    // MARK: Writing

    enum Writing: Equatable { case taken(Int), full, fault(Fault) }

    /// Why a write is refused, if it is.
    private var refusal: Fault? {
        if writingEnd == .closed || writingEnd == .aborted { return .closedHere }
        if readingEnd == .aborted { return .peerAborted }
        if writingEnd == .finished { return .finishedHere }
        return readingEnd == .closed ? .peerClosed : nil
    }

    /// Takes in what there is room for.
    mutating func write(_ bytes: UnsafeRawBufferPointer, _ amount: Amount, waking woken: inout WakeList) -> Writing {
        if let refusal { return .fault(refusal) }
        if let writer { return .fault(.busy(writer)) }
        if amount == .all && bytes.count > ring.room { return .full }
        return .taken(unsafe add(bytes, waking: &woken))
    }

    /// Whether part of the bytes may be taken in.
    enum Amount { case all, whatFits }

    /// Takes in what there is room for, and waits until the rest is in.
    mutating func wait(
        toWrite bytes: UnsafeRawBufferPointer, _ visitor: ParkedTask, as label: TaskLabel, waking woken: inout WakeList
    ) -> Writing {
        let answer = unsafe write(bytes, .whatFits, waking: &woken)
        switch answer {
        case .taken(let count) where count == bytes.count: visitor.grant()
        case .taken(let count):
            writer = label
            unsafe rest = UnsafeRawBufferPointer(rebasing: bytes[count...])
            writers.append(visitor)
            return .full
        case .fault, .full: visitor.end()
        }
        return answer
    }

    private mutating func add(_ bytes: UnsafeRawBufferPointer, waking woken: inout WakeList) -> Int {
        let count = unsafe ring.append(bytes)
        if count > 0, let reader = readers.popFirst() { woken.grant(reader) }
        return count
    }

    /// Draws bytes of the writer that waits into the room that a read has made.
    private mutating func refill(waking woken: inout WakeList) {
        guard let bytes = unsafe rest else { return }
        let count = unsafe ring.append(bytes)
        guard count == bytes.count else {
            unsafe rest = UnsafeRawBufferPointer(rebasing: bytes[count...])
            return
        }
        writerLeaves()
        if let writer = writers.popFirst() { woken.grant(writer) }
    }

    private mutating func writerLeaves() {
        writer = nil
        unsafe rest = nil
    }

    // MARK: Ending

    /// Nothing more will be written; what is inside can still be read.
    mutating func finish(waking woken: inout WakeList) -> Fault? {
        if writingEnd == .finished { return nil }
        if let writer { return .busy(writer) }
        if let refusal, refusal != .peerClosed { return refusal }
        writingEnd = .finished
        readers.grantAll(waking: &woken)
        return nil
    }

    /// The writing end goes. What is inside can still be read.
    mutating func closeWriting(waking woken: inout WakeList) {
        guard writingEnd == .open || writingEnd == .finished else { return }
        writingEnd = .closed
        sendWriterAway(waking: &woken)
        readers.grantAll(waking: &woken)
    }

    /// The reading end goes: what is inside is dropped.
    mutating func closeReading(waking woken: inout WakeList) {
        guard readingEnd == .open else { return }
        readingEnd = .closed
        breakOff(waking: &woken)
    }

    /// One end breaks off: what is inside is dropped, and the other end hears of it.
    mutating func abortWriting(waking woken: inout WakeList) {
        guard writingEnd == .open || writingEnd == .finished else { return }
        writingEnd = .aborted
        breakOff(waking: &woken)
    }

    /// As ``abortWriting(waking:)``, from the reading end.
    mutating func abortReading(waking woken: inout WakeList) {
        guard readingEnd == .open else { return }
        readingEnd = .aborted
        breakOff(waking: &woken)
    }

    private mutating func breakOff(waking woken: inout WakeList) {
        ring.removeAll()
        sendWriterAway(waking: &woken)
        readers.endAll(waking: &woken)
    }

    private mutating func sendWriterAway(waking woken: inout WakeList) {
        writers.endAll(waking: &woken)
        writerLeaves()
    }

    /// Why the visit of somebody who waited has ended.
    func reason(for wish: Wish) -> Fault {
        switch wish {
        case .read: readingEnd == .open ? .peerAborted : .closedHere
        case .write: refusal ?? .closedHere
        }
    }

    mutating func leave(_ waiter: ParkedTask, waking: inout WakeList) {
        switch Wish(rawValue: waiter.note) {
        case .read, nil:
            readers.remove(waiter)
            readerLeaves()
        case .write:
            writers.remove(waiter)
            writerLeaves()
        }
    }
}
