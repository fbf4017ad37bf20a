// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

let core: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let posix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let files: Target.Dependency = .product(name: "_NIOFileSystem", package: "swift-nio")
let measure: Target.Dependency = .product(name: "TaskWorks", package: "swift")

let package = Package(
    name: "nio-peers",
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.2"),
        .package(path: "../swift"),
    ],
    targets: [
        .target(name: "NIOWorks", dependencies: [core, posix, measure], swiftSettings: strict),
        .target(
            name: "AsyncServers", dependencies: ["NIOWorks", core, posix, files, measure], swiftSettings: strict),
        .executableTarget(
            name: "nio-handlers", dependencies: ["NIOWorks", core, posix, measure], swiftSettings: strict),
        .executableTarget(name: "nio-async", dependencies: ["AsyncServers", core, measure], swiftSettings: strict),
        .executableTarget(
            name: "nio-takeover", dependencies: ["AsyncServers", core, posix, measure], swiftSettings: strict),
    ]
)
