package import AsyncIO

/// The chat on its sockets. For each connection one task that reads and one that writes; all on one loop's thread, so
/// the state needs no lock, and the compiler knows it.
@MainActor
package final class ChatServer {
    private var chat: Chat
    private let linesPerSecond: Int
    private var visits: [Chat.PersonID: Visit] = [:]

    /// How long a person who leaves may take to read what is left for them.
    private static let farewell = Duration.seconds(2)
    /// How long we still listen after the last word: closing at once, with something unread, would destroy it on its
    /// way.
    private static let lastLook = Duration.milliseconds(250)
    /// How long all farewells may take together when the server ends.
    private static let drain = Duration.seconds(3)

    package init(limits: Chat.Limits, linesPerSecond: Int) {
        chat = Chat(limits: limits)
        self.linesPerSecond = linesPerSecond
    }

    /// Serves until the calling task is cancelled; then says goodbye to everybody, and returns when they have heard it.
    package func run(on listener: TCPListener) async throws {
        try await withTaskCancellationHandler {
            try await listener.serve(drain: Self.drain) { @MainActor connection in
                await self.meet(connection, called: "\(connection.peer)", on: connection.loop)
            }
        } onCancel: {
            Task(name: "goodbye") { @MainActor in
                self.chat.sayGoodbye()
                self.ring()
            }
        }
    }

    /// The life of one connection, whatever it is made of. It has ended when both of its tasks have.
    func meet(_ connection: any ByteStream, called name: String, on loop: EventLoop) async {
        let visit = Visit(connection, on: loop)
        let id = chat.connect()
        visits[id] = visit
        ring()
        let writing: @MainActor @Sendable () async -> Void = { await self.write(to: visit, id) }
        await withDiscardingTaskGroup { group in
            group.addTask(name: "writer \(name)", operation: writing)
            await read(from: visit, id)
        }
        visit.end()
        chat.forget(id)
        visits[id] = nil
        ring()
    }

    // MARK: Reading

    private func read(from visit: Visit, _ id: Chat.PersonID) async {
        let connection = visit.connection
        var splitter = LineSplitter(limit: chat.limits.lineBytes)
        var pace = Pace(linesPerSecond: linesPerSecond, now: .zero)
        let start = visit.loop.now
        do {
            while let bytes = try await connection.read(upTo: 4096) {
                // Somebody who has left may still talk; nobody listens any more.
                for event in chat.isHere(id) ? splitter.feed(bytes) : [] {
                    guard chat.isHere(id) else { break }
                    if splitter.endsInReturn { chat.answerWithReturns(id) }
                    await take(event, from: id)
                    let pause = pace.pause(afterLineAt: start.duration(to: visit.loop.now))
                    if pause > .zero { try await visit.loop.sleep(for: pause) }
                }
            }
            for event in splitter.finish() { await take(event, from: id) }
            await makeRoom()
            chat.leave(id, .quit)
        } catch {
            // They have vanished, or the server has closed the connection. Nobody's fault, and nobody to tell.
            await makeRoom()
            chat.leave(id, .connectionLost)
        }
        visit.isReaderDone = true
        ring()
    }

    private func take(_ event: LineSplitter.Event, from id: Chat.PersonID) async {
        await makeRoom()
        chat.receive(event, from: id)
        ring()
    }

    /// Lets the writers take what waits for them, so that a crowd that talks at once drops nobody who reads.
    private func makeRoom() async {
        while chat.isCrowded { await Task.yield() }
    }

    // MARK: Writing

    private func write(to visit: Visit, _ id: Chat.PersonID) async {
        let connection = visit.connection
        var rings = visit.bell.makeAsyncIterator()
        do {
            while true {
                switch chat.next(for: id) {
                case .write(let bytes):
                    try await connection.write(bytes)
                case .wait:
                    guard await rings.next() != nil else { throw CancellationError() }
                case .end:
                    try await connection.closeWriting()
                    if !visit.isReaderDone { visit.close(after: Self.lastLook) }
                    return
                }
            }
        } catch {
            // The reader hears of it too.
            chat.stopWriting(to: id)
            connection.close()
        }
    }

    /// Tells those for whom there is something new; from who has left, the connection is taken soon, read or unread.
    private func ring() {
        for id in chat.takeRung() {
            guard let visit = visits[id] else { continue }
            visit.ringer.yield()
            if !chat.isHere(id) { visit.close(after: Self.farewell) }
        }
    }
}

/// One connection, and what its two tasks know of each other.
@MainActor
private final class Visit {
    let connection: any ByteStream
    let loop: EventLoop
    /// Tells the writer that there is something to write.
    let bell: AsyncStream<Void>
    let ringer: AsyncStream<Void>.Continuation
    /// The other side has nothing more to say.
    var isReaderDone = false
    private var closing: ScheduledCall?

    init(_ connection: any ByteStream, on loop: EventLoop) {
        self.connection = connection
        self.loop = loop
        (bell, ringer) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    /// Closes the connection later; the last word counts.
    func close(after delay: Duration) {
        closing?.cancel()
        closing = loop.callLater(delay) { [connection] in connection.close() }
    }

    func end() { closing?.cancel() }
}
