// Suspensions of the language itself.

extension Shape {
    static let simple = [
        Shape("function", ["plain()"]) { await plain() },
        Shape("nested functions", ["inner()", "middle()", "outer()"]) { await outer() },
        Shape("local function", ["local() in outside()", "outside()"]) { await outside() },
        Shape("recursion", ["descend(_:)", "descend(_:)", "descend(_:)"]) { await descend(2) },
        Shape("throwing function", ["risky()", "careful()"]) { await careful() },
        Shape("typed throws", ["precise()", "exact()"]) { await exact() },
        Shape("generic function", ["wrap(_:)", "generic()"]) { await generic() },
        Shape("closure", ["closure #1 in passes()", "call(_:)", "passes()"]) { await passes() },
        Shape("protocol witness", ["Loud.speak()", "speaks()"]) { await speaks() },
        Shape("generic over a protocol", ["Loud.speak()", "ask(_:)", "asks()"]) { await asks() },
        Shape("overridden method", ["Derived.work()", "works()"]) { await works() },
        Shape("computed property", ["Page.text.getter", "reads()"]) { await reads() },
        Shape("actor", ["Counter.increment()", "counts()"]) { await counts() },
        Shape("main actor", ["paint()", "paints()"]) { await paints() },
        Shape("closure in an actor", ["closure #1 in doubles()", "Counter.twice(_:)", "doubles()"]) { await doubles() },
    ]
}

private func plain() async {
    Roll.enter("function")
    await hang()
}

private func outer() async {
    await middle()
    Roll.enter("-")
}

private func middle() async {
    await inner()
    Roll.enter("-")
}

private func inner() async {
    Roll.enter("nested functions")
    await hang()
    Roll.enter("-")
}

private func outside() async {
    func local() async {
        Roll.enter("local function")
        await hang()
    }
    await local()
}

private func descend(_ depth: Int) async {
    if depth == 0 {
        Roll.enter("recursion")
        await hang()
    } else {
        await descend(depth - 1)
    }
}

private struct Mishap: Error {}

private func careful() async {
    do { try await risky() } catch { print(error) }
}

private func risky() async throws {
    Roll.enter("throwing function")
    await hang()
    throw Mishap()
}

private func exact() async {
    do throws(Mishap) { try await precise() } catch { print(error) }
}

private func precise() async throws(Mishap) {
    Roll.enter("typed throws")
    await hang()
    throw Mishap()
}

private func generic() async { print(await wrap(7)) }

private func wrap<Value: Sendable>(_ value: Value) async -> [Value] {
    Roll.enter("generic function")
    await hang()
    return [value]
}

private func passes() async {
    let number = Int.random(in: 0..<9)
    await call {
        Roll.enter("closure")
        await hang()
        print(number)
    }
}

private func call(_ body: () async -> Void) async {
    await body()
    print("called")
}

private protocol Speaker: Sendable { func speak() async -> String }

private struct Loud: Speaker {
    let name: String
    func speak() async -> String {
        Roll.enter(name)
        await hang()
        return name
    }
}

private func speaks() async {
    let speaker: any Speaker = Loud(name: "protocol witness")
    print(await speaker.speak())
}

private func asks() async { await ask(Loud(name: "generic over a protocol")) }

private func ask(_ speaker: some Speaker) async { print(await speaker.speak()) }

private class Base {
    func work() async {}
}

private final class Derived: Base {
    override func work() async {
        Roll.enter("overridden method")
        await hang()
        print("worked")
    }
}

private func works() async {
    let worker: Base = Int.random(in: 0..<2) < 2 ? Derived() : Base()
    await worker.work()
}

private struct Page {
    var text: String {
        get async {
            Roll.enter("computed property")
            await hang()
            return "text"
        }
    }
}

private func reads() async { print(await Page().text) }

private actor Counter {
    var count = 0

    func increment() async {
        Roll.enter("actor")
        await hang()
        count += 1
    }

    func twice(_ body: @Sendable () async -> Void) async {
        await body()
        count += 2
    }
}

private func counts() async { await Counter().increment() }

private func doubles() async {
    await Counter().twice {
        Roll.enter("closure in an actor")
        await hang()
    }
}

private func paints() async {
    await paint()
    print("painted")
}

@MainActor private func paint() async {
    Roll.enter("main actor")
    await hang()
}
