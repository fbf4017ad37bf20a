import AsyncIO

/// Plain callbacks on the loop: soon, later, at an instant; each can be cancelled until it runs.
@main
struct CallLater {
    static func main() throws {
        try EventLoop.run {
            guard let loop = EventLoop.current else { return }
            loop.callLater(.milliseconds(30)) { print("third: 30 ms later") }
            loop.callAt(loop.now.advanced(by: .milliseconds(15))) { print("second: at an instant") }
            loop.callSoon { print("first: with the next turn") }
            let never = loop.callLater(.milliseconds(20)) { print("never") }
            never.cancel()

            print("the body goes on")
            try await loop.sleep(for: .milliseconds(50))
        }
    }
}
