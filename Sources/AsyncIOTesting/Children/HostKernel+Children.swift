import AsyncIOKernel
import SystemPackage

extension HostKernel {
    func isChild(_ process: CInt) -> Int { Errno.noChildProcess.negated }
    func killAndReap(_ process: CInt) {}
    func checkFolder(_ path: String) -> Int { 0 }
    var environment: [[UInt8]] { [] }
    func listen(to signals: UInt64) -> Int { refuse("signals") }
    func takeSignals(_ listener: CInt) -> UInt64 { 0 }
    func ignoreSignals(_ listener: CInt) {}
}
