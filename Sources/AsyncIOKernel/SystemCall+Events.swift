import CAsyncIO
import Glibc

extension SystemCall {
    /// Makes an eventfd(2), non-blocking and close-on-exec.
    package static func eventDescriptor(_ subject: String) throws(IOError) -> Descriptor {
        let flags = CInt(EFD_CLOEXEC) | CInt(EFD_NONBLOCK)
        let number = try call("eventfd", subject) { eventfd(0, flags) }
        return Descriptor(owning: CInt(truncatingIfNeeded: number))
    }

    /// Wakes whoever waits for an eventfd. One whose counter is full wakes as well.
    package static func signal(_ eventDescriptor: CInt) {
        var one: UInt64 = 1
        _ = result { unsafe write(eventDescriptor, &one, MemoryLayout<UInt64>.size) }
    }

    /// Whether poll(2) finds one of the events, or an error, on a descriptor now.
    package static func isReady(_ descriptor: CInt, _ events: UInt32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(truncatingIfNeeded: events), revents: 0)
        return result { unsafe poll(&entry, 1, 0) } > 0
    }
}
