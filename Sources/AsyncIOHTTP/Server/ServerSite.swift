#if HTTP
import AsyncIO
import AsyncIOLoop
import HTTPTypes

/// What the connections of a server have in common on one loop. Touched on the loop's thread alone.
@safe
final class ServerSite: @unchecked Sendable {
    let service: HTTPService
    let loop: EventLoop
    var limits: HTTPLimits { service.server.limits }
    private(set) var isDraining: Bool
    /// All connections; each knows its place.
    private var connections: [ServerConnection] = []
    /// Those whose handlers are at work; each knows its place.
    @safe @exclusivity(unchecked) private var working: [ServerConnection] = []
    @safe @exclusivity(unchecked) private var looksAround = false
    /// The field `Server`, as it is sent.
    let nameLine: [UInt8]
    @safe @exclusivity(unchecked) private var date: [UInt8] = []
    @safe @exclusivity(unchecked) private var dateEnds = Instant.distantPast

    /// How often handlers at work are looked after: whether their clients are still there.
    private static let interval = Duration.milliseconds(25)

    init(_ service: HTTPService, on loop: EventLoop, isDraining: Bool) {
        self.isDraining = isDraining
        self.service = service
        self.loop = loop
        let name = service.server.name.map { HTTPField(name: .server, value: $0).value }
        nameLine = name.map { Array("Server: \($0)\r\n".utf8) } ?? []
    }

    // MARK: Connections

    func add(_ connection: ServerConnection) {
        connection.place = connections.count
        connections.append(connection)
    }

    func remove(_ connection: ServerConnection) {
        let place = connection.place
        guard let last = connections.popLast(), last !== connection else { return }
        connections[place] = last
        last.place = place
    }

    /// No further requests.
    func drain() {
        isDraining = true
        for connection in connections { connection.drain() }
    }

    // MARK: Handlers at work

    /// A handler begins. Nothing is spent for it unless it takes its time.
    @inline(__always)
    func begin(_ connection: ServerConnection) {
        connection.isAtWork = true
        connection.workPlace = working.count
        working.append(connection)
        if !looksAround { lookAroundLater() }
    }

    @inline(__always)
    func end(_ connection: ServerConnection) {
        connection.isAtWork = false
        let place = connection.workPlace
        guard let last = working.popLast(), last !== connection else { return }
        working[place] = last
        last.workPlace = place
    }

    private func lookAroundLater() {
        looksAround = true
        loop.callLater(Self.interval) { [weak self] in self?.lookAround() }
    }

    private func lookAround() {
        looksAround = false
        for connection in working { connection.lookAfterClient() }
        if !working.isEmpty { lookAroundLater() }
    }

    // MARK: Date

    /// The field `Date`, as it is sent (RFC 9110 section 6.6.1): at most a tenth of a second late.
    func dateLine(at now: Instant) -> [UInt8] {
        if now >= dateEnds {
            date = Array("Date: \(HTTPDate.now)\r\n".utf8)
            dateEnds = now.advanced(by: .milliseconds(100))
        }
        return date
    }
}
#endif
