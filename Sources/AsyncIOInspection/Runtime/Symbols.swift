import AsyncIOLoop
import CAsyncIOInspection

/// What the addresses in stacks are called: functions, and lines where the program was built with them.
///
/// Read from the program's and the libraries' own files, which happens when the first address is asked for: never ask
/// on a loop's thread. Answers are kept. Usable from all threads.
package enum Symbols {
    /// What is known of an address: the function whose code it is, even if another one was put into it there.
    package static func frame(at address: UInt) -> Frame {
        directory.withLock { $0.frame(at: address).frame }
    }

    /// A stack as its programmer knows it.
    ///
    /// What the compiler and the runtime have put between is left out. Of functions of this package and of the standard
    /// library that call each other, the outermost one is shown: the one that the program called.
    package static func frames(of stack: [UInt]) -> [Frame] {
        directory.withLock { directory in
            var frames: [Frame] = []
            var isWithinLibraries = false
            for known in stack.flatMap({ directory.frame(at: $0).expanded }) where known.origin == .written {
                let isLibrarys = libraries.contains(known.module)
                if isLibrarys && isWithinLibraries { frames.removeLast() }
                isWithinLibraries = isLibrarys
                frames.append(known.frame)
            }
            return frames
        }
    }

    private static let libraries: Set = [
        "Swift", "AsyncIOKernel", "AsyncIOLoop", "AsyncIO", "AsyncIOMain", "AsyncIOTransports", "AsyncIOTesting",
        "AsyncIONIO", "AsyncIOTLS", "AsyncIOHTTP",
    ]

    /// Everything that lies at an address, as for the stack of a thread: the functions that were put into another one
    /// there, the innermost first, and the one whose code it is. Give a return address as one less.
    package static func allFrames(at address: UInt) -> [Frame] {
        directory.withLock { $0.frame(at: address).expanded.map(\.frame) }
    }

    /// Where a task's code begins, as its programmer knows it: the outermost function of its stack that belongs to the
    /// program. Nil where that cannot be told: while the task runs, say.
    package static func origin(of stack: [UInt]) -> Frame? {
        directory.withLock { directory in
            for address in stack.reversed() {
                let known = directory.frame(at: address)
                if known.origin != .runtime, known.frame.function != nil, !libraries.contains(known.module) {
                    return known.frame
                }
            }
            return nil
        }
    }

    /// How many bytes the tables take that were read from files so far.
    package static var memory: Int { directory.withLock { $0.memory } }

    private static let directory = Locked(SymbolDirectory())
}

/// The images of the process, and the frames that were asked for.
struct SymbolDirectory {
    struct Known {
        var frame: Frame
        var origin = FunctionName.Origin.written
        var module = ""
        /// The functions that were put into this one here, the innermost first.
        var inlined: [Known] = []

        var expanded: [Known] { inlined + [self] }
    }

    private struct Key: Hashable {
        var bias: UInt
        var path: String
    }

    private var frames: [UInt: Known] = [:]
    private var files: [Key: SymbolFile?] = [:]
    private var changes: UInt64 = 0
    /// Programs have few places where tasks wait. This is against those that make their code while they run.
    private let limit = 100_000

    var memory: Int { files.values.reduce(0) { $0 + ($1?.memory ?? 0) } }

    mutating func frame(at address: UInt) -> Known {
        forgetWhatHasGone()
        if let known = frames[address] { return known }
        let known = find(address)
        if frames.count >= limit { frames.removeAll(keepingCapacity: true) }
        frames[address] = known
        return known
    }

    /// A library may lie where another one lay.
    private mutating func forgetWhatHasGone() {
        let now = casyncio_image_changes()
        guard now != changes else { return }
        changes = now
        frames.removeAll()
        files.removeAll()
    }

    private mutating func find(_ address: UInt) -> Known {
        var frame = Frame(address: address)
        var image = casyncio_image()
        guard unsafe casyncio_find_image(address, &image) else { return Known(frame: frame) }
        let path = unsafe String(cString: casyncio_image_path(&image))
        let offset = address - image.bias
        frame.offset = offset
        let shown = path.isEmpty ? CommandLine.arguments.first ?? "" : path
        frame.image = shown.split(separator: "/").last.map(String.init)
        let key = Key(bias: image.bias, path: path)
        let file = files[key] ?? SymbolFile(of: image)
        files[key] = .some(file)
        guard let file, let function = file.function(at: UInt64(offset)) else {
            // A runtime that was stripped names what it exports, and nobody calls the rest by name.
            return Known(frame: frame, origin: frame.image?.hasPrefix("libswift") == true ? .runtime : .written)
        }
        var known = Known(frame: frame).named(function.name)
        if let place = file.place(at: UInt64(offset), before: function.end) {
            known.see(place)
            known.findInlined(in: file, from: place, isBeginning: UInt64(offset) == function.address)
        }
        return known
    }
}

extension SymbolDirectory.Known {
    fileprivate func named(_ demangled: String) -> Self {
        let name = FunctionName(demangled: demangled)
        var known = self
        known.frame.function = name.text
        known.origin = name.origin
        known.module = name.module
        return known
    }

    fileprivate mutating func see(_ place: SymbolFile.Place?) {
        frame.file = place?.file
        frame.line = place?.line
    }

    /// Where a part of an asynchronous function begins, the first instructions are its own, whoever's line it goes on
    /// with: so what else it has of the line is looked at, too.
    fileprivate mutating func findInlined(in file: SymbolFile, from place: SymbolFile.Place, isBeginning: Bool) {
        let places = isBeginning ? place.addresses[...] : place.addresses.prefix(1)
        guard let found = places.lazy.map(file.inlined).first(where: { !$0.isEmpty }) else { return }
        let bare = SymbolDirectory.Known(frame: frame)
        var here: SymbolFile.Place? = place
        for function in found {
            var known = bare.named(function.name)
            known.see(here)
            if !function.name.isEmpty { inlined.append(known) }
            here = function.caller
        }
        see(here)
    }
}
