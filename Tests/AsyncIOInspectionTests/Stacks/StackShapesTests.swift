import AsyncIOTestSupport
import Testing

/// Forty ways to be suspended, in a program of its own: what its own functions are called in the tasks' stacks.
@Suite("Stacks of suspended tasks")
struct StackShapesTests {
    /// What the probe says of a shape.
    struct Shape: Sendable {
        let name: String
        let expected, found: [String]
        /// Where its innermost function suspends.
        let line: Int
        let lines: [Int]
        let library: String

        init?(_ text: String) {
            let parts = text.split(separator: "|", omittingEmptySubsequences: false).map(String.init)
            guard parts.count == 6, let line = Int(parts[3]) else { return nil }
            name = parts[0]
            expected = parts[1].components(", ")
            found = parts[2].components(", ")
            self.line = line
            lines = parts[4].components(", ").compactMap(Int.init)
            library = parts[5]
        }
    }

    @Test("name every function of the program's, innermost first, and the line of its await")
    func names() async throws {
        let run = try await ProbeRun.of("probe-stacks")
        #expect(run.ending == .exited(0))
        let shapes = run.lines.compactMap(Shape.init)
        #expect(shapes.count == run.lines.count)
        #expect(shapes.count >= 40)
        #if DEBUG
        for shape in shapes {
            #expect(shape.found == shape.expected, "\(shape.name)")
            #expect(shape.lines.count == shape.found.count, "\(shape.name)")
            #expect(shape.lines.first == shape.line, "\(shape.name)")
        }
        #else
        // Parts of functions that come to the same are made one by the optimizer, and have one name then.
        let incomplete = shapes.filter { $0.found != $0.expected }.map(\.name)
        #expect(incomplete.count * 5 <= shapes.count, "\(incomplete)")
        #endif
    }

    @Test("show what a program has called in a library, and not what is behind that")
    func libraries() async throws {
        let shapes = try await ProbeRun.of("probe-stacks").lines.compactMap(Shape.init)
        let calls = Dictionary(uniqueKeysWithValues: shapes.map { ($0.name, $0.library) })
        #expect(calls["stream read"] == "AsyncIO.UnixStream.read(upTo:)")
        #expect(calls["lock"] == "AsyncIO.AsyncLock.acquire()")
        #expect(calls["gather"] == "AsyncIO.gather(_:)")
        #expect(calls["Task.sleep"] == "Task.sleep(for:tolerance:clock:)")
        #expect(calls["stream of values"] == "AsyncStream.Iterator.next(isolation:)")
        #expect(calls["function"] == "")
    }
}

extension String {
    fileprivate func components(_ separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + (rest.isEmpty ? [] : [String(rest)])
    }
}
