import Foundation
import Testing

extension Trait where Self == ConditionTrait {
    /// For tests that inspect the whole process: the loops of all tests that run beside them would be among those, and
    /// would hear of it.
    static var alone: Self {
        .enabled(
            if: ProcessInfo.processInfo.environment["ASYNCIO_ALONE"] == "1",
            "inspects all loops of its process; ASYNCIO_ALONE=1 swift test --filter AsyncIOInspectionTests runs it")
    }
}
