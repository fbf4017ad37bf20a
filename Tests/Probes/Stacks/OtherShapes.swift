// Suspensions in children, in groups and in what the standard library offers.

extension Shape {
    static let others = [
        Shape("child of a group", ["leaf(_:)", "closure #1 in closure #1 in spawnsChild()"]) { await spawnsChild() },
        Shape("next of a group", ["closure #1 in awaitsChild()", "awaitsChild()"]) { await awaitsChild() },
        Shape("async let", ["leaf(_:)", "closure #1 in binds()"]) { await binds() },
        Shape("value of an async let", ["awaitsBinding()"]) { await awaitsBinding() },
        Shape("value of a task", ["awaitsTask()"]) { await awaitsTask() },
        Shape("result of a throwing task", ["awaitsResult()"]) { await awaitsResult() },
        Shape("stream of values", ["iterates()"]) { await iterates() },
        Shape("cancellation handler", ["closure #1 in handles()", "handles()"]) { await handles() },
        Shape("Task.sleep", ["dozes()"]) { try await dozes() },
        Shape("task local", ["closure #1 in binds(_:)", "binds(_:)"]) { await binds("x") },
    ]
}

private func leaf(_ name: String) async {
    Roll.enter(name)
    await hang()
    print(name)
}

private func spawnsChild() async {
    await withTaskGroup(of: Void.self) { group in
        group.addTask {
            await leaf("child of a group")
            print("left")
        }
        await group.next()
    }
}

private func awaitsChild() async {
    await withTaskGroup(of: Void.self) { group in
        group.addTask { await leaf("-") }
        Roll.enter("next of a group")
        await group.next()
        print("next")
    }
    print("group")
}

private func binds() async {
    async let child: Void = leaf("async let")
    await child
}

private func awaitsBinding() async {
    async let child: Void = leaf("-")
    Roll.enter("value of an async let")
    await child
    print("bound")
}

private func awaitsTask() async {
    Roll.enter("value of a task")
    await Task { await leaf("-") }.value
    print("value")
}

private func awaitsResult() async {
    let task = Task { () async throws -> Int in
        await hang()
        return 1
    }
    Roll.enter("result of a throwing task")
    print(await task.result)
}

private func iterates() async {
    let (stream, continuation) = AsyncStream.makeStream(of: Int.self)
    Roll.enter("stream of values")
    for await number in stream { print(number) }
    continuation.finish()
}

private func handles() async {
    await withTaskCancellationHandler {
        Roll.enter("cancellation handler")
        await hang()
        print("handled")
    } onCancel: {
    }
    print("handles")
}

private func dozes() async throws {
    Roll.enter("Task.sleep")
    try await Task.sleep(for: .seconds(1000))  // sleeps: to be looked at
    print("awake")
}

private enum Local { @TaskLocal static var name = "" }

private func binds(_ name: String) async {
    await Local.$name.withValue(name) {
        Roll.enter("task local")
        await hang()
        print(Local.name)
    }
    print("unbound")
}
