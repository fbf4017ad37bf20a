@_exported public import AsyncIOKernel
@_exported public import AsyncIOLoop

@_exported public import struct SystemPackage.Errno
@_exported public import struct SystemPackage.FilePath
@_exported public import struct SystemPackage.FilePermissions

/// Runs blocking or heavy work on a thread of the current loop's pool, and suspends until it is done.
///
/// See `EventLoop.offload(name:_:)`. Throws `EventLoopError.noLoop` where no loop runs.
public func offload<Success: Sendable>(
    name: String = "offload", _ work: @escaping @Sendable () throws -> Success
) async throws -> Success {
    try await EventLoop.required().offload(name: name, work)
}

extension EventLoop {
    /// The loop named, or else the one that runs here. Throws `EventLoopError.noLoop`.
    static func required(_ loop: EventLoop? = nil) throws -> EventLoop {
        guard let loop = loop ?? current else { throw EventLoopError.noLoop }
        return loop
    }
}
