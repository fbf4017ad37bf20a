import Foundation
import Testing

extension Trait where Self == ConditionTrait {
    /// For tests that inspect the whole process: its loops and descriptors are also those of the tests that run beside
    /// them.
    static var alone: Self {
        .enabled(
            if: ProcessInfo.processInfo.environment["ASYNCIO_ALONE"] == "1",
            """
            inspects its whole process; run ASYNCIO_ALONE=1 swift test --no-parallel --filter AsyncIOInspectionTests
            """)
    }
}
