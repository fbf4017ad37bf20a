import AsyncIOMain
import Glibc
import ProbeScenes

/// One scene in a process whose asynchronous `main` is on the loop because it links AsyncIOMain.
@main struct MainProbe {
    static func main() async throws {
        let scene = CommandLine.arguments.dropFirst().first ?? "executors"
        // A probe that hangs is ended by the kernel.
        alarm(100)
        switch scene {
        case "executors": try await Executors.all()
        case "nested": await nested()
        case "interrupt": await interrupted()
        case "throws": throw EventLoopError.noLoop
        default: Report.line("no such scene: \(scene)")
        }
    }

    private static func nested() async {
        // The first part of main runs before the loop.
        await Task.yield()
        do {
            try EventLoop.run {}
            Report.line("ran")
        } catch {
            Report.line("refused: \(error as? EventLoopError == .alreadyRunning)")
        }
    }

    /// The program's own task cannot be asked to end.
    private static func interrupted() async {
        EventLoop.current?.spawn(name: "background") {
            do { try await Task.sleep(for: .seconds(1000)) } catch {  // sleeps: is cancelled
                Report.line("background cleaned up")
            }
        }
        await Task.yield()
        Report.line("ready")
        do { try await Task.sleep(for: .seconds(1000)) } catch {  // sleeps: is what the signal ends
            Report.line("main was cancelled")
        }
    }
}
