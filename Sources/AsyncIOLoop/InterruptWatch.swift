import AsyncIOKernel
import CAsyncIO
import Glibc

/// Ctrl-C and its kin, during one run of a body.
///
/// The signal handler counts and writes to an eventfd that the loop waits for. A second signal of the same kind does what it
/// would have done without us, so that a program which does not react can always be ended.
struct InterruptWatch {
    private let signals: [CInt]
    private let wake: CInt
    private var handle: Handle?

    init(_ interrupts: EventLoop.Interrupts, on core: LoopCore) {
        let flags = CInt(EFD_CLOEXEC) | CInt(EFD_NONBLOCK)
        let number = interrupts.isEmpty ? -1 : SystemCall.result { eventfd(0, flags) }
        wake = CInt(truncatingIfNeeded: number)
        guard wake >= 0, case .completed(let adopted) = core.start(.adopt(wake)) else {
            signals = []
            return
        }
        let handle = Handle(rawValue: adopted.result)
        self.handle = handle
        signals = interrupts.signals
        // The token is nobody's: its completion only wakes the loop.
        _ = unsafe core.start(.receiveBytes(handle, limit: 8))
        for signal in signals { casyncio_interrupt_install(signal, wake) }
    }

    /// The first signal that came.
    var received: CInt? { signals.first { casyncio_interrupt_count($0) > 0 } }

    func close(on core: LoopCore) {
        for signal in signals { casyncio_interrupt_restore(signal) }
        if let handle { _ = core.start(.close(handle)) }
    }
}
