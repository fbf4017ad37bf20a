import AsyncAlgorithms
import AsyncIO

/// The operators of swift-async-algorithms work on this package's queues, channels and clock.
@main
struct Streams {
    static func main() throws {
        try EventLoop.run {
            guard let loop = EventLoop.current else { return }
            let (north, south) = (AsyncQueue<Int>(capacity: 4), AsyncQueue<Int>(capacity: 4))
            loop.spawn(name: "north") {
                for number in [1, 3, 5] { try await north.put(number) }
                north.finish()
            }
            loop.spawn(name: "south") {
                for number in [2, 4, 6] { try await south.put(number) }
                south.finish()
            }
            var seen: [Int] = []
            for try await number in merge(north, south) { seen.append(number) }
            print("merged: \(seen.sorted())")

            let keys = AsyncQueue<String>(capacity: 16)
            loop.spawn(name: "typing") {
                for text in ["g", "gu", "gul", "gull"] { try await keys.put(text) }
                try await loop.sleep(for: .milliseconds(80))
                try await keys.put("gulls")
                keys.finish()
            }
            for try await text in keys.debounce(for: .milliseconds(30), clock: loop.clock) { print("search: \(text)") }

            let numbers = AsyncQueue<Int>(capacity: 16)
            loop.spawn(name: "numbers") {
                for number in 1...7 { try await numbers.put(number) }
                numbers.finish()
            }
            for try await chunk in numbers.chunks(ofCount: 3) { print("chunk: \(chunk)") }
        }
    }
}
