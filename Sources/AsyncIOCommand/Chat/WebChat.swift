#if HTTP
import AsyncIOHTTP

/// The chat's door for browsers: a page, and a WebSocket that carries the same lines as the sockets do.
struct WebChat: Sendable {
    let chat: ChatServer

    /// A line of a person, and more than one line of the chat.
    private static let options = {
        var options = WebSocketOptions()
        options.messageSize = 4096
        return options
    }()

    /// Answers what browsers ask.
    func answer(_ request: HTTPServer.Request) async throws -> HTTPServer.Response {
        switch (request.method, request.path) {
        case (.get, "/"), (.head, "/"):
            var response = HTTPServer.Response.html(ChatPage.text)
            response.headerFields[.contentSecurityPolicy] = ChatPage.policy
            return response
        case (.get, "/chat"):
            let name = request.connection.peer.map { "\($0) (web)" } ?? "web"
            return try .webSocket(request, options: Self.options) { socket in try await meet(socket, name) }
        default:
            throw HTTPError(.notFound, "here are / and /chat, and no \(request.path)")
        }
    }

    /// A message is a line without its end. To the chat it is a connection like any other.
    private func meet(_ socket: WebSocket, _ name: String) async throws {
        guard let loop = EventLoop.current else { throw EventLoopError.noLoop }
        let (near, far) = MemoryStream.pair(name: name)
        try await withThrowingTaskGroup { group in
            group.addTask(name: "web chat \(name)") { await chat.meet(far, called: name, on: loop) }
            group.addTask(name: "from the browser") {
                // Also when the browser is lost: then the chat has to hear of it.
                defer { near.close() }
                for try await case .text(let line) in socket {
                    try await near.write(String(line.map { $0.isNewline ? " " : $0 }) + "\n")
                }
                try await near.closeWriting()
            }
            do {
                for try await line in BufferedReader(near).lines(limit: 64 << 10) { try await socket.send(line) }
            } catch is IOError {
                // The browser has gone.
            }
            near.close()
            try await socket.close()
            group.cancelAll()
        }
    }
}
#endif
