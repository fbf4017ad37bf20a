import Testing

@testable import AsyncIOInspection

/// The demangler's words, and ours.
@Suite("Names of functions")
struct FunctionNameTests {
    @Test(
        "are short, and keep what tells functions apart",
        arguments: [
            ("A.f() -> ()", "A.f()"),
            ("A.f(Swift.Int) async -> Swift.Int", "A.f(_:)"),
            ("A.f(Swift.Int, to: [Swift.Int : A.B], _: (A.B, Swift.Int) -> ()) -> ()", "A.f(_:to:_:)"),
            ("A.S.f<A, B where A: Swift.Sendable>(of: A.Type, B) async throws -> A", "A.S.f(of:_:)"),
            ("static A.S.make(from: Swift.Int) -> A.S", "A.S.make(from:)"),
            ("A.S.value.getter : Swift.Int", "A.S.value.getter"),
            ("static A.S.== infix(A.S, A.S) -> Swift.Bool", "A.S.=="),
            ("A.(hidden in _8D1F)(Swift.Int) -> ()", "A.hidden(_:)"),
            ("(extension in A):Swift.Array<A where A == Swift.Int>.total() -> A", "Array.total()"),
            ("closure #1 () async throws -> () in A.S.f(x: Swift.Int) async -> ()", "closure #1 in A.S.f(x:)"),
            (
                "closure #2 @Sendable (inout Swift.TaskGroup<()>) async -> () in closure #1 () -> () in A.f() -> ()",
                "closure #2 in closure #1 in A.f()"
            ),
            ("inner #1 (Swift.Int) async -> () in A.f() async -> ()", "inner(_:) in A.f()"),
            ("(1) await resume partial function for A.f() async -> ()", "A.f()"),
            ("(12) suspend resume partial function for A.f() async -> ()", "A.f()"),
            ("generic specialization <Swift.Int, ()> of A.f<A>(A) async -> ()", "A.f(_:)"),
            (
                "function signature specialization <Arg[0] = Dead> of generic specialization <()> of A.f() -> ()",
                "A.f()"
            ),
            ("A.f() async -> () with unmangled suffix \".46TQ0_\"", "A.f()"),
            ("Swift.TaskGroup.next(isolation: isolated Swift.Actor?) async -> A?", "TaskGroup.next(isolation:)"),
            ("partial apply forwarder for closure #1 () async -> () in A.f() -> ()", "closure #1 in A.f()"),
            (
                "protocol witness for A.P.f() async -> () in conformance A.S : A.P in A",
                "A.P.f()"
            ),
            (
                "closure #1 () -> () in variable initialization expression of static A.S.all : [A.S]",
                "closure #1 in A.S.all"
            ),
        ])
    func short(_ demangled: String, _ short: String) { #expect(FunctionName(demangled: demangled).text == short) }

    @Test("tell whose function it is")
    func origins() {
        #expect(FunctionName(demangled: "A.f() -> ()").origin == .written)
        #expect(FunctionName(demangled: "A.f() -> ()").module == "A")
        #expect(FunctionName(demangled: "closure #1 () -> () in A.f() -> ()").module == "A")
        #expect(FunctionName(demangled: "(extension in A):Swift.Array.f() -> ()").module == "A")
        #expect(FunctionName(demangled: "partial apply forwarder for A.f() -> ()").origin == .thunk)
        #expect(
            FunctionName(demangled: "reabstraction thunk helper from @callee_guaranteed () -> ()").origin == .runtime)
        #expect(FunctionName(demangled: "_ZL12completeTaskPN5swift12AsyncContextE").origin == .runtime)
    }

    @Test("whatever the demangler says, something is shown")
    func nonsense() {
        let pieces = [
            "(", ")", "<", ">", " in ", "A.f", "closure #1", "#", ":", ", ", " ", "->", "1", "specialization <",
            "> of ",
        ]
        var random = SystemRandomNumberGenerator()
        for _ in 0..<2_000 {
            let text = (0..<Int.random(in: 1...12, using: &random)).map { _ in pieces[Int.random(in: 0..<pieces.count)]
            }
            _ = FunctionName(demangled: text.joined()).text
        }
        #expect(FunctionName(demangled: "f(").text == "f(")
        #expect(FunctionName(demangled: "main").text == "main")
    }
}
