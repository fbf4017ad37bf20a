// epoll is older than it looks, and stranger. What this driver relies on, and guards against:
//
// 1. An epoll set remembers *open file descriptions*, not descriptor numbers. Closing a number takes its entry away
//    only if no other number, in this process or in a child that was forked meanwhile, refers to the same
//    description. Such an entry goes on reporting events under the data that we gave it, when the number may long
//    belong to another socket. So (a) we delete the entry explicitly before close(2), at once, never batched, unless
//    there should be no copy: of a connection that was accepted here, and whose number nothing of ours hands over, in
//    a process that has not forked; and (b) the data carries a generation next to the number, and events of an older
//    generation are dropped: those that lie in the batch that is just being worked on, too. (b) alone is what
//    correctness rests on; without (a), a copy that somebody has made all the same, of a number that he has seen or
//    by clone(2), costs a wake-up for each of its events.
// 2. Edge-triggered events (EPOLLET) are a promise in one direction: after a call has returned EAGAIN, the next
//    change is reported. Nothing is promised while data are left. Therefore every operation is *tried first*, and
//    waits only after EAGAIN, or when we know that a call would return it.
// 3. We do know that after a short read from a TCP socket: the kernel had no more (epoll(7), "Questions and answers"
//    9, speaks of all streams, but a Unix socket stops behind bytes that carry descriptors, a terminal behind each
//    line). Unless the peer has also finished: data and FIN may arrive together, as one edge. EPOLLRDHUP tells them
//    apart, and is remembered, so that a reader is never put to sleep in front of the end of its stream. Nor does
//    a short read mean much once urgent data (EPOLLPRI) have come: recv(2) stops at their mark, and more lies behind.
// 4. EPOLLHUP and EPOLLERR are reported whether asked for or not. Level-triggered, an error that nobody picks up
//    turns the loop into a heater; edge-triggered it is told once. They make both directions ready: the next call
//    brings the error.
// 5. EPOLLRDHUP means that the peer will send no more, not that it will read no more: a writer is not disturbed by
//    it.
// 6. One registration serves both directions for a descriptor's whole life: EPOLL_CTL_ADD once, no EPOLL_CTL_MOD
//    ever. ADD reports what is ready already, so registering late, when the first operation has to wait, misses
//    nothing.
// 7. Regular files and folders are refused with EPERM. They are always ready, as for poll(2), and we say so.
// 8. The timeout of epoll_wait(2) counts milliseconds in an `int`. Rounded down, 0.5 ms becomes a spin; cast, 25 days
//    become negative, which is forever. We use epoll_pwait2(2) and its nanoseconds, or round up and clamp.
// 9. epoll_wait(2) is never restarted after a signal, whatever SA_RESTART says. We return to the loop, which looks
//    around, computes its timeout anew, and comes back.
// 10. connect(2) that a signal interrupts goes on in the background: calling it again would give EALREADY. So EINTR is
//     taken for EINPROGRESS. The result comes once, from SO_ERROR, whose reading clears it.
// 11. An eventfd registered edge-triggered need not be read: each write is a new edge, and its 64-bit counter would
//     take centuries to fill. That saves a system call for each wake-up.
//
// References: epoll(7), epoll_ctl(2), epoll_wait(2), eventfd(2), connect(2), socket(7).

package import AsyncIOKernel
import CAsyncIO
import Glibc
import SystemPackage

/// The driver over epoll(7): edge-triggered, each descriptor registered at most once, calls tried before anything
/// waits.
@safe
package final class EpollDriver: Driver {
    package let name = "epoll"
    package var now: Instant { .monotonicNow }
    package var descriptors: DescriptorCore? { core }

    let core = DescriptorCore()
    private let epoll: CInt
    private let wakeDescriptor: CInt
    private var isClosed = false
    private let events: UnsafeMutableBufferPointer<epoll_event>
    private static let wakeMark = UInt64.max

    package init() throws(IOError) {
        let set = try SystemCall.call("epoll_create1") { epoll_create1(CInt(EPOLL_CLOEXEC)) }
        let owned = Descriptor(owning: CInt(truncatingIfNeeded: set))
        let wake = try SystemCall.eventDescriptor("the loop's own")
        var event = unsafe casyncio_epoll_event(Interest.input | Interest.edge, Self.wakeMark)
        try SystemCall.call("epoll_ctl", "eventfd") {
            unsafe epoll_ctl(CInt(truncatingIfNeeded: set), EPOLL_CTL_ADD, wake.number, &event)
        }
        epoll = owned.release()
        wakeDescriptor = wake.release()
        unsafe events = .allocate(capacity: 256)
        unsafe core.source = self
    }

    deinit {
        close()
        unsafe events.deallocate()
    }

    package func submit(_ operation: Operation, token: Token) -> Submission { core.submit(operation, token: token) }
    package func cancel(_ token: Token) { core.cancel(token) }
    package func rival(of operation: Operation) -> Token? { core.rival(of: operation) }
    package nonisolated func wake() { SystemCall.signal(wakeDescriptor) }

    package func wait(until deadline: Instant?, into completions: inout CompletionList) {
        var timeout: Int64 = -1
        if core.advance(into: &completions) {
            timeout = 0
        } else if let deadline, deadline != .distantFuture {
            // A deadline in the distant past is already due; asking the clock is only needed for one that might not be.
            timeout = deadline == .distantPast ? 0 : max(0, now.duration(to: deadline).saturatedNanoseconds)
        }
        let count = SystemCall.resultOnce {
            unsafe casyncio_epoll_wait(epoll, events.baseAddress, CInt(events.count), timeout)
        }
        // EINTR and a timeout look alike: the loop looks around. Anything else would be an error in this file.
        precondition(count >= 0 || count == Errno.interrupted.negated, "epoll_wait: \(Errno(negated: count))")
        core.nextTurns(into: &completions)
        for index in 0..<max(count, 0) {
            let data = unsafe casyncio_epoll_data(&events[index])
            if data == Self.wakeMark { continue }
            let handle = Handle(rawValue: Int(truncatingIfNeeded: data))
            core.notice(handle, unsafe events[index].events, into: &completions)
        }
    }

    package func close() {
        guard !isClosed else { return }
        isClosed = true
        core.close()
        _ = SystemCall.resultOnce { Glibc.close(wakeDescriptor) }
        _ = SystemCall.resultOnce { Glibc.close(epoll) }
    }
}

extension EpollDriver: ReadinessSource {
    package func watch(_ handle: Handle) -> Int {
        control(EPOLL_CTL_ADD, handle, Interest.adopted)
    }

    /// Level-triggered, and for one event, so that a descriptor that is closed behind our back, while a child still
    /// holds a copy, cannot report for ever.
    package func watch(foreign handle: Handle, _ interest: UInt32, isWatched: Bool) -> Int {
        guard interest != 0 else { return control(EPOLL_CTL_DEL, handle, 0) }
        return control(isWatched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, handle, interest | Interest.once)
    }

    package func forget(_ handle: Handle) { _ = control(EPOLL_CTL_DEL, handle, 0) }

    // Its entry goes with it.
    package func forgetOnlyCopy(_ handle: Handle) {}
    package func abandon(_ handle: Handle) {}

    private func control(_ action: CInt, _ handle: Handle, _ interest: UInt32) -> Int {
        var event = unsafe casyncio_epoll_event(interest, UInt64(truncatingIfNeeded: handle.rawValue))
        return SystemCall.result { unsafe epoll_ctl(epoll, action, handle.descriptor, &event) }
    }
}
