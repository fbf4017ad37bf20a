// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let package = Package(
    name: "stock-swift",
    // NIO's peer does the same works, on another executor.
    products: [.library(name: "TaskWorks", targets: ["TaskWorks"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-async-algorithms.git", from: "1.1.4"),
        .package(url: "https://github.com/apple/swift-system.git", from: "1.5.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess.git", from: "1.0.2", traits: []),
    ],
    targets: [
        .target(name: "CMeasure"),
        .target(
            name: "TaskWorks",
            dependencies: ["CMeasure", .product(name: "AsyncAlgorithms", package: "swift-async-algorithms")],
            swiftSettings: strict),
        .executableTarget(
            name: "stock-swift",
            dependencies: [
                "TaskWorks", .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
    ]
)
