// The same, where NIO's one event loop is also the executor that tasks run on: no change of threads between both.
import AsyncServers
import Glibc
import NIOCore
import NIOPosix
import TaskWorks

NIOSingletons.groupLoopCountSuggestion = 1
guard NIOSingletons.unsafeTryInstallSingletonPosixEventLoopGroupAsConcurrencyGlobalExecutor() else {
    cannot("this Swift offers NIO no way to take over")
}
let arguments = CommandLine.arguments
let work = arguments.count > 1 ? arguments[1] : ""
let numbers = arguments.dropFirst(2).map { Int($0) ?? 0 }
if try await !runAsyncWork(work, numbers), try await !runTaskWork(work, numbers.first ?? 0) {
    cannot("\(work): NIO has no processes")
}
exit(0)
