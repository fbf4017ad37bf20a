// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "examples",
    dependencies: [.package(name: "swift-asyncio", path: "..")],
    targets: ["hello", "echo", "background"].map { name in
        .executableTarget(
            name: name, dependencies: [.product(name: "AsyncIO", package: "swift-asyncio")], swiftSettings: strict)
    } + [
        .executableTarget(
            name: "plain-main", dependencies: [.product(name: "AsyncIOMain", package: "swift-asyncio")],
            swiftSettings: strict)
    ]
)
