/// The datagrams that a socket receives, one after the other, without an end of its own: it ends when the socket is
/// closed.
///
/// Each step is a ``UDPSocket/receive(upTo:)``: a cancelled task gets `CancellationError`, and an error that an earlier
/// datagram has caused, on a connected socket, is thrown. The socket lives on then, and so does the sequence: begin a
/// new loop, and nothing is lost. Keeps the socket open.
public struct DatagramSequence: AsyncSequence, Sendable {
    let core: DatagramCore
    let limit: Int

    /// Receives one datagram a step.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let core: DatagramCore
        let limit: Int

        /// The next datagram; nil once the socket is closed.
        public func next() async throws -> Datagram? {
            do {
                return try await core.receive(upTo: limit)
            } catch {
                guard core.isEnd(error) else { throw error }
                return nil
            }
        }

        /// The next datagram; nil once the socket is closed.
        public func next(isolation actor: isolated (any Actor)?) async throws -> Datagram? { try await next() }
    }

    /// An iterator; several take turns no better than several receives at the same time: the second gets `EBUSY`.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(core: core, limit: limit) }
}
