import AsyncIOKernel
import CAsyncIO
import SystemPackage

/// The child processes of a host's run: scripted programs.
final class HostChildren {
    init() {}

    func crash(_ kernel: HostKernel) {}

    func spawn(_ kernel: HostKernel, _ plan: inout casyncio_spawn) -> Int { kernel.refuse("spawn") }
    func open(_ kernel: HostKernel, _ process: CInt) -> Int { Errno.noSuchProcess.negated }
    func signal(_ process: OpenDescription, _ signal: CInt, wholeGroup: Bool) -> Int { Errno.noSuchProcess.negated }
    func takeEnd(of process: OpenDescription, _ end: inout casyncio_process_end, keepsIt: Bool) -> Int {
        Errno.noChildProcess.negated
    }
    func checkRunnable(_ path: String) -> Int { Errno.noSuchFileOrDirectory.negated }
}
