/// Decides when a protocol is told to pause and to resume: strictly in turn, each at the crossing of its mark.
struct FlowControl {
    var limits: WriteBufferLimits
    private(set) var isPaused = false

    init(_ limits: WriteBufferLimits) { self.limits = limits }

    enum Step { case pause, resume }

    /// What to tell the protocol, now that so many bytes are buffered; nil for nothing.
    mutating func step(buffered count: Int) -> Step? {
        if !isPaused && count > limits.high {
            isPaused = true
            return .pause
        }
        if isPaused && count <= limits.low {
            isPaused = false
            return .resume
        }
        return nil
    }

    /// Whether a peer has let so much pile up that nothing more is taken for it.
    func isExceeded(by count: Int) -> Bool { count > limits.hard }
}
