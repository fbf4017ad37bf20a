// What this driver leaves to the ring, and what it does not.
//
// 1. Calls that can be made at once are made at once, as over epoll: a send is taken nearly always, and a task that has
//    to wait for its completion would cost more than the system call that the ring saves. The ring gets what has to
//    wait.
// 2. What comes over TCP is received by the kernel itself, into buffers of ours, as long as the connection is open
//    (multishot receive with provided buffers): one entry for all messages, and no call for any of them. See
//    DescriptorCore+Feeding.swift for what becomes of the bytes. A connection whose messages fill whole buffers is
//    watched instead, since one call then moves more than one buffer; and so are Unix sockets, where bytes must not be
//    taken apart from the descriptors that travel with them.
// 3. All other descriptors are watched by a poll that stays (multishot, edge by edge), which is the same as an edge of
//    epoll(7): what EpollDriver.swift says of them under 2 to 5 is true here, but for one thing: a completion may tell
//    what the wake-up could have meant (EPOLLPRI beside EPOLLIN) instead of what is there. So a short read may cost one
//    more call that finds nothing.
// 4. An entry under way holds its file, whatever becomes of the number: close(2) alone would neither end it nor send a
//    FIN. So a descriptor is closed after its entries have been cancelled and the kernel has let go of them, which
//    costs as much as the EPOLL_CTL_DEL that epoll needs there.
// 5. Connections are accepted by calls: a listener that accepts by itself would accept more than its limit, and could
//    not tell the peer's address without a call.
// 6. Memory of tasks is lent to the kernel for reads of files alone. It stays lent until the completion,
//    whatever was cancelled meanwhile, as the seam asks.
//
// References: io_uring(7), io_uring_setup(2), io_uring_enter(2), io_uring_prep_recv_multishot(3).

package import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// The driver over io_uring(7).
@safe
package final class UringDriver: Driver {
    package let name = "io_uring"
    package var now: Instant { .monotonicNow }
    package var descriptors: DescriptorCore? { core }

    let core = DescriptorCore()
    let ring: Ring
    let buffers: ReceiveBuffers
    /// What the kernel has.
    @safe @exclusivity(unchecked) var flights = FlightTable()
    /// Which of that is a descriptor's, indexed by its number.
    @safe @exclusivity(unchecked) var links = StableTable(filledWith: Links())
    /// Which of that carries out an operation, indexed by its token's index.
    @safe @exclusivity(unchecked) var errands = StableTable(filledWith: FlightTable.nobody)
    /// Disturbs completions on their way, in tests: tracing tools do not see inside the ring.
    package var disturbance: ((RingEvent) -> [RingEvent])?
    private let wakeDescriptor: CInt
    private var hasBegun = false
    private var isClosed = false

    /// The entries that belong to one descriptor.
    struct Links {
        var watch = FlightTable.nobody
        var feed = FlightTable.nobody
    }

    /// How a driver's ring is laid out.
    package struct Layout {
        /// How many entries are submitted at once, at most.
        package var submissions: UInt32 = 256
        /// How many completions have room before the kernel keeps them itself.
        package var completions: UInt32 = 4096
        /// How many buffers the kernel receives into; a power of two.
        package var buffers = 8
        /// How large each is. Messages that fill one are received by calls.
        package var bytesPerBuffer = 16_384
        /// The same where each message takes a buffer of its own.
        package var buffersForOne = 256
        package var bytesForOne = 4096

        package init() {}
    }

    /// Throws ``IOError`` where the system offers no io_uring, or not enough of it: see ``UringSupport``.
    package init(_ layout: Layout = Layout()) throws(IOError) {
        ring = try Ring(submissions: layout.submissions, completions: layout.completions, setups: [.deferred])
        buffers = try ReceiveBuffers.best(for: layout, ring: ring)
        wakeDescriptor = try SystemCall.eventDescriptor("the loop's own").release()
        unsafe core.source = self
        core.feedsStreams = UringSupport.mayFeed
    }

    deinit { close() }

    package func submit(_ operation: Operation, token: Token) -> Submission { core.submit(operation, token: token) }
    package func rival(of operation: Operation) -> Token? { core.rival(of: operation) }
    package nonisolated func wake() { SystemCall.signal(wakeDescriptor) }

    package func cancel(_ token: Token) {
        core.cancel(token)
        guard Int(token.index) < errands.count, let flight = flights[errands[Int(token.index)]], flight.token == token
        else { return }
        end(errands[Int(token.index)])
    }

    package func wait(until deadline: Instant?, into completions: inout CompletionList) {
        begin()
        var timeout: Int64 = -1
        if core.advance(into: &completions) {
            timeout = 0
        } else if let deadline, deadline != .distantFuture {
            timeout = deadline == .distantPast ? 0 : max(0, now.duration(to: deadline).saturatedNanoseconds)
        }
        if timeout != 0 || ring.needsEntering {
            enter(awaiting: timeout == 0 ? 0 : 1, nanoseconds: timeout)
        }
        core.nextTurns(into: &completions)
        harvest(into: &completions)
    }

    /// What has to be done on the loop's thread before the ring is used.
    private func begin() {
        guard !hasBegun else { return }
        hasBegun = true
        do { try ring.enable() } catch { preconditionFailure("\(error)") }
        awaitWake()
    }

    /// Enters the kernel. After a signal, at the end of the time and in a moment without memory, one looks around.
    private func enter(awaiting count: UInt32, nanoseconds: Int64) {
        let result = ring.enter(awaiting: count, nanoseconds: nanoseconds)
        if result >= 0 || Errno(negated: result).isTemporary { return }
        callerMust(result != Errno.fileExists.negated, "a loop over io_uring runs, and ends, on one thread")
        preconditionFailure("io_uring_enter: \(Errno(negated: result))")
    }

    /// Enters the kernel, and works on what comes, until something has happened. What has ended meanwhile is told by
    /// the next wait.
    private func enter(until isDone: () -> Bool) {
        var completions = CompletionList()
        while !isDone() {
            enter(awaiting: 1, nanoseconds: -1)
            harvest(into: &completions)
        }
        core.ended.append(contentsOf: completions.takeAll())
    }

    private func awaitWake() {
        submit(.watch(wakeDescriptor, Interest.input), for: flights.open(.wake, .none))
    }

    func submit(_ entry: casyncio_submission, for number: UInt64) {
        begin()
        var entry = entry
        entry.user_data = number
        ring.submit(entry)
    }

    /// Asks for the end of an entry, once.
    func end(_ number: UInt64) {
        guard flights.markEnding(number) else { return }
        submit(.cancel(number), for: FlightTable.nobody)
    }

    // MARK: Harvesting

    /// Works on all completions that are there.
    func harvest(into completions: inout CompletionList) {
        repeat {
            while let completion = ring.next() {
                guard let disturbance else {
                    land(completion.user_data, completion, into: &completions)
                    continue
                }
                for event in disturbance(RingEvent(completion)) {
                    land(event.number, event.completion, into: &completions)
                }
            }
            // What found no room comes when the kernel is entered again.
            guard ring.hasOverflow else { return }
            ring.flush()
        } while true
    }

    private func land(_ number: UInt64, _ completion: casyncio_completion, into completions: inout CompletionList) {
        guard number != FlightTable.nobody, let flight = flights[number] else {
            // A late duplicate, or a cancel that came too late.
            return
        }
        if !completion.hasMore { flights.land(number) }
        switch flight.purpose {
        case .free: break
        case .wake: if !completion.hasMore && !isClosed { awaitWake() }
        case .watch, .foreign: watched(number, flight, completion, into: &completions)
        case .feed: fed(number, flight, completion, into: &completions)
        case .operation:
            errands[Int(flight.token.index)] = FlightTable.nobody
            // A cancelled call on a thread of the kernel's says that it was interrupted.
            let wasInterrupted = flight.isEnding && Int(completion.result) == Errno.interrupted.negated
            completions.append(
                Completion(flight.token, wasInterrupted ? .cancelled : Outcome(Int(completion.result))))
        }
    }

    /// What a completion has brought. Valid until its buffer is given back.
    private func received(_ completion: casyncio_completion) -> UnsafeRawBufferPointer? {
        guard let buffer = completion.buffer else { return nil }
        return unsafe buffers.take(buffer, Int(completion.result), isLast: !completion.leavesBuffer)
    }

    private func giveBack(_ completion: casyncio_completion) {
        guard let buffer = completion.buffer, !completion.leavesBuffer else { return }
        buffers.giveBack(buffer)
    }

    private func watched(
        _ number: UInt64, _ flight: FlightTable.Flight, _ completion: casyncio_completion,
        into completions: inout CompletionList
    ) {
        let (handle, index) = (flight.handle, Int(flight.handle.descriptor))
        let isOurs = links[index].watch == number
        if !completion.hasMore && isOurs {
            links[index].watch = FlightTable.nobody
            if flight.purpose == .watch { core.sockets[index].isWatched = false }
        }
        if completion.result >= 0 {
            core.notice(handle, UInt32(bitPattern: completion.result), into: &completions)
        } else if isOurs && !flight.isEnding {
            core.watchHasFailed(handle, Int(completion.result))
        }
        // The kernel gives up a poll that stays when its memory runs short. A new one reports what is ready already.
        if !completion.hasMore && isOurs && !flight.isEnding && completion.result >= 0 { core.watchAgain(handle) }
    }

    private func fed(
        _ number: UInt64, _ flight: FlightTable.Flight, _ completion: casyncio_completion,
        into completions: inout CompletionList
    ) {
        let (handle, index, result) = (flight.handle, Int(flight.handle.descriptor), Int(completion.result))
        let isOurs = links[index].feed == number
        var wantsMore = isOurs
        if let bytes = unsafe received(completion) {
            if result > 0 && isOurs {
                wantsMore = unsafe core.feed(handle, bytes, into: &completions)
                if result >= buffers.bytesPerBuffer {
                    wantsMore = false
                    core.sockets[index].canBeFed = false
                }
            }
            giveBack(completion)
        }
        if completion.hasMore {
            if !wantsMore { end(number) }
            return
        }
        guard isOurs else { return }
        links[index].feed = FlightTable.nobody
        // No buffer was free for a moment: they are given back by now. Any other refusal would come again.
        let isPassing = result >= 0 || result == Errno.noBufferSpace.negated || result == Errno.canceled.negated
        if !isPassing { core.sockets[index].canBeFed = false }
        core.feedHasEnded(handle, min(result, 0), into: &completions)
    }

    // MARK: Ending

    package func close() {
        guard !isClosed else { return }
        isClosed = true
        // The kernel may still write into memory that was lent to it, and holds files: until it has let go of all.
        if flights.count > 0 {
            // Nothing is anybody's any more, so nothing is renewed.
            for index in 0..<links.count { links[index] = Links() }
            submit(.cancelAll, for: FlightTable.nobody)
            var rest = CompletionList()
            repeat {
                harvest(into: &rest)
                // Another thread than the loop's may not enter: closing the ring is all that is left then.
                let result = flights.count > 0 ? ring.enter(awaiting: 1, nanoseconds: -1) : 0
                if result < 0 && !Errno(negated: result).isTemporary { break }
            } while flights.count > 0
        }
        core.close()
        ring.close()
        _ = SystemCall.close(wakeDescriptor)
    }
}

extension UringDriver: ReadinessSource {
    package func watch(_ handle: Handle) -> Int {
        let index = reserve(handle)
        links[index].watch = flights.open(.watch, handle)
        submit(.watch(handle.descriptor, Interest.adopted), for: links[index].watch)
        return 0
    }

    package func watchForBytes(_ handle: Handle) -> Int {
        let index = reserve(handle)
        links[index].feed = flights.open(.feed, handle)
        core.sockets[index].isFed = true
        core.sockets[index].feedIsOpen = true
        submit(.receive(handle.descriptor), for: links[index].feed)
        return 0
    }

    package func watch(foreign handle: Handle, _ interest: UInt32, isWatched: Bool) -> Int {
        let index = reserve(handle)
        // What is ready needs no entry; the same answer as epoll's for what always is.
        if !isWatched && SystemCall.isReady(handle.descriptor, interest) { return Errno.notPermitted.negated }
        end(links[index].watch)
        links[index].watch = FlightTable.nobody
        guard interest != 0 else { return 0 }
        links[index].watch = flights.open(.foreign, handle)
        submit(.await(handle.descriptor, interest), for: links[index].watch)
        return 0
    }

    package func forget(_ handle: Handle) {
        let (watch, feed) = abandonEntries(handle)
        enter { flights[watch] == nil && flights[feed] == nil }
    }

    package func abandon(_ handle: Handle) { _ = abandonEntries(handle) }

    private func abandonEntries(_ handle: Handle) -> (watch: UInt64, feed: UInt64) {
        let index = reserve(handle)
        let (watch, feed) = (links[index].watch, links[index].feed)
        end(watch)
        end(feed)
        links[index] = Links()
        return (watch, feed)
    }

    package func submit(_ call: FileCall, token: Token) -> Submission {
        guard let entry = casyncio_submission.carryOut(call) else { return .completed(.needsThread) }
        let index = Int(token.index)
        errands.reserve(index)
        errands[index] = flights.open(.operation, .none, token: token)
        submit(entry, for: errands[index])
        return .pending
    }

    package func stopFeeding(_ handle: Handle) {
        let index = reserve(handle)
        core.sockets[index].canBeFed = false
        end(links[index].feed)
        enter { links[index].feed == FlightTable.nobody }
    }

    private func reserve(_ handle: Handle) -> Int {
        let index = Int(handle.descriptor)
        links.reserve(index)
        return index
    }
}

/// A completion on its way from the ring, for tests that disturb it.
package struct RingEvent {
    /// Which entry it belongs to.
    package var number: UInt64
    /// The kernel's number: non-negative, or a negated error number.
    package var result: Int32
    /// Whether the entry goes on.
    package var hasMore: Bool
    private var flags: UInt32

    /// The same, without bytes.
    package var withoutBuffer: RingEvent {
        var event = self
        event.flags &= ~UInt32(CASYNCIO_COMPLETION_HAS_BUFFER)
        return event
    }

    init(_ completion: casyncio_completion) {
        number = completion.user_data
        result = completion.result
        hasMore = completion.hasMore
        flags = completion.flags
    }

    var completion: casyncio_completion {
        let more = UInt32(CASYNCIO_COMPLETION_HAS_MORE)
        return casyncio_completion(
            user_data: number, result: result, flags: hasMore ? flags | more : flags & ~more)
    }
}
