#if TLS
import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import NIOCore
import SystemPackage

extension TLSCore {
    /// Encrypts and hands over all chunks, together if they are small.
    func write(_ chunks: some Sequence<[UInt8]>) async throws {
        try await writing { core in
            var gathered: [UInt8] = []
            for chunk in chunks {
                if gathered.count + chunk.count > TLSEngine.pieceSize, !gathered.isEmpty {
                    unsafe try await core.encrypt(gathered.span.bytes)
                    gathered.removeAll(keepingCapacity: true)
                }
                if chunk.count >= TLSEngine.pieceSize {
                    unsafe try await core.encrypt(chunk.span.bytes)
                } else {
                    gathered += chunk
                }
            }
            unsafe try await core.encrypt(gathered.span.bytes)
        }
    }

    /// Encrypts and hands over the bytes.
    func write(_ bytes: RawSpan) async throws {
        if bytes.isEmpty { return }
        // The span is the caller's until this function returns, so its memory outlives the closure.
        let memory = unsafe bytes.withUnsafeBytes { unsafe $0 }
        try await writing { core in unsafe try await core.encrypt(RawSpan(_unsafeBytes: memory)) }
        _ = bytes.byteCount
    }

    private func writing(_ body: (TLSCore) async throws -> Void) async throws {
        try Task.checkCancellation()
        try locked {
            try mustBeWritable()
            if let writer { throw busy(writer, "write") }
            writer = TaskLabel.current
        }
        defer {
            let isResting = locked {
                writer = nil
                return rests()
            }
            if isResting { watch() }
        }
        // A cancelled write may have left something: first what is first.
        try await drain()
        try await body(self)
    }

    private func encrypt(_ bytes: RawSpan) async throws {
        var offset = 0
        while offset < bytes.byteCount {
            let end = min(offset + TLSEngine.pieceSize, bytes.byteCount)
            try locked {
                guard phase == .open else { throw closedMeanwhile("write") }
                try mustBeWritable()
                engine.write(bytes.extracting(offset..<end))
                try mustNotBeOver()
            }
            offset = end
            try await drain()
        }
    }

    func tryWrite(_ bytes: RawSpan) throws -> Int {
        guard !bytes.isEmpty, loop.isCurrent else { return 0 }
        send()
        let count = min(bytes.byteCount, TLSEngine.recordSize)
        let isTaken = try locked {
            try mustBeWritable()
            guard writer == nil, engine.outbox.isEmpty else { return false }
            engine.write(bytes.extracting(0..<count))
            try mustNotBeOver()
            return true
        }
        guard isTaken else { return 0 }
        send()
        return count
    }

    private func mustBeWritable() throws {
        try mustBeOpen("write")
        if engine.hasFinished {
            throw error(.brokenPipe, "write", "writing was finished by closeWriting()")
        }
        if let sendFailure { throw sendFailure }
        try mustNotBeOver()
    }

    /// Before and after the engine writes: it drops what it can no longer encrypt.
    private func mustNotBeOver() throws {
        if engine.isOver { throw explained ?? error(.connectionReset, "write", "the connection is over") }
    }
}
#endif
