import AsyncIO
import AsyncIOTesting

@main struct Program {
    static func main() throws {
        let report = Simulation(seed: 1).reportNow { world in
            let host = try world.addHost("a")
            return try await host.run {
                let loop = EventLoop.current
                return await Task {
                    print("task home", EventLoop.current === loop)
                    try? await Task.sleep(for: .seconds(100))
                    print("after sleep home", EventLoop.current === loop, world.elapsed)
                    await Task { @MainActor in print("main home", EventLoop.current === loop) }.value
                    print("end", EventLoop.current === loop, world.elapsed)
                    return true
                }.value
            }
        }
        print(report.result)
    }
}
