// A JSON API: routes with parameters, values by Codable, errors as statuses, and state that needs no lock.
//
//   curl -d '{"title":"tea"}' localhost:8080/notes        makes a note
//   curl localhost:8080/notes/1                           shows it
//   curl -X DELETE localhost:8080/notes/1                 takes it away

import AsyncIOHTTP

struct Note: Codable {
    var id: Int
    var title: String
}

struct Draft: Codable { var title: String }

/// All notes. The main actor is the loop's thread, so nothing else can be there at the same time.
@MainActor
final class Notes {
    private var notes: [Int: Note] = [:]
    private var lastID = 0

    var all: [Note] { notes.values.sorted { $0.id < $1.id } }

    func add(_ draft: Draft) throws -> Note {
        guard notes.count < 10_000 else { throw HTTPError(.serviceUnavailable, "there are 10000 notes already") }
        lastID += 1
        let note = Note(id: lastID, title: draft.title)
        notes[note.id] = note
        return note
    }

    func note(_ id: String?) throws -> Note {
        guard let id = id.flatMap({ Int($0) }), let note = notes[id] else {
            throw HTTPError(.notFound, "there is no note \(id ?? "")")
        }
        return note
    }

    func remove(_ id: String?) throws { notes[try note(id).id] = nil }
}

@main
struct Main {
    static func main() throws {
        try EventLoop.run {
            let notes = Notes()
            var router = Router()
            try router.group("/notes") { router in
                try router.get("/") { _ in try await .json(notes.all) }
                try router.post("/") { request in
                    let draft = try await request.json(Draft.self)
                    guard !draft.title.isEmpty else { throw HTTPError(.badRequest, "a note needs a title") }
                    let note = try await notes.add(draft)
                    var response = try HTTPServer.Response.json(note, status: .created)
                    response.headerFields[.location] = "/notes/\(note.id)"
                    return response
                }
                try router.get("/:id") { request in try await .json(notes.note(request.parameters["id"])) }
                try router.delete("/:id") { request in
                    try await notes.remove(request.parameters["id"])
                    return .init(.noContent)
                }
            }
            let port = CommandLine.arguments.dropFirst().first.flatMap { UInt16($0) } ?? 8080
            try await HTTPServer.serve("127.0.0.1", port, onReady: { print("listening on \($0)") }, router.handler)
        }
    }
}
