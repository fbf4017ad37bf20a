// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let http = Target.Dependency.product(name: "AsyncIOHTTP", package: "swift-asyncio")

/// One program a folder; read them in order.
let programs = ["26-hello-http", "27-json-api", "28-reverse-proxy", "29-crawler", "30-sse-clock"]

let package = Package(
    name: "web-examples",
    dependencies: [
        .package(name: "swift-asyncio", path: "../..", traits: ["HTTP", "TLS"]),
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.100.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.20.0"),
        .package(url: "https://github.com/swhitty/FlyingFox.git", from: "0.26.0"),
    ],
    targets: programs.map { name in
        .executableTarget(name: name, dependencies: [http], swiftSettings: strict)
    } + [
        .executableTarget(
            name: "31-nio-handlers",
            dependencies: [
                .product(name: "AsyncIO", package: "swift-asyncio"),
                .product(name: "AsyncIONIO", package: "swift-asyncio"),
                .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "32-hummingbird",
            dependencies: [
                .product(name: "AsyncIO", package: "swift-asyncio"),
                .product(name: "Hummingbird", package: "hummingbird"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "33-flyingfox",
            dependencies: [
                .product(name: "AsyncIO", package: "swift-asyncio"),
                .product(name: "FlyingFox", package: "FlyingFox"),
            ],
            swiftSettings: strict),
        // Runs them all, and asks them.
        .testTarget(name: "WebExamplesTests", dependencies: [http], swiftSettings: strict),
    ]
)
