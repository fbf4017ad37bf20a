// swift-tools-version: 6.2
import PackageDescription

/// What every target of the package is compiled with: the strictest language the compiler offers.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
]

/// A dependency that is fetched and built only for those who ask for the trait.
func optional(_ product: String, of package: String, trait: String) -> Target.Dependency {
    .product(name: product, package: package, condition: .when(traits: [trait]))
}

let package = Package(
    name: "swift-asyncio",
    products: [
        .library(name: "AsyncIO", targets: ["AsyncIO", "AsyncIOInspection"]),
        .library(name: "AsyncIOMain", targets: ["AsyncIOMain"]),
        .library(name: "AsyncIOTransports", targets: ["AsyncIOTransports"]),
        .library(name: "AsyncIOTesting", targets: ["AsyncIOTesting"]),
        .library(name: "AsyncIOTestingTraits", targets: ["AsyncIOTestingTraits"]),
        .library(name: "AsyncIOXCTest", targets: ["AsyncIOXCTest"]),
        .library(name: "AsyncIONIO", targets: ["AsyncIONIO"]),
        .library(name: "AsyncIOTLS", targets: ["AsyncIOTLS"]),
        .library(name: "AsyncIOHTTP", targets: ["AsyncIOHTTP"]),
        .library(name: "AsyncIOServices", targets: ["AsyncIOServices"]),
        .executable(name: "asyncio", targets: ["asyncio"]),
    ],
    traits: [
        .trait(name: "NIO", description: "AsyncIONIO: SwiftNIO's channel handlers on the loop."),
        .trait(name: "TLS", description: "AsyncIOTLS: encrypted streams, by NIOSSL.", enabledTraits: ["NIO"]),
        .trait(name: "HTTP", description: "AsyncIOHTTP: HTTP/1.1 and WebSocket.", enabledTraits: ["NIO"]),
        .trait(name: "Services", description: "AsyncIOServices: logs, metrics, tracing, lifecycle."),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-system.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.5.0"),
        // Each for a trait; nobody else fetches them.
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.100.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.36.0"),
        .package(url: "https://github.com/apple/swift-http-types.git", from: "1.4.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.5.0"),
        .package(url: "https://github.com/apple/swift-service-context.git", from: "1.1.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.6.0"),
    ],
    targets: [
        // Floor 0: what Glibc's module does not import. Headers and shims only.
        .target(name: "CAsyncIO"),
        // Floor 1: typed system calls, descriptors, addresses, buffers, errors.
        .target(
            name: "AsyncIOKernel",
            dependencies: ["CAsyncIO", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: strict),
        // Floor 2: the event loop, its drivers, timers, executor.
        .target(
            name: "AsyncIOLoop",
            dependencies: ["AsyncIOKernel", "CAsyncIO", .product(name: "SystemPackage", package: "swift-system")],
            swiftSettings: strict),
        // Floor 3: what people import.
        .target(
            name: "AsyncIO",
            dependencies: [
                "AsyncIOLoop", "AsyncIOKernel", "CAsyncIO", .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        // Linking this product puts a plain `@main … static func main() async` on the loop.
        .target(name: "CAsyncIOMain"),
        .target(
            name: "AsyncIOMain", dependencies: ["AsyncIO", "AsyncIOLoop", "CAsyncIOMain"], swiftSettings: strict),
        // What shows the tasks of a running program. Part of the product AsyncIO: off until the program or its
        // environment asks for it.
        .target(name: "CAsyncIOInspection"),
        .target(
            name: "AsyncIOInspection",
            dependencies: ["AsyncIO", "AsyncIOLoop", "AsyncIOKernel", "CAsyncIO", "CAsyncIOInspection"],
            swiftSettings: strict),
        // asyncio's callback style.
        .target(
            name: "AsyncIOTransports",
            dependencies: [
                "AsyncIO", "AsyncIOLoop", "AsyncIOKernel", .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        // What tests of programs need: simulated worlds, virtual time, doubles.
        .target(
            name: "AsyncIOTesting",
            dependencies: [
                "AsyncIO", "AsyncIOLoop", "AsyncIOKernel", "CAsyncIO",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        // The same in Swift Testing's words, and in XCTest's.
        .target(
            name: "AsyncIOTestingTraits", dependencies: ["AsyncIOTesting", "AsyncIO", "AsyncIOLoop"],
            swiftSettings: strict),
        .target(
            name: "AsyncIOXCTest", dependencies: ["AsyncIOTesting", "AsyncIO", "AsyncIOLoop"], swiftSettings: strict),
        // Wings behind traits: without its trait each of them is an empty module.
        .target(
            name: "AsyncIONIO",
            dependencies: [
                "AsyncIO", "AsyncIOLoop", "AsyncIOKernel",
                optional("NIOCore", of: "swift-nio", trait: "NIO"),
            ],
            swiftSettings: strict),
        .target(
            name: "AsyncIOTLS",
            dependencies: [
                "AsyncIONIO", "AsyncIO", "AsyncIOLoop", "AsyncIOKernel",
                optional("NIOCore", of: "swift-nio", trait: "TLS"),
                optional("NIOTLS", of: "swift-nio", trait: "TLS"),
                optional("NIOSSL", of: "swift-nio-ssl", trait: "TLS"),
            ],
            swiftSettings: strict),
        // The system's zlib: Swift's own toolchain asks for it.
        .target(name: "CAsyncIOZlib", linkerSettings: [.linkedLibrary("z")]),
        .target(
            name: "AsyncIOHTTP",
            dependencies: [
                "AsyncIONIO", "AsyncIO", "AsyncIOLoop", "AsyncIOKernel",
                .target(name: "AsyncIOTLS", condition: .when(traits: ["TLS"])),
                .target(name: "CAsyncIOZlib", condition: .when(traits: ["HTTP"])),
                optional("NIOCore", of: "swift-nio", trait: "HTTP"),
                optional("NIOHTTP1", of: "swift-nio", trait: "HTTP"),
                optional("NIOWebSocket", of: "swift-nio", trait: "HTTP"),
                optional("HTTPTypes", of: "swift-http-types", trait: "HTTP"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .target(
            name: "AsyncIOServices",
            dependencies: [
                "AsyncIO", "AsyncIOLoop", "AsyncIOKernel",
                optional("Logging", of: "swift-log", trait: "Services"),
                optional("Metrics", of: "swift-metrics", trait: "Services"),
                optional("ServiceContextModule", of: "swift-service-context", trait: "Services"),
                optional("ServiceLifecycle", of: "swift-service-lifecycle", trait: "Services"),
            ],
            swiftSettings: strict),
        // Roof: the command.
        .target(
            name: "AsyncIOCommand",
            dependencies: [
                "AsyncIO", "AsyncIOInspection", "AsyncIOLoop", "AsyncIOKernel",
                .target(name: "AsyncIOHTTP", condition: .when(traits: ["HTTP"])),
                .target(name: "AsyncIOTLS", condition: .when(traits: ["TLS"])),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
        .executableTarget(name: "asyncio", dependencies: ["AsyncIOCommand"], swiftSettings: strict),
        // What the tests share: watchdog, random numbers, gates, peers, probe processes.
        .target(
            name: "AsyncIOTestSupport",
            dependencies: [
                "AsyncIOTesting", "AsyncIO", "AsyncIOLoop", "AsyncIOKernel", "CAsyncIO",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Tests/Support", swiftSettings: strict),
        .testTarget(
            name: "AsyncIOKernelTests", dependencies: ["AsyncIOKernel", "AsyncIOTestSupport", "CAsyncIO"],
            swiftSettings: strict),
        // Programs that tests start, since a process is taken over once and for all.
        .target(
            name: "ProbeScenes", dependencies: ["AsyncIO", "CAsyncIO"], path: "Tests/Probes/Scenes",
            swiftSettings: strict),
        .executableTarget(
            name: "probe-takeover", dependencies: ["AsyncIO", "ProbeScenes"], path: "Tests/Probes/Takeover",
            swiftSettings: strict),
        // No dependency of a test target: its constructor would take over the process of the tests as well.
        .executableTarget(
            name: "probe-main", dependencies: ["AsyncIOMain", "ProbeScenes"], path: "Tests/Probes/Main",
            swiftSettings: strict),
        .testTarget(
            name: "AsyncIOLoopTests",
            dependencies: [
                "AsyncIOLoop", "AsyncIOKernel", "AsyncIOTestSupport", "CAsyncIO", "probe-takeover",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        // Takes over the sockets that a test hands to it.
        .executableTarget(
            name: "probe-activation", dependencies: ["AsyncIO"], path: "Tests/Probes/Activation",
            swiftSettings: strict),
        // Has children in ways that would disturb those of other tests.
        .executableTarget(
            name: "probe-processes", dependencies: ["AsyncIO"], path: "Tests/Probes/Processes", swiftSettings: strict),
        // Serves other people's HTTP clients: Tests/Peers/http_peers.py.
        .executableTarget(
            name: "web-probe",
            dependencies: ["AsyncIO", .target(name: "AsyncIOHTTP", condition: .when(traits: ["HTTP"]))],
            path: "Tests/Probes/Web", swiftSettings: strict),
        // Feeds the parsers of HTTP and WebSocket with random bytes. It sees their insides, so it is empty without -DFUZZ.
        .executableTarget(
            name: "web-fuzz",
            dependencies: [
                "AsyncIOHTTP", "AsyncIOTesting",
                optional("NIOCore", of: "swift-nio", trait: "HTTP"),
                optional("NIOWebSocket", of: "swift-nio", trait: "HTTP"),
                optional("HTTPTypes", of: "swift-http-types", trait: "HTTP"),
            ],
            path: "Tests/Fuzz", swiftSettings: strict),
        // Serves and dials while Tests/Faults/faults.py makes its system calls fail.
        .executableTarget(
            name: "fault-probe", dependencies: ["AsyncIO"], path: "Tests/Faults/Probe", swiftSettings: strict),
        .testTarget(
            name: "AsyncIOTests",
            dependencies: [
                "AsyncIO", "AsyncIOLoop", "AsyncIOKernel", "AsyncIOTestSupport", "AsyncIOTesting", "fault-probe",
                "probe-activation", "probe-processes", "probe-takeover", "CAsyncIO",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "AsyncIOTransportsTests",
            dependencies: [
                "AsyncIOTransports", "AsyncIO", "AsyncIOLoop", "AsyncIOKernel", "AsyncIOTestSupport", "CAsyncIO",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        // Suspends tasks in many ways, and names where: in debug and in release.
        .executableTarget(
            name: "probe-stacks", dependencies: ["AsyncIOInspection", "AsyncIO", "AsyncIOLoop", "CAsyncIO"],
            path: "Tests/Probes/Stacks", swiftSettings: strict),
        // Does what a process of tests cannot: forks, is recorded from its start, ends by a signal.
        .executableTarget(
            name: "probe-inspected", dependencies: ["AsyncIOInspection", "AsyncIO", "AsyncIOLoop", "AsyncIOKernel"],
            path: "Tests/Probes/Inspected", swiftSettings: strict),
        .testTarget(
            name: "AsyncIOInspectionTests",
            dependencies: [
                "AsyncIOInspection", "AsyncIO", "AsyncIOLoop", "AsyncIOKernel", "AsyncIOTestSupport", "AsyncIOTesting",
                "CAsyncIO", "CAsyncIOInspection", "probe-stacks", "probe-inspected",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        // Whole programs in simulated worlds, for sweeps over many seeds.
        .executableTarget(
            name: "scenarios", dependencies: ["AsyncIOTesting", "AsyncIOCommand", "AsyncIO"], path: "Tests/Scenarios",
            swiftSettings: strict),
        .testTarget(
            name: "AsyncIOTestingTests",
            dependencies: [
                "AsyncIOTesting", "AsyncIOTestingTraits", "AsyncIOXCTest", "AsyncIO", "AsyncIOLoop", "AsyncIOKernel",
                "AsyncIOTestSupport", "CAsyncIO", "scenarios", .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "CommandTests",
            dependencies: [
                "AsyncIO", "AsyncIOTestSupport", "AsyncIOCommand", "asyncio",
                .target(name: "AsyncIOHTTP", condition: .when(traits: ["HTTP"])),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "AsyncIONIOTests",
            dependencies: [
                "AsyncIONIO", "AsyncIO", "AsyncIOLoop", "AsyncIOKernel", "AsyncIOTestSupport", "AsyncIOTesting",
                optional("NIOCore", of: "swift-nio", trait: "NIO"),
                optional("NIOHTTP1", of: "swift-nio", trait: "NIO"),
                optional("NIOWebSocket", of: "swift-nio", trait: "NIO"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "AsyncIOTLSTests",
            dependencies: [
                "AsyncIOTLS", "AsyncIO", "AsyncIOLoop", "AsyncIOKernel", "AsyncIOTestSupport", "AsyncIOTesting",
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "AsyncIOHTTPTests",
            dependencies: [
                "AsyncIOHTTP", "AsyncIO", "AsyncIOLoop", "AsyncIOKernel", "AsyncIOTestSupport", "AsyncIOTesting",
                .target(name: "AsyncIOTLS", condition: .when(traits: ["TLS"])),
                optional("HTTPTypes", of: "swift-http-types", trait: "HTTP"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "AsyncIOServicesTests",
            dependencies: [
                "AsyncIOServices", "AsyncIO", "AsyncIOLoop", "AsyncIOTestSupport",
                optional("Logging", of: "swift-log", trait: "Services"),
                optional("Metrics", of: "swift-metrics", trait: "Services"),
                optional("MetricsTestKit", of: "swift-metrics", trait: "Services"),
                optional("ServiceContextModule", of: "swift-service-context", trait: "Services"),
                optional("ServiceLifecycle", of: "swift-service-lifecycle", trait: "Services"),
            ],
            swiftSettings: strict),
        .testTarget(name: "StyleTests", swiftSettings: strict),
    ]
)
