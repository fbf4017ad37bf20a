import AsyncIOLoop

// The steps of a read, none of which suspends but the last one.
extension StreamCore {
    /// How far a read has got.
    @usableFromInline
    enum Reading {
        case ended(Outcome)
        /// The task suspends itself, in its own frame, and then goes on.
        case suspends(EventLoop.Hold)
        /// It has to wait otherwise.
        case waits(for: Token)
        /// Something has come, and is asked for again.
        case again(after: Token)
        /// It has not begun: the task runs elsewhere than on the loop, or has to let others go first.
        case isAhead

        @usableFromInline var wantsSuspension: Bool { if case .suspends = self { true } else { false } }
        @usableFromInline var hasEnded: Bool { if case .ended = self { true } else { false } }
    }

    @usableFromInline
    @inline(never)
    func beginReading(upTo limit: Int, lending: Bool) throws -> Reading {
        guard limit > 0 else { throw Self.empty(limit, "\(subject)") }
        let landing: AsyncIOLoop.Operation.Landing = lending ? .lent : .array
        if let hold = loop.awaitBytes(reader, limit: limit, landing) { return .suspends(hold) }
        switch loop.begin(.receiveBytes(reader, limit: limit, loop.isCurrent ? .two : .one, landing)) {
        case .ended(let outcome): return .ended(outcome)
        case .waits(let token):
            return loop.holdSuspended(token).map(Reading.suspends) ?? .waits(for: token)
        case .isElsewhere, .mustTakeTurns: return .isAhead
        }
    }

    /// After the suspension.
    @usableFromInline
    @inline(never)
    func goOnReading(_ reading: Reading, upTo limit: Int, lending: Bool) -> Reading {
        guard case .suspends(let hold) = reading else { return reading }
        let first = hold.token
        return second(loop.take(hold), after: first, upTo: limit, lending: lending)
    }

    /// The second step of a read, which nearly always ends at once.
    @inline(__always)
    private func second(_ outcome: Outcome, after first: Token, upTo limit: Int, lending: Bool) -> Reading {
        guard outcome.result == Outcome.again.result else { return .ended(outcome) }
        let landing: AsyncIOLoop.Operation.Landing = lending ? .lent : .array
        let atOnce = loop.receiveAtOnce(reader, limit: limit, landing, after: first)
        return atOnce.map(Reading.ended) ?? .again(after: first)
    }

    /// What is left to do, whatever it is.
    @usableFromInline
    @inline(never)
    func finishReading(_ reading: Reading, upTo limit: Int, lending: Bool) async -> Reading {
        var reading = reading
        if case .waits(let token) = reading {
            let outcome = await loop.waitByContinuation(token)
            reading = second(outcome, after: token, upTo: limit, lending: lending)
        }
        let isOnLoop = loop.isCurrent
        let steps: AsyncIOLoop.Operation.Steps
        switch reading {
        case .again(let first): steps = .second(after: first)
        case .isAhead: steps = isOnLoop ? .two : .one
        case .ended, .suspends, .waits: return reading
        }
        let landing: AsyncIOLoop.Operation.Landing = lending && isOnLoop ? .lent : .array
        return await .ended(loop.perform(.receiveBytes(reader, limit: limit, steps, landing)))
    }

    @usableFromInline
    @inline(never)
    func bytes(of reading: Reading) throws -> [UInt8]? {
        guard case .ended(let outcome) = reading else { return nil }
        if outcome.result < 0 { try check(outcome, "read") }
        return outcome.result == 0 ? nil : outcome.bytes
    }

    @usableFromInline
    @inline(never)
    func lentBytes(of reading: Reading) throws -> LentBytes? {
        guard case .ended(let outcome) = reading else { return nil }
        if outcome.result < 0 { try check(outcome, "read") }
        guard outcome.result > 0 else { return nil }
        if let memory = unsafe outcome.lent { return unsafe LentBytes(memory, count: outcome.result) }
        return outcome.bytes.map(LentBytes.init)
    }

    @usableFromInline
    func giveBack(_ lent: LentBytes) { lent.giveBack(to: loop) }
}
