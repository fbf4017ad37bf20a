import AsyncIOKernel
import AsyncIOLoop
import Glibc

/// Answers inspectors, on a thread of its own: whatever they do, no loop waits for them.
///
/// Their number is bounded, and so is what each may send; whoever does not take its answer is cut off. A loop only
/// takes part in captures, and those have a share of the time that is bounded as well.
final class Reception {
    /// How many inspectors are served at once.
    static let limit = 8
    /// After what time a silent one makes room for another.
    static let idleTime = Duration.seconds(10)

    private let listener: Descriptor
    private let wake: CInt
    private let answers: InspectionAnswers
    private let patience: Duration
    private var visitors: [Visitor] = []
    private var budget = CaptureBudget()
    /// Until when nobody is let in, since the process has no descriptors left.
    private var acceptPause = Instant.distantPast

    /// Serves a listening socket. `wake` is an eventfd that somebody writes to when it is to end.
    init(
        _ listener: consuming Descriptor, wake: CInt, answers: InspectionAnswers, patience: Duration = Visitor.patience
    ) {
        self.listener = listener
        self.wake = wake
        self.answers = answers
        self.patience = patience
    }

    /// Serves until it is woken.
    func serve() {
        var now = Instant.monotonicNow
        while true {
            let accepts = now >= acceptPause
            var questions = [
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
                pollfd(fd: accepts ? listener.number : -1, events: Int16(POLLIN), revents: 0),
            ]
            questions += visitors.map { pollfd(fd: $0.descriptor.number, events: $0.events, revents: 0) }
            let wait = timeout(from: now, accepts: accepts)
            _ = SystemCall.result { unsafe poll(&questions, nfds_t(questions.count), wait) }
            now = .monotonicNow
            if questions[0].revents != 0 { break }
            for (visitor, question) in zip(visitors, questions.dropFirst(2)) where question.revents != 0 {
                visitor.see(question.revents, at: now)
            }
            // Whoever has taken something meanwhile has just been seen. Time that goes by below, while another one's
            // capture waits for a loop, counts for nobody before that has been looked at again.
            for visitor in visitors { visitor.lookAtClock(now) }
            for visitor in visitors { attend(to: visitor) }
            now = .monotonicNow
            if visitors.contains(where: { $0.isGone && $0.trace != nil }) { _ = answers.endTrace(nil) }
            visitors.removeAll { $0.isGone }
            if questions[1].revents != 0 { accept(at: now) }
        }
        if visitors.contains(where: { $0.trace != nil }) { _ = answers.endTrace(nil) }
    }

    /// In milliseconds, for poll(2).
    private func timeout(from now: Instant, accepts: Bool) -> CInt {
        var next = visitors.map(\.next).min() ?? .distantFuture
        if !accepts { next = min(next, acceptPause) }
        if visitors.contains(where: \.isPostponed) { next = min(next, budget.next(from: now)) }
        if next == .distantFuture { return -1 }
        let milliseconds = (now.duration(to: next) / .milliseconds(1)).rounded(.up)
        return CInt(min(max(milliseconds, 0), 60_000))
    }

    // MARK: Coming in

    private func accept(at now: Instant) {
        // One a turn: a thousand that come at once do not keep those waiting who are in.
        let (code, _) = SystemCall.accept(listener.number)
        guard code >= 0 else {
            if [-Int(EMFILE), -Int(ENFILE), -Int(ENOBUFS), -Int(ENOMEM)].contains(code) {
                acceptPause = now.advanced(by: .seconds(1))
            }
            return
        }
        let number = CInt(truncatingIfNeeded: code)
        let visitor = Visitor(Descriptor(owning: number), at: now, patience: patience)
        guard Self.isWelcome(number) else {
            return visitor.dismiss(saying: "only the process's own user may inspect it", at: now)
        }
        if visitors.count >= Self.limit { makeRoom(at: now) }
        guard visitors.count < Self.limit else {
            return visitor.dismiss(saying: "\(Self.limit) inspectors are connected already", at: now)
        }
        visitors.append(visitor)
    }

    private func makeRoom(at now: Instant) {
        let idle = visitors.filter { !$0.isBusy && $0.heard.duration(to: now) >= Self.idleTime }
        guard let oldest = idle.min(by: { $0.heard < $1.heard }) else { return }
        visitors.removeAll { $0 === oldest }
    }

    /// Whether the peer is this process's user, or root: as the kernel vouches for it (SO_PEERCRED of unix(7)).
    private static func isWelcome(_ number: CInt) -> Bool {
        let (code, value) = SystemCall.option(number, SOL_SOCKET, SO_PEERCRED, 12)
        guard code >= 0, value.count == 12 else { return false }
        // Process, user, group.
        let user = value[4..<8].reversed().reduce(0 as UInt32) { $0 << 8 | UInt32($1) }
        return user == geteuid() || user == 0
    }

    // MARK: Answering

    private func attend(to visitor: Visitor) {
        let now = Instant.monotonicNow
        if let trace = visitor.trace, now >= trace.end {
            let body = answers.endTrace(trace.form)
            visitor.traceIsOver()
            var lines = LineWriter()
            lines.addBytes(body)
            lines.addEnd()
            visitor.answer(lines.bytes, at: .monotonicNow)
        }
        while let request = visitor.takeRequest(at: now, mayCapture: budget.allows(at: now)) {
            answer(request, to: visitor)
        }
    }

    private func answer(_ request: Visitor.Request, to visitor: Visitor) {
        var lines = LineWriter()
        guard case .understood(let request) = request else {
            lines.addLine(
                "error",
                "unknown request; there are: hello, tree, tree stacks, loops, trace 5s html, trace 5s json, quit")
            return visitor.answer(lines.bytes, at: .monotonicNow)
        }
        switch request {
        case .hello:
            lines.add(answers.process())
            lines.addEnd()
        case .tree(let stacks): capture(stacks: stacks, withTasks: true, into: &lines)
        case .loops: capture(stacks: false, withTasks: false, into: &lines)
        case .trace(let time, let form):
            guard let refusal = answers.beginTrace() else {
                return visitor.waitForTrace(until: Instant.monotonicNow.advanced(by: time), form)
            }
            lines.addLine("error", refusal)
        case .endTrace(let form):
            if visitors.contains(where: { $0.trace != nil }) {
                lines.addLine("error", "the trace that is being recorded is another inspector's")
            } else {
                lines.addBytes(answers.endTrace(form))
                lines.addEnd()
            }
        case .quit: return visitor.dismiss(at: .monotonicNow)
        }
        visitor.answer(lines.bytes, at: .monotonicNow)
    }

    private func capture(stacks: Bool, withTasks: Bool, into lines: inout LineWriter) {
        let began = Instant.monotonicNow
        var tree = answers.tree(stacks)
        let end = Instant.monotonicNow
        budget.spend(began.duration(to: end), at: end)
        var process = answers.process()
        process.tasks = tree.tasks.count
        lines.add(process)
        if !withTasks { tree.tasks = [] }
        lines.addContents(of: tree)
        lines.addEnd()
    }
}

/// How much time captures may take: a second at once, and a quarter of the time in the long run. An inspector that asks
/// without a pause would take the loops' time otherwise.
struct CaptureBudget {
    static let most = Duration.seconds(1)
    private var left = most
    private var counted = Instant.distantPast

    /// Whether a capture may begin.
    mutating func allows(at now: Instant) -> Bool {
        refill(at: now)
        return left > .zero
    }

    mutating func spend(_ time: Duration, at now: Instant) {
        refill(at: now)
        left -= time
    }

    /// When a capture may begin.
    func next(from now: Instant) -> Instant {
        left > .zero ? now : counted.advanced(by: left * -4 + .milliseconds(1))
    }

    private mutating func refill(at now: Instant) {
        if now > counted { left = min(left + min(counted.duration(to: now), .seconds(3600)) / 4, Self.most) }
        counted = max(counted, now)
    }
}
