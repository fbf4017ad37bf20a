// swift-tools-version: 6.2
import PackageDescription

// A package of its own: whoever measures something else need not build NIOSSL.
let package = Package(
    name: "tls-benchmarks",
    dependencies: [.package(name: "swift-asyncio", path: "../..", traits: ["TLS"])],
    targets: [
        .executableTarget(
            name: "tls-costs",
            dependencies: [
                .product(name: "AsyncIO", package: "swift-asyncio"),
                .product(name: "AsyncIOTLS", package: "swift-asyncio"),
            ],
            swiftSettings: [
                .swiftLanguageMode(.v6),
                .enableUpcomingFeature("ExistentialAny"),
                .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
                .treatAllWarnings(as: .error),
            ])
    ]
)
