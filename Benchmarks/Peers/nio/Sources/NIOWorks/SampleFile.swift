import Glibc

/// A cached file of 64 MiB, which is there while `body` runs.
public func withSampleFile<Result>(_ body: (String) async throws -> Result) async throws -> Result {
    let path = makeSampleFile()
    defer { unlink(path) }
    return try await body(path)
}

/// The same for code without `async`: to be removed by the caller.
public func makeSampleFile() -> String {
    let path = "/tmp/nio-files-\(getpid())"
    let file = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0o600)
    precondition(file >= 0, "cannot make \(path)")
    let block = [UInt8](repeating: 97, count: 1 << 20)
    for _ in 0..<64 { precondition(write(file, block, block.count) == block.count, "cannot write \(path)") }
    close(file)
    return path
}
