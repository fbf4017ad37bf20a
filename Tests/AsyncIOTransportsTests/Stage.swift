import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import AsyncIOTransports
import SystemPackage
import Testing

/// A transport over a scripted stream, and its protocol.
struct Stage: Sendable {
    let stream: ScriptedStream
    let witness: Witness
    let transport: Transport

    init(
        on loop: EventLoop, _ script: Script = Script(), limits: WriteBufferLimits = .standard,
        prepare: (ScriptedStream) -> Void = { _ in }
    ) async throws {
        stream = ScriptedStream()
        prepare(stream)
        witness = Witness(loop: loop, script)
        transport = try await loop.attach(stream, to: witness, limits: limits)
    }

    /// Waits for the end, and expects exactly these calls.
    func expect(_ calls: Called..., at location: SourceLocation = #_sourceLocation) async {
        await witness.isLost.pass()
        expectCalls(calls, of: witness, at: location)
    }

    /// Waits until so many bytes have come.
    func received(_ count: Int) async { await until { witness.count >= count } }
}

func expectCalls(_ calls: [Called], of witness: Witness, at location: SourceLocation = #_sourceLocation) {
    #expect(witness.calls == calls, sourceLocation: location)
    #expect(witness.faults == [], sourceLocation: location)
}

/// Runs a body as a task on the loop, so that what it calls takes effect at once.
func onTheLoop<Result: Sendable>(
    _ loop: EventLoop, _ body: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await loop.submit { try await body() }.value
}

let reset = IOError(.connectionReset, operation: "read", subject: "the peer")

// A failed expectation looks into what it was about. Loops have parts that cannot be copied, and mirrors copy.
extension Stage: CustomReflectable {
    var customMirror: Mirror { Mirror(self, children: []) }
}

extension Witness: CustomReflectable {
    nonisolated var customMirror: Mirror { Mirror(self, children: []) }
}

extension ScriptedStream: CustomReflectable {
    var customMirror: Mirror { Mirror(self, children: []) }
}
