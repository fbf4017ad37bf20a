import AsyncIO
import Glibc
import ProbeScenes

/// One scene, named on the command line, in a process whose synchronous `main` starts the loop.
@main struct TakeoverProbe {
    static func main() throws {
        let scene = CommandLine.arguments.dropFirst().first ?? "executors"
        // A probe that hangs is ended by the kernel.
        if scene != "alarms" { alarm(100) }
        switch scene {
        case "executors": try EventLoop.run { try await Executors.all() }
        case "between": try RunScenes.between()
        case "coming-home": try RunScenes.comingHome()
        case "runner": try RunScenes.runner()
        case "ending": try RunScenes.ending()
        case "forgotten": try RunScenes.forgotten(count: 50_000)
        case "churn": try Churn.loops(count: 500)
        case "churn-long": try Churn.loops(count: 5000)
        case "flood": try SignalScenes.flood(1_000_000)
        case "flood-short": try SignalScenes.flood(50_000)
        case "stopped": try SignalScenes.stopped()
        case "timers": try RunScenes.timers(count: 200_000)
        case "interrupt": SignalScenes.interrupted(.interrupt, SIGINT)
        case "terminate": SignalScenes.interrupted([.interrupt, .terminate], SIGTERM)
        case "out-of-descriptors": try SignalScenes.outOfDescriptors()
        case "ignored": try SignalScenes.ignored()
        case "busy": try SignalScenes.busy()
        case "answered": try SignalScenes.answered()
        case "race": SignalScenes.race(rounds: 200)
        case "own-handler": try SignalScenes.ownHandler()
        case "doubled": try SignalScenes.doubled()
        case "second": try SignalScenes.second()
        case "second-of-others": try SignalScenes.secondOfOthers()
        case "two-runs": try SignalScenes.twoRuns()
        case "listened-interrupt": ListeningScenes.interrupts()
        case "blocked": ListeningScenes.blocked()
        case "blocked-end": try ListeningScenes.blockedEnd()
        case "handler-put-back": try ListeningScenes.handlerPutBack()
        case "children": try ListeningScenes.children()
        case "many-listeners": try ListeningScenes.many()
        case "forks": try ForkScenes.children()
        case "copies": try ForkScenes.copies()
        case "alarms": try SignalScenes.alarms()
        default: Report.line("no such scene: \(scene)")
        }
    }
}
