// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "benchmarks",
    dependencies: [.package(name: "swift-asyncio", path: "..")],
    targets: [
        .executableTarget(
            name: "smallest", dependencies: [.product(name: "AsyncIO", package: "swift-asyncio")],
            swiftSettings: strict),
        .executableTarget(
            name: "trace-ring", dependencies: [.product(name: "AsyncIO", package: "swift-asyncio")],
            swiftSettings: strict),
        .executableTarget(
            name: "datagrams", dependencies: [.product(name: "AsyncIO", package: "swift-asyncio")],
            swiftSettings: strict),
        // What `processes` compares with.
        .target(name: "CSpawnLoop"),
        .executableTarget(
            name: "processes", dependencies: ["CSpawnLoop", .product(name: "AsyncIO", package: "swift-asyncio")],
            swiftSettings: strict),
        .executableTarget(
            name: "files", dependencies: [.product(name: "AsyncIO", package: "swift-asyncio")],
            swiftSettings: strict),
    ]
)
