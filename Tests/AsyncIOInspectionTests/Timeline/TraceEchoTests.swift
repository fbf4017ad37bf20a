import AsyncIO
import AsyncIOKernel
import AsyncIOLoop
import AsyncIOTestSupport
import Foundation
import Testing

@testable import AsyncIOInspection

extension TraceSessionTests {
    /// With `TIMELINE_PAGES=FOLDER` in the environment, the page is left there: Tests/Inspection/timeline_page.py can
    /// open it.
    @Test("shows a thousand connections, each with its peer, and fits into its ring", .alone)
    func thousandConnections() async throws {
        let folder = ProcessInfo.processInfo.environment["TIMELINE_PAGES"]
        let (connections, messages) = (1_000, folder == nil ? 2 : 12)
        let recording = try await Guest.run(.guest(name: "echo")) { loop in
            let listener = try await TCPListener.bind("127.0.0.1", 0, on: loop)
            return try await withThrowingTaskGroup(of: Void.self) { group in
                var clients: [TCPStream] = []
                for number in 0..<connections {
                    clients.append(try await TCPStream.connect(to: listener.address, on: loop))
                    let server = try await listener.accept()
                    group.addTask(name: "connection \(number)") {
                        while true {
                            let bytes = try await server.read()
                            guard let bytes else { return server.close() }
                            try await server.write(bytes)
                        }
                    }
                }
                Inspection.startTrace()
                try await withThrowingDiscardingTaskGroup { senders in
                    for (number, client) in clients.enumerated() {
                        senders.addTask(name: "client \(number)") {
                            for message in 0..<messages {
                                try await client.write("message \(message)")
                                _ = try await client.read()
                                // They do not all speak at once.
                                try await loop.sleep(for: .microseconds((number * 37 + message * 101) % 40_000))
                            }
                        }
                    }
                }
                let recording = await Inspection.stopTrace()
                for client in clients { client.close() }
                for try await _ in group {}
                listener.close()
                return recording
            }
        }
        let loop = try #require(recording.loops.first { $0.name == "echo" })
        #expect(loop.events.count >= connections * messages * 8)
        #expect(loop.lost == 0)
        let lanes = Lanes.of(loop, from: recording.start.nanoseconds, to: recording.end.nanoseconds)
        let names = Dictionary(uniqueKeysWithValues: loop.tasks.map { ($0.id, $0.name ?? "") })
        let servers = lanes.filter { names[$0.task]?.hasPrefix("connection ") == true }
        #expect(servers.count == connections)
        let peers = servers.compactMap { lane in lane.spans.first { $0.state == .reading }?.target }
        #expect(peers.count == connections && Set(peers).count == connections)
        #expect(peers.allSatisfy { $0.hasPrefix("127.0.0.1:") })
        let page = recording.html(title: "\(connections) connections")
        #expect(page.utf8.count < 12_000_000)
        if let folder {
            try Data(page.utf8).write(to: URL(fileURLWithPath: folder).appendingPathComponent("echo.html"))
        }
    }
}
