package import AsyncIOLoop

/// The drivers that every test of the loop runs on.
package enum Drivers {
    package static let available: [DriverChoice] = DriverChoice.usable
}
