import AsyncIOKernel
import Glibc

/// An inspector that is connected: what it has sent and not been answered yet, and what it has not taken yet.
///
/// Never waits for it.
final class Visitor {
    /// How long it may take nothing of an answer.
    static let patience = Duration.seconds(2)
    /// How long it may take for all of an answer.
    static let longPatience = Duration.seconds(60)

    let descriptor: Descriptor
    private var input: [UInt8] = []
    private var output: [UInt8] = []
    private var sent = 0
    /// It has said all that it will.
    private var inputHasEnded = false
    /// After what waits to be sent, it is let go.
    private var isDismissed = false
    private(set) var isGone = false
    /// It has asked for a capture too soon after others.
    private(set) var isPostponed = false
    /// Since when it has said nothing new.
    private(set) var heard: Instant
    /// Until when it has to have taken something.
    private var deadline = Instant.distantFuture
    private var finalDeadline = Instant.distantFuture
    /// When the trace is over that it waits for, and how it wants it.
    private(set) var trace: (end: Instant, form: TraceForm)?

    /// A line that it has sent.
    enum Request {
        case understood(InspectionRequest)
        case strange
    }

    private let patience: Duration

    init(_ descriptor: consuming Descriptor, at now: Instant, patience: Duration = Visitor.patience) {
        self.descriptor = descriptor
        self.patience = patience
        heard = now
    }

    /// What poll(2) is asked for. The next request is read when the last one has been answered.
    var events: Int16 {
        if !output.isEmpty { return Int16(POLLOUT) }
        return inputHasEnded || trace != nil || hasRequest ? 0 : Int16(POLLIN)
    }

    /// Whether it has asked for something that it has not got.
    var isBusy: Bool { !output.isEmpty || trace != nil || hasRequest }

    /// When it has to be looked after though nothing comes from it.
    var next: Instant { min(deadline, finalDeadline, trace?.end ?? .distantFuture) }

    private var hasRequest: Bool { input.contains(UInt8(ascii: "\n")) }

    /// poll(2) has found something.
    func see(_ found: Int16, at now: Instant) {
        if Int32(found) & (POLLERR | POLLNVAL) != 0 { isGone = true }
        if Int32(found) & POLLIN != 0 { read(at: now) }
        // It has closed its end: nobody is there to read an answer. What it said before may still lie here.
        if Int32(found) & POLLHUP != 0 && Int32(found) & POLLIN == 0 { isGone = true }
        if Int32(found) & POLLOUT != 0 { write(at: now) }
    }

    private func read(at now: Instant) {
        var bytes = [UInt8](repeating: 0, count: InspectionRequest.limit)
        let number = descriptor.number
        let count = unsafe bytes.withUnsafeMutableBytes { memory in
            unsafe SystemCall.receive(number, memory.baseAddress, memory.count)
        }
        switch count {
        case -Int(EAGAIN): return
        case ..<0: isGone = true
        case 0: inputHasEnded = true
        default:
            heard = now
            input += bytes.prefix(count)
        }
    }

    /// The next request. Nil if there is none, or none that may be answered now; it is let go, if none will come.
    func takeRequest(at now: Instant, mayCapture: Bool) -> Request? {
        isPostponed = false
        guard output.isEmpty && trace == nil && !isDismissed && !isGone else { return nil }
        if let end = input.firstIndex(of: UInt8(ascii: "\n")), end <= InspectionRequest.limit {
            var line = input[..<end]
            if line.last == UInt8(ascii: "\r") { line.removeLast() }
            let request = InspectionRequest(String(decoding: line, as: UTF8.self))
            isPostponed = request?.captures == true && !mayCapture
            if isPostponed { return nil }
            input.removeFirst(end + 1)
            return request.map { .understood($0) } ?? .strange
        }
        if input.count > InspectionRequest.limit {
            input = []
            dismiss(saying: "a request has at most \(InspectionRequest.limit) bytes", at: now)
        } else if inputHasEnded {
            dismiss(at: now)
        }
        return nil
    }

    func answer(_ bytes: [UInt8], at now: Instant) {
        output = bytes
        sent = 0
        deadline = now.advanced(by: patience)
        finalDeadline = now.advanced(by: Self.longPatience)
        write(at: now)
    }

    func waitForTrace(until end: Instant, _ form: TraceForm) { trace = (end, form) }

    func traceIsOver() { trace = nil }

    /// Lets it go when it has taken what waits for it, and a last word.
    func dismiss(saying reason: String? = nil, at now: Instant) {
        isDismissed = true
        if let reason {
            var line = LineWriter()
            line.addLine("error", reason)
            answer(line.bytes, at: now)
        } else if output.isEmpty {
            isGone = true
        }
    }

    /// Cuts it off, if it takes too long.
    func lookAtClock(_ now: Instant) { if now >= min(deadline, finalDeadline) { isGone = true } }

    private func write(at now: Instant) {
        while sent < output.count {
            let number = descriptor.number
            let count = unsafe output.withUnsafeBytes { memory in
                unsafe SystemCall.send(number, memory.baseAddress.map { unsafe $0 + sent }, memory.count - sent)
            }
            if count == -Int(EAGAIN) { return }
            guard count > 0 else { return isGone = true }
            sent += count
            deadline = now.advanced(by: patience)
        }
        output = []
        deadline = .distantFuture
        finalDeadline = .distantFuture
        if isDismissed { isGone = true }
    }
}
