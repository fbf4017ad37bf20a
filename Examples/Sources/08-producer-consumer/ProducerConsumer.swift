import AsyncIO

/// A bounded queue between producers and consumers: who is too fast waits, and nothing piles up.
@main
struct ProducerConsumer {
    static func main() throws {
        try EventLoop.run {
            let letters = AsyncQueue<String>(capacity: 2, name: "letters")

            async let written: Void = {
                for number in 1...6 {
                    try await letters.put("letter \(number)")  // Waits while two are in the box.
                    print("written: \(number)")
                }
                letters.finish()
            }()

            try await withThrowingTaskGroup { group in
                for reader in ["Ada", "Grace"] {
                    group.addTask {
                        for try await letter in letters {
                            try await Task.sleep(for: .milliseconds(10))
                            print("\(reader) has read \(letter)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            try await written
            print("never more than \(letters.statistics.peak) in the box")
        }
    }
}
