import AsyncIOKernel
import SystemPackage

// Children, and what they are started with.
extension HostKernel {
    func isChild(_ process: CInt) -> Int { children.isChild(self[process]) }
    func killAndReap(_ process: CInt) { children.killAndReap(process) }

    func checkRunnable(_ path: String) -> Int {
        check(path) { node throws(Errno) in
            if node.isFolder || !disk.may(0o1, node) { throw .permissionDenied }
        }
    }

    func checkFolder(_ path: String) -> Int {
        check(path) { node throws(Errno) in
            if !node.isFolder { throw .notDirectory }
            if !disk.may(0o1, node) { throw .permissionDenied }
        }
    }

    private func check(_ path: String, _ body: (DiskNode) throws(Errno) -> Void) -> Int {
        if hasCrashed { return Errno.ioError.negated }
        do {
            try body(disk.find(Array(path.utf8), from: disk.root).existing)
            return 0
        } catch {
            return error.negated
        }
    }

    var environment: [[UInt8]] {
        host.environment.sorted { $0.key < $1.key }.map { Array("\($0.key)=\($0.value)".utf8) }
    }
}
