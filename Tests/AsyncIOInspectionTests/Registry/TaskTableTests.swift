import Testing

@testable import AsyncIOInspection

/// The register's table against a dictionary: the same answers after any mixture of additions and removals.
@Suite("The table of tasks")
struct TaskTableTests {
    @Test("finds what was added and not removed, also in crowded places", arguments: 1...20 as ClosedRange<UInt64>)
    func model(seed: UInt64) {
        var table = TaskTable()
        var model: [UInt64: Int] = [:]
        var random = seed &* 0x9e37_79b9_7f4a_7c15
        func next(_ bound: UInt64) -> UInt64 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (random >> 33) % bound
        }
        for _ in 0..<2_000 {
            let id = 1 + next(300)
            if let position = model[id] {
                #expect(table.position(of: id) == position)
                if next(2) == 0 {
                    #expect(table.remove(at: position).id == id)
                    model[id] = nil
                }
            } else {
                #expect(table.position(of: id) == nil)
                var entry = TaskTable.Entry()
                entry.id = id
                model[id] = table.add(entry)
            }
            #expect(table.count == model.count)
        }
        for (id, position) in model { #expect(table.position(of: id) == position) }
    }
}
