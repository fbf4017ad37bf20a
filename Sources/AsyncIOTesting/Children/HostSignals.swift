import AsyncIO
import AsyncIOKernel
import SystemPackage

/// Who listens to the signals of a simulated host.
final class HostSignals {
    fileprivate var listeners: [SignalDescription] = []

    /// Whether somebody listens.
    func raise(_ signal: Signal) -> Bool {
        let bit: UInt64 = 1 << UInt64(signal.rawValue - 1)
        let hearing = listeners.filter { $0.wanted & bit != 0 && !$0.isOver }
        for listener in hearing { listener.come(bit) }
        return !hearing.isEmpty
    }
}

/// What a listener waits for: readable when a signal has come, and at the end.
final class SignalDescription: OpenDescription {
    let wanted: UInt64
    private var waiting: UInt64 = 0
    private(set) var isOver = false

    init(_ wanted: UInt64, _ kernel: HostKernel) {
        self.wanted = wanted
        super.init(kernel)
        kernel.signals.listeners.append(self)
    }

    override var readiness: UInt32 { waiting != 0 || isOver ? Interest.input : 0 }
    override var label: String { "signals" }
    override func hasClosed() { kernel?.signals.listeners.removeAll { $0 === self } }

    func come(_ signal: UInt64) {
        waiting |= signal
        raise(Interest.input)
    }

    func take() -> UInt64 {
        defer { waiting = 0 }
        return waiting
    }

    func end() {
        isOver = true
        raise(Interest.input)
    }
}

extension HostKernel {
    func listen(to signals: UInt64) -> Int {
        if hasCrashed { return Errno.ioError.negated }
        let description = SignalDescription(signals, self)
        let number = install(description)
        if number < 0 { description.hasClosed() }
        return number
    }

    func takeSignals(_ listener: CInt) -> UInt64 { (self[listener] as? SignalDescription)?.take() ?? 0 }
    func ignoreSignals(_ listener: CInt) { (self[listener] as? SignalDescription)?.end() }
}
