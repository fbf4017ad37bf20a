// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let asyncIO = Target.Dependency.product(name: "AsyncIO", package: "swift-asyncio")

/// One program a folder; read them in order.
let programs = [
    "01-hello", "02-gulls-one-by-one", "03-gulls-gather", "04-tasks-and-results", "05-blocking-and-offload",
    "06-call-later", "07-background", "08-producer-consumer", "09-timeouts-and-shield", "10-worker-pool",
    "11-chat-client", "13-echo", "15-port-scanner", "16-line-client", "17-udp-time", "18-sharded-chat", "19-reload",
    "20-file-hasher", "21-tail-follow", "22-log-rotator", "23-job-runner", "24-pipeline", "25-watch-and-rerun",
    "34-inspection",
]

let package = Package(
    name: "examples",
    dependencies: [
        .package(name: "swift-asyncio", path: ".."),
        .package(url: "https://github.com/apple/swift-async-algorithms.git", from: "1.1.0"),
    ],
    targets: programs.map { name in
        .executableTarget(name: name, dependencies: [asyncIO], swiftSettings: strict)
    } + [
        .executableTarget(
            name: "12-async-algorithms",
            dependencies: [asyncIO, .product(name: "AsyncAlgorithms", package: "swift-async-algorithms")],
            swiftSettings: strict),
        .executableTarget(
            name: "14-plain-main", dependencies: [.product(name: "AsyncIOMain", package: "swift-asyncio")],
            swiftSettings: strict),
        // Runs them all, and reads what they print. It links none of them: the last one would take over the tests.
        .testTarget(name: "ExamplesTests", dependencies: [asyncIO], swiftSettings: strict),
    ]
)
