import AsyncIOKernel
import SystemPackage

/// A sender that has had no word for too long sends again, after pauses that double (RFC 6298).
struct Recovery {
    /// When the first packet was sent that nobody has acknowledged.
    let since: Instant
    /// What has to be acknowledged until all is well.
    let goal: Int
    let includesEnd: Bool
    var attempts = 0
}

extension TCPFlow {
    private static let longestPause = Duration.seconds(120)
    /// Linux gives up after 15 retransmissions (tcp_retries2), which is this long for a short round trip.
    private static let usualTimeout = Duration.milliseconds(924_600)

    /// The round trip as measured, and never less than 200 ms for its variation.
    private var firstPause: Duration {
        .milliseconds(200) + .nanoseconds(route.usualLatency + back.usualLatency)
    }

    /// The sender's patience has begun to run out.
    func beginRecovery() {
        guard recovery == nil, !isAbandoned else { return }
        recovery = Recovery(since: world.now, goal: sent, includesEnd: endIsSent)
        expectRecovery(firstPause)
    }

    private var timeout: Duration { sender?.userTimeout ?? Self.usualTimeout }

    private func expectRecovery(_ pause: Duration) {
        guard let recovery else { return }
        let time = min(world.now.advanced(by: pause), recovery.since.advanced(by: timeout))
        world.at(max(time, world.now)) { self.recover() }
    }

    private func recover() {
        guard let recovery, !isAbandoned, let sender, !sender.isGone else { return }
        absorb()
        if !lacksWord && acknowledged >= recovery.goal && (!recovery.includesEnd || endIsAcknowledged) {
            self.recovery = nil
            // What was sent meanwhile has a patience of its own.
            if isStalled { beginRecovery() }
            return
        }
        if recovery.since.duration(to: world.now) >= timeout { return sender.fail(.timedOut) }
        self.recovery?.attempts += 1
        sendAgain()
        let factor = 1 << min(recovery.attempts + 1, 20)
        expectRecovery(min(firstPause * factor, Self.longestPause))
    }

    private func sendAgain() {
        world.record(route.from, "retransmit", route.to.number, lost)
        guard let time = route.send(max(lost, 1)) else { return }
        if isStalled { return sendAgain(time) }
        // Everything has come, or is coming: the receiver is asked to say so again.
        world.at(time) {
            self.route.arrive { if self.reachedReceiver() != nil { self.acknowledge() } }
        }
    }

    /// An acknowledgement does not get through.
    func loseWord() {
        lacksWord = true
        beginRecovery()
        guard back.isClogged, !back.isCut, !wordIsHeld else { return }
        wordIsHeld = true
        back.hold {
            self.wordIsHeld = false
            self.acknowledge()
        }
    }

    /// The way to the peer has been cut, or its host has lost its power: a sender that waits for word finds out.
    func suspect() {
        if isUncertain { beginRecovery() }
    }
}
