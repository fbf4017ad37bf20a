import Glibc

/// The tests that take long run in a smaller version unless `ASYNCIO_STRESS=1` asks for the whole, as `.ci/run` does.
package enum Stress {
    package static let isOn = unsafe getenv("ASYNCIO_STRESS").map { unsafe String(cString: $0) } == "1"

    /// One number or the other, and a line that says which.
    package static func count(_ name: String, few: Int, many: Int) -> Int {
        if !isOn { print("\(name): \(few) rounds; ASYNCIO_STRESS=1 runs \(many)") }
        return isOn ? many : few
    }
}
