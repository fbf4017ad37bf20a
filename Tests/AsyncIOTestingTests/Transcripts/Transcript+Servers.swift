import AsyncIO
import AsyncIOKernel
import AsyncIOTestSupport
import SystemPackage

extension Transcript {
    static let servers = [
        Transcript("Server: with a limit of one, the second connection waits for the end of the first") { stage in
            let listener = try await stage.listen()
            let serving = stage.server.start {
                try await listener.serve(limit: 1) { stream in
                    while let bytes = try await stream.read() { try await stream.write(bytes) }
                }
            }
            let address = listener.address
            let first = try await stage.client { try await TCPStream.connect(to: address) }
            await stage.tell("first") {
                try await first.write("one")
                return try await first.readExactly(3)
            }
            let second = try await stage.client { try await TCPStream.connect(to: address) }
            try await stage.client { try await second.write("two") }
            let reading = stage.client.start {
                let bytes = try await second.readExactly(3)
                stage.note("second is served")
                return bytes
            }
            try await stage.settle()
            stage.note("first closes")
            first.close()
            await stage.tell("second", reading)
            second.close()
            try await stage.settle()
            try await stage.server { listener.shutdown() }
            await stage.tell("serving", serving)
        },

        Transcript("Server: a shutdown cancels those who have not finished, and the report says so") { stage in
            let listener = try await stage.listen()
            let serving = stage.server.start {
                try await listener.serve { stream in
                    stage.note("handler begins")
                    do { _ = try await stream.read() } catch {
                        stage.note("handler: \(error is CancellationError)")
                        throw error
                    }
                }
            }
            let stream = try await stage.client { try await TCPStream.connect(to: listener.address) }
            try await stage.settle()
            await stage.tell("shutdown", at: stage.server) {
                let report = try await listener.shutdown(grace: .seconds(30))
                return "\(report.phases.map { "\($0.name) \($0.ended)" })"
            }
            await stage.tell("serving", serving)
            await stage.tell("client reads") { try await stream.read() }
            await stage.tell("connect") { _ = try await TCPStream.connect(to: listener.address) }
        },

        Transcript("Server: a shutdown with time to drain lets handlers finish") { stage in
            let listener = try await stage.listen()
            let serving = stage.server.start {
                try await listener.serve { stream in
                    let bytes = try await stream.readAll()
                    try await stream.write(bytes)
                    stage.note("handler ends")
                }
            }
            let stream = try await stage.client { try await TCPStream.connect(to: listener.address) }
            try await stage.settle()
            let ending = stage.server.start { try await listener.shutdown(drain: .seconds(60), grace: .seconds(60)) }
            try await stage.settle()
            stage.note("client goes on")
            await stage.tell("client") {
                try await stream.write("still here")
                try await stream.closeWriting()
                return try await stream.readAll()
            }
            _ = try await ending.value
            await stage.tell("serving", serving)
        },

        Transcript("Server: cancelling serve ends it, its handlers and its listener") { stage in
            let listener = try await stage.listen()
            let serving = stage.server.start {
                try await listener.serve { stream in _ = try await stream.read() }
            }
            let stream = try await stage.client { try await TCPStream.connect(to: listener.address) }
            try await stage.settle()
            serving.cancel()
            await stage.tell("serving", serving)
            await stage.tell("client reads") { try await stream.read() }
            await stage.tell("connect") { _ = try await TCPStream.connect(to: listener.address) }
        },

        Transcript("Server: a connection knows its number and both addresses") { stage in
            let listener = try await stage.listen()
            let serving = stage.server.start {
                try await listener.serve { stream, context in
                    let own = "\(context.peer == stream.peer) \(context.local.map { "\($0)" } ?? "none")"
                    try await stream.write("\(context.id) \(own)")
                }
            }
            for _ in 0..<3 {
                await stage.tell("client reads") {
                    let stream = try await TCPStream.connect(to: listener.address)
                    return try await stream.readAll()
                }
            }
            stage.note("\(listener)")
            serving.cancel()
            await stage.tell("serving", serving)
        },
    ]
}
