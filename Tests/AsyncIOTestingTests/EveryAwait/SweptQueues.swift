import AsyncIO
import AsyncIOTestSupport
import AsyncIOTesting

extension SweptOperation {
    static let queues: [SweptOperation] = [
        SweptOperation("AsyncQueue.get loses nothing") { loop in
            let (queue, taken) = (AsyncQueue<Int>(capacity: 1), Log<Int>())
            loop.spawn(name: "producer") {
                for item in 0..<6 {
                    try await queue.put(item)
                    if item % 2 == 1 { try await loop.sleep(for: .seconds(1)) }
                }
                queue.finish()
            }
            return (queue, taken)
        } _: { queue, taken in
            for _ in 0..<3 { taken.add(try await queue.get()) }
            for item in try await queue.get(upTo: 2) { taken.add(item) }
        } then: { queue, taken in
            while let item = try await queue.next() { taken.add(item) }
            try expect(taken.all == Array(0..<6), "taken: \(taken.all)")
        },

        SweptOperation("AsyncQueue.put puts all or nothing") { loop in
            let (queue, put) = (AsyncQueue<Int>(capacity: 1), Log<Int>())
            return (queue, put, loop)
        } _: { queue, put, loop in
            let taker = loop.spawn(name: "taker") {
                for _ in 0..<2 {
                    try await loop.sleep(for: .seconds(1))
                    _ = try await queue.get()
                }
            }
            defer { taker.cancel() }
            for item in 0..<3 {
                try await queue.put(item)
                put.add(item)
            }
        } then: { queue, put, _ in
            let rest = queue.count
            try expect(queue.statistics.put == UInt64(put.count), "\(queue.statistics.put) in, \(put.count) said so")
            for _ in 0..<rest { _ = queue.tryGet() }
            try expect(queue.tryPut(9), "\(queue) is full")
        },

        SweptOperation("AsyncQueue.join") { loop in
            let queue = AsyncQueue<Int>(capacity: 4)
            for item in 0..<3 { try await queue.put(item) }
            loop.spawn(name: "worker") {
                for _ in 0..<3 {
                    _ = try await queue.get()
                    try await loop.sleep(for: .seconds(1))
                    queue.itemDone()
                }
            }
            return queue
        } _: { queue in
            try await queue.join()
        } then: { queue in
            try await queue.join()
        },

        SweptOperation("Channel.send, receive") { loop in
            let (sender, receiver) = Channel.make(of: Int.self, capacity: 1)
            let seen = Log<Int>()
            loop.spawn(name: "echo") { for try await item in receiver { seen.add(item) } }
            return (sender, seen)
        } _: { sender, _ in
            for item in 0..<5 { try await sender.send(item) }
        } then: { sender, seen in
            sender.finish()
            for _ in 0..<20 { await EventLoop.yield() }
            try expect(seen.all == Array(0..<seen.count), "\(seen.all)")
        },

        SweptOperation("Channel.receive") { loop in
            let (sender, receiver) = Channel.make(of: Int.self, capacity: 1)
            loop.spawn(name: "feed") {
                for item in 0..<4 { try await sender.send(item) }
                sender.finish()
            }
            return (receiver, Log<Int>())
        } _: { receiver, log in
            while let item = try await receiver.next() { log.add(item) }
        } then: { receiver, log in
            while let item = try await receiver.next() { log.add(item) }
            try expect(log.all == Array(0..<4), "\(log.all)")
        },

        SweptOperation("Promise.value") { loop in
            let (promise, resolver) = Promise<Int>.make()
            loop.callLater(.seconds(1)) { resolver.fulfil(1) }
            return (promise, loop)
        } _: { promise, _ in
            _ = try await promise.value
        } then: { promise, _ in
            _ = try await promise.value
        },

        SweptOperation("Broadcast.Subscription.next") { loop in
            let broadcast = Broadcast<Int>(capacity: 16)
            let subscription = broadcast.subscribe()
            loop.spawn(name: "sender") {
                for item in 0..<4 {
                    broadcast.send(item)
                    try await loop.sleep(for: .seconds(1))
                }
                broadcast.finish()
            }
            return (subscription, Log<Int>())
        } _: { subscription, log in
            while let item = try await subscription.next() { log.add(item) }
        } then: { subscription, log in
            while let item = try await subscription.next() { log.add(item) }
            try expect(log.all == Array(0..<4), "\(log.all)")
        },

        SweptOperation("Watch.wait, Subscription.next") { loop in
            let watch = Watch(0)
            loop.spawn(name: "setter") {
                for value in 1...4 {
                    try await loop.sleep(for: .seconds(1))
                    watch.set(value)
                }
            }
            return (watch, watch.subscribe())
        } _: { watch, subscription in
            _ = try await subscription.next()
            _ = try await watch.wait { $0 >= 2 }
            _ = try await subscription.wait { $0 >= 3 }
        } then: { watch, subscription in
            _ = try await watch.wait { $0 == 4 }
            let last = try await subscription.wait { $0 == 4 }
            try expect(last == 4, "\(last)")
        },

        SweptOperation("RateLimiter.acquire") { loop in
            (RateLimiter(permits: 1, per: .seconds(1), burst: 2), loop)
        } _: { limiter, _ in
            for _ in 0..<4 { try await limiter.acquire() }
            try await limiter.acquire(2)
        } then: { limiter, loop in
            try await loop.sleep(for: .seconds(20))
            try expect(try limiter.tryAcquire(2), "\(limiter): what was given up is lost")
        },

        SweptOperation("Interval.tick") { loop in
            Interval(every: .seconds(1))
        } _: { interval in
            for _ in 0..<3 { _ = try await interval.tick() }
        } then: { interval in
            let (one, other) = (try await interval.tick(), try await interval.tick())
            try expect(one < other, "\(one), \(other)")
        },
    ]
}
