import Foundation
import Testing

@Suite("asyncio serve proxy", .serialized)
struct ProxyTests {
    @Test("passes bytes on both ways, on each of its loops, and an end of one half as such", arguments: ["1", "2"])
    func passes(_ loops: String) async throws {
        try await withEcho { echo in
            let proxy = try RunningCommand(
                "serve", "proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:\(echo)", "--loops", loops)
            let port = try proxy.port()
            let callers = try (1...8).map { _ in try Caller(port) }
            for (number, caller) in callers.enumerated() {
                try caller.send("hello \(number)\n")
                #expect(try caller.line() == "hello \(number)")
            }
            for caller in callers {
                // The echo server sees the end only if the proxy tells it.
                caller.closeWriting()
                #expect(try caller.rest() == [])
            }
            proxy.interrupt()
            let end = try proxy.finish()
            #expect((end.code, end.errors) == (0, ""))
            #expect(end.output.hasPrefix("proxy: goodbye; 8 connections in "))
            #expect(end.output.hasSuffix("0 without a server; 64 bytes there, 64 bytes back\n"))
        }
    }

    @Test("passes a flood on, through a Unix socket and a chain of proxies")
    func flood() async throws {
        try await withEcho { echo in
            let path = "/tmp/asyncio-proxy-\(getpid()).sock"
            let inner = try RunningCommand("serve", "proxy", "--listen", "unix:\(path)", "--to", "127.0.0.1:\(echo)")
            _ = try inner.line()
            let outer = try RunningCommand("serve", "proxy", "--listen", "127.0.0.1:0", "--to", "unix:\(path)")
            let caller = try Caller(try outer.port())
            // More than all buffers on the way hold, so that someone reads meanwhile.
            let bytes = (0..<20_000_000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
            let sender = Thread {
                try? caller.send(bytes)
                caller.closeWriting()
            }
            sender.start()
            #expect(try caller.restOfBytes() == bytes)
            outer.interrupt()
            inner.interrupt()
            #expect(try outer.finish().code == 0)
            #expect(try inner.finish().code == 0)
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test("breaks a client off whose server cannot be reached, and says so")
    func unreachable() async throws {
        try await blocking {
            let proxy = try RunningCommand("serve", "proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:1")
            let caller = try Caller(try proxy.port())
            #expect(try caller.talkToNobody())
            proxy.interrupt()
            let end = try proxy.finish()
            #expect(end.code == 0)
            #expect(end.errors.contains("proxy: connect 127.0.0.1:1: Connection refused"))
            #expect(end.output.contains("1 without a server"))
        }
    }

    @Test("tells what has gone through, open connections included, when it gets SIGUSR1, as often as asked")
    func statistics() async throws {
        try await withEcho { echo in
            let proxy = try RunningCommand("serve", "proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:\(echo)")
            let caller = try Caller(try proxy.port())
            for round in 1...3 {
                try caller.send("12345\n")
                #expect(try caller.line() == "12345")
                // A byte is counted just after it has gone: the answer may be here first, and so may many reports,
                // which another thread prints.
                var line = ""
                for _ in 0..<20_000 where !line.hasSuffix("\(round * 6) bytes there, \(round * 6) bytes back") {
                    proxy.signal(SIGUSR1)
                    line = try proxy.line()
                }
                #expect(line.hasSuffix("\(round * 6) bytes there, \(round * 6) bytes back"))
                #expect(line.contains("1 connections") && line.contains("1 open"))
            }
            proxy.interrupt()
            #expect(try proxy.finish().code == 0)
        }
    }

    @Test("breaks off what has been silent for the idle timeout, and nothing else")
    func idle() async throws {
        try await withEcho { echo in
            let proxy = try RunningCommand(
                "serve", "proxy", "--listen", "127.0.0.1:0", "--to", "127.0.0.1:\(echo)", "--idle-timeout", "0.4")
            let silent = try Caller(try proxy.port())
            try silent.send("hello\n")
            #expect(try silent.line() == "hello")
            #expect(try silent.line() == nil)
            proxy.interrupt()
            #expect(try proxy.finish().output.contains("1 broken off"))
        }
    }

    @Test(
        "explains what it does not understand",
        arguments: [
            (["--listen", "127.0.0.1", "--to", "a:1"], "has no port"),
            (["--listen", ":1", "--to", ":2"], "needs a host"),
            (["--listen", ":1", "--to", "a:1", "--limit", "0"], "--limit is a number above 0"),
            (["--listen", "unix:/tmp/x", "--to", "a:1", "--loops", "2"], "share a TCP port"),
            (["--listen", ":1", "--to", "a:1", "--drain=-1"], "--drain is a number of seconds"),
        ])
    func usage(arguments: [String], remedy: String) async throws {
        try await blocking {
            let (code, _, errors) = try RunningCommand(["serve", "proxy"] + arguments).finish()
            #expect(code == 64)
            #expect(errors.contains(remedy))
        }
    }
}
