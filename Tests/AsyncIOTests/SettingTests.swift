import AsyncIO
import AsyncIOTestSupport
import Testing

@Suite("A test's simulated setting")
struct SettingTests {
    @Test("what fails within it is the test's own failure", arguments: Setting.simulated)
    func attribution(setting: Setting) async {
        await withKnownIssue {
            do {
                try await withLoop(setting) { _ in
                    #expect(Test.current?.name.hasPrefix("attribution") == true)
                    Issue.record("as it should")
                }
            } catch { Issue.record(error, "not as it should") }
        } matching: { issue in
            issue.comments.first?.rawValue == "as it should"
        }
    }

    @Test("names the seed: in its description, and in the error", arguments: Setting.simulated)
    func seed(setting: Setting) async {
        #expect(setting.testDescription.contains("ASYNCIO_SEED="))
        let error = await #expect(throws: (any Error).self) {
            try await withLoop(setting) { _ in try await AsyncEvent().wait() }
        }
        #expect(error.map { "\($0)" }?.contains(setting.testDescription.dropFirst("simulated, ".count)) == true)
        #expect(error.map { "\($0)" }?.contains("deadlock") == true)
    }

    @Test("its tasks run on the loop that the body is given", arguments: Setting.simulated)
    func loop(setting: Setting) async throws {
        try await withLoop(setting) { loop in
            #expect(EventLoop.current === loop)
            await withTaskGroup { group in
                for _ in 0..<3 { group.addTask { #expect(EventLoop.current === loop) } }
            }
            await Task { #expect(EventLoop.current === loop) }.value
        }
    }
}
