// SwiftNIO as it is without Swift's concurrency: handlers in a pipeline, futures, one event loop.
import Glibc
import NIOCore
import NIOPosix
import NIOWorks
import TaskWorks

let arguments = CommandLine.arguments
let work = arguments.count > 1 ? arguments[1] : ""
let count = arguments.count > 2 ? Int(arguments[2]) ?? 0 : 0
let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
let loop = group.next()

switch work {
case "echo": try serve(try echo(port: count))
case "proxy": try serve(try proxy(port: count, target: arguments.count > 3 ? Int(arguments[3]) ?? 0 : 0))
case "udp": try serve(try udp(port: count))
case "cross": try cross(count)
case "files": try files(count)
case "start": try loop.submit {}.wait()
default:
    guard let done = loopWork(work, count, on: loop) else { cannot("handlers have no tasks, and NIO no processes") }
    try done.wait()
}

func serve(_ channel: any Channel) throws {
    print("ready")
    fflush(nil)
    try channel.closeFuture.wait()
}

/// From loop to loop, each on a thread of its own.
func cross(_ count: Int) throws {
    let other = MultiThreadedEventLoopGroup(numberOfThreads: 1).next()
    func bounce(_ left: Int, _ done: EventLoopPromise<Void>) {
        guard left > 0 else { return done.succeed() }
        other.execute { loop.execute { bounce(left - 1, done) } }
    }
    func all(_ count: Int) throws {
        let done = loop.makePromise(of: Void.self)
        loop.execute { bounce(count, done) }
        try done.futureResult.wait()
    }
    try all(count / 10)
    let mark = Mark()
    try all(count)
    mark.report("cross", count)
}

/// On NIO's pool of threads, from the event loop.
func files(_ count: Int) throws {
    let path = makeSampleFile()
    defer { unlink(path) }
    let io = NonBlockingFileIO(threadPool: .singleton)
    let file = try NIOFileHandle(_deprecatedPath: path)
    let allocator = ByteBufferAllocator()
    func next(_ left: Int, _ pages: RandomPages, _ done: EventLoopPromise<Void>) {
        guard left > 0 else { return done.succeed() }
        var pages = pages
        let offset = pages.next()
        io.read(fileHandle: file, fromOffset: offset, byteCount: 4096, allocator: allocator, eventLoop: loop)
            .assumeIsolated().whenComplete { [pages] result in
                switch result {
                case .success(let buffer):
                    precondition(buffer.readableBytes == 4096)
                    next(left - 1, pages, done)
                case .failure(let error): done.fail(error)
                }
            }
    }
    func all(_ count: Int) throws {
        let done = loop.makePromise(of: Void.self)
        loop.execute { next(count, RandomPages(), done) }
        try done.futureResult.wait()
    }
    try all(count / 10)
    let mark = Mark()
    try all(count)
    mark.report("files", count)
    try file.close()
}
