import AsyncIOKernel
import Glibc
import SystemPackage

/// Finds a program as execvp(3) does. Asks the file system, and so belongs on a thread that may block.
enum ProgramLookUp {
    /// What execvp(3) uses where there is no `PATH`, but for the current folder.
    static let standardPath = "/bin:/usr/bin"

    /// The path to run; the name itself if it has a slash. Throws ``IOError`` with `ENOENT`, or `EACCES` if only such
    /// files were found as must not be run.
    static func path(of name: String, in path: String, from folder: String?) throws(IOError) -> String {
        if name.contains("/") { return name }
        var (code, reason) = (Errno.noSuchFileOrDirectory, "not found")
        for entry in path.split(separator: ":", omittingEmptySubsequences: false) where !name.isEmpty {
            // An empty entry is the current folder: the child's.
            let candidate = entry.isEmpty ? "./\(name)" : "\(entry)/\(name)"
            let found = SystemCall.checkRunnable(fromHere(candidate, folder))
            if found >= 0 { return candidate }
            guard found == Errno.permissionDenied.negated else { continue }
            code = .permissionDenied
            let place = entry.isEmpty ? "." : String(entry)
            if SystemCall.checkFolder(fromHere(place, folder)) >= 0 {
                reason = "found, but not to be run,"
            } else if reason == "not found" {
                reason = "not found where one may look, and the folder \(place) cannot be entered,"
            }
        }
        throw IOError(code, operation: "spawn", subject: name, detail: "\(reason) in the PATH \(path)")
    }

    /// A path of the child's, seen from this process.
    private static func fromHere(_ path: String, _ folder: String?) -> String {
        guard let folder, !path.hasPrefix("/") else { return path }
        return "\(folder)/\(path)"
    }

    /// What was wrong when a program could not be started: the kernel gives only a number, for all steps.
    static func explain(_ code: Errno, _ path: String, _ command: Command) -> IOError {
        if let folder = command.folder {
            let found = SystemCall.checkFolder(folder)
            if found < 0 { return IOError(Errno(negated: found), operation: "change to folder", subject: folder) }
        }
        let detail: String? =
            switch code {
            case .noSuchFileOrDirectory where SystemCall.checkRunnable(fromHere(path, command.folder)) >= 0:
                "it is there, but not the interpreter or loader that it names"
            case .execFormatError: "neither a program nor a script that names its interpreter: run that with it"
            case .resourceTemporarilyUnavailable: "the limit of processes is reached (RLIMIT_NPROC, pids.max)"
            case .argListTooLong: "arguments and environment are longer than the kernel allows (execve(2))"
            case .notPermitted where command.group != .parents: "the process group cannot be joined (setpgid(2))"
            default: nil
            }
        return IOError(code, operation: "spawn", subject: path, detail: detail)
    }
}
