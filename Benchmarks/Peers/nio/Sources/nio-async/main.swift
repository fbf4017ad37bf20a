// SwiftNIO's NIOAsyncChannel as NIO is by default: one event loop on a thread of its own, tasks on the runtime's pool.
import AsyncServers
import Glibc
import NIOCore
import TaskWorks

NIOSingletons.groupLoopCountSuggestion = 1
let arguments = CommandLine.arguments
let work = arguments.count > 1 ? arguments[1] : ""
guard try await runAsyncWork(work, arguments.dropFirst(2).map { Int($0) ?? 0 }) else {
    cannot("\(work): tasks run on stock Swift's executor, see the peer `swift`")
}
exit(0)
