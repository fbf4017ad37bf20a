import AsyncIO
import AsyncIOLoop
import AsyncIOTestSupport
import Testing

/// What tokio tests of `mpsc`, and trio of its memory channels.
@Suite("A channel with two ends")
struct ChannelTests {
    @Test("what is sent is received, in order", arguments: Setting.timeless)
    func order(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let (sender, receiver) = Channel<Int>.make(capacity: 16)
            for number in 0..<10 { try await sender.send(number) }
            for number in 0..<10 { #expect(try await receiver.receive() == number) }
            withExtendedLifetime(sender) {}
        }
    }

    @Test("send waits for room, receive for an item", arguments: Setting.timeless)
    func waits(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (sender, receiver) = Channel.make(of: Int.self, capacity: 1, name: "lines")
            try await sender.send(1)
            #expect(!sender.trySend(2))
            let sending = loop.spawn {
                try await sender.send(2); return true
            }
            await until { sender.statistics.waitingPutters == 1 }
            #expect("\(receiver)" == "Channel.Receiver(lines, 1 of 1)" && receiver.count == 1)
            #expect("\(sender)" == "Channel.Sender(lines, 1 of 1)" && sender.waitingTasks.count == 1)
            #expect(try await receiver.receive() == 1)
            #expect(await sending.queueEnding == .value(true))
            #expect(receiver.tryReceive() == 2 && receiver.tryReceive() == nil)
            let receiving = loop.spawn { try await receiver.receive() }
            await until { receiver.statistics.waitingGetters == 1 }
            #expect(sender.trySend(3))
            #expect(try await receiving.value == 3)
        }
    }

    @Test("the channel finishes when the last sender goes", arguments: Setting.timeless)
    func lastSender(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let receiver: Channel<Int>.Receiver
            var senders: [Channel<Int>.Sender?]
            do {
                let ends = Channel<Int>.make(capacity: 16)
                receiver = ends.receiver
                senders = [ends.sender, ends.sender]
            }
            #expect(senders[0]?.trySend(1) == true)
            senders[0] = nil
            #expect(!receiver.isClosed)
            senders[1] = nil
            #expect(receiver.isClosed)
            #expect(try await receiver.next() == 1)
            #expect(try await receiver.next() == nil)
            #expect(await QueueEnding { try await receiver.receive() } == .closed(.finished))
        }
    }

    @Test("a receiver that waits when the last sender goes finds the end", arguments: Setting.timeless)
    func lastSenderWhileWaiting(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            var ends: (sender: Channel<Int>.Sender?, receiver: Channel<Int>.Receiver) = Channel<Int>.make(capacity: 1)
            let receiver = ends.receiver
            let receiving = loop.spawn { try await receiver.next() }
            await until { receiver.statistics.waitingGetters == 1 }
            ends.sender = nil
            #expect(await receiving.queueEnding == .value(nil))
        }
    }

    @Test("a task that sends keeps its sender until the item is in", arguments: Setting.timeless)
    func sendingKeeps(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (receiver, sending) = {
                let (sender, receiver) = Channel<Int>.make(capacity: 1)
                #expect(sender.trySend(1))
                return (receiver, loop.spawn { try await sender.send(2) })
            }()
            await until { receiver.statistics.waitingPutters == 1 }
            #expect(try await receiver.receive() == 1)
            #expect(try await receiver.receive() == 2)
            try await sending.value
            await until { receiver.isClosed }
            #expect(try await receiver.next() == nil)
        }
    }

    @Test(
        "when the last receiver goes, who sends gets the error, and what was inside ends", arguments: Setting.timeless)
    func lastReceiver(setting: Setting) async throws {
        let ended = Log<Int>()
        try await withVirtualTime(setting) { _ async throws in
            var ends: (sender: Channel<Mortal>.Sender, receiver: Channel<Mortal>.Receiver?) = Channel.make(capacity: 4)
            let sender = ends.sender
            for number in 0..<3 { try await sender.send(Mortal(number) { ended.add($0) }) }
            #expect(!sender.isClosed && ended.count == 0)
            ends.receiver = nil
            #expect(sender.isClosed && ended.all.sorted() == [0, 1, 2])
            let ending = await QueueEnding {
                try await sender.send(Mortal(3) { ended.add($0) }); return true
            }
            #expect(ending == .closed(.cancelled))
            #expect(!sender.trySend(Mortal(4) { ended.add($0) }))
            #expect(ended.all.sorted() == [0, 1, 2, 3, 4])
        }
    }

    @Test("senders that wait when the last receiver goes get the error", arguments: Setting.timeless)
    func lastReceiverWhileWaiting(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            var ends: (sender: Channel<Int>.Sender, receiver: Channel<Int>.Receiver?) = Channel.make(capacity: 1)
            let sender = ends.sender
            var sending: [BackgroundTask<Bool>] = []
            for number in 0..<4 {
                sending.append(
                    loop.spawn {
                        try await sender.send(number)
                        return true
                    })
                await loop.settle()
            }
            #expect(sender.statistics.waitingPutters == 3)
            ends.receiver = nil
            #expect(await sending[0].queueEnding == .value(true))
            for task in sending[1...] { #expect(await task.queueEnding == .closed(.cancelled)) }
        }
    }

    @Test("what a gone receiver drops may send itself: its end is not under the lock")
    func endSends() async throws {
        let ended = Log<Int>()
        var ends: (sender: Channel<Mortal>.Sender, receiver: Channel<Mortal>.Receiver?) = Channel.make(capacity: 4)
        let sender = ends.sender
        let isSent = sender.trySend(
            Mortal(1) { [weak sender] number in
                if sender?.trySend(Mortal(2) { ended.add($0) }) == false { ended.add(number) }
            })
        #expect(isSent)
        ends.receiver = nil
        #expect(ended.all == [2, 1])
    }

    @Test("finish() of a sender closes for all of them; what is inside can be received", arguments: Setting.timeless)
    func finish(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (sender, receiver) = Channel<Int>.make(capacity: 4)
            let other = sender
            try await sender.send(1)
            sender.finish()
            #expect(other.isClosed && !other.trySend(2))
            var items: [Int] = []
            for try await item in receiver { items.append(item) }
            #expect(items == [1])
        }
    }

    @Test("finish() of the receiver lets nobody send, and what is inside be received", arguments: Setting.timeless)
    func receiverFinishes(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (sender, receiver) = Channel<Int>.make(capacity: 1)
            try await sender.send(1)
            let sending = loop.spawn {
                try await sender.send(2); return true
            }
            await until { sender.statistics.waitingPutters == 1 }
            receiver.finish()
            #expect(await sending.queueEnding == .closed(.finished))
            #expect(try await receiver.next() == 1)
            #expect(try await receiver.next() == nil)
        }
    }

    @Test(
        "cancel() of the receiver drops what is inside and ends iteration with the error", arguments: Setting.timeless)
    func receiverCancels(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let (sender, receiver) = Channel<Int>.make(capacity: 2)
            try await sender.send(1)
            receiver.cancel()
            #expect(sender.isClosed && receiver.count == 0)
            #expect(await QueueEnding { try await receiver.next() } == .closed(.cancelled))
        }
    }

    @Test("several tasks iterate over one receiver: each item goes to one of them", arguments: Setting.timeless)
    func severalReceivers(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (receivers, sending) = {
                let (sender, receiver) = Channel<Int>.make(capacity: 3)
                let receivers = (0..<4).map { _ in
                    loop.spawn {
                        var items: [Int] = []
                        for try await item in receiver {
                            items.append(item)
                            await Task.yield()
                        }
                        return items
                    }
                }
                return (receivers, loop.spawn { for number in 0..<200 { try await sender.send(number) } })
            }()
            try await sending.value
            var all: [Int] = []
            for receiver in receivers { all += try await receiver.value }
            #expect(all.sorted() == Array(0..<200))
        }
    }

    @Test("receive(upTo:) takes what is there", arguments: Setting.timeless)
    func many(setting: Setting) async throws {
        try await withVirtualTime(setting) { _ async throws in
            let (sender, receiver) = Channel<Int>.make(capacity: .unbounded)
            for number in 0..<5 { try await sender.send(number) }
            #expect(try await receiver.receive(upTo: 4) == [0, 1, 2, 3])
            #expect(try await receiver.receive(upTo: 4) == [4])
            sender.finish()
            #expect(try await receiver.receive(upTo: 4) == [])
        }
    }

    @Test("a cancelled sender keeps its item, a cancelled receiver takes none", arguments: Setting.timeless)
    func cancelled(setting: Setting) async throws {
        try await withVirtualTime(setting) { loop async throws in
            let (sender, receiver) = Channel<Int>.make(capacity: 1)
            let receiving = loop.spawn { try await receiver.receive() }
            await until { receiver.statistics.waitingGetters == 1 }
            receiving.cancel()
            #expect(sender.trySend(1))
            #expect(await receiving.queueEnding == .cancelled)
            let sending = loop.spawn {
                try await sender.send(2); return true
            }
            await until { sender.statistics.waitingPutters == 1 }
            sending.cancel()
            #expect(await sending.queueEnding == .cancelled)
            #expect(receiver.tryReceive() == 1 && receiver.tryReceive() == nil)
        }
    }

    @Test("a sender on one loop and a receiver on another: everything arrives in order", arguments: Setting.onRealLoop)
    func acrossThreads(setting: Setting) async throws {
        let items = try await withLoop(setting) { _ async throws in
            let thread = try LoopThread()
            let (receiver, sending) = {
                let (sender, receiver) = Channel<Int>.make(capacity: 8)
                return (receiver, thread.loop.spawn { for number in 0..<2000 { try await sender.send(number) } })
            }()
            var items: [Int] = []
            for try await item in receiver { items.append(item) }
            try await sending.value
            await thread.shutdown()
            return items
        }
        #expect(items == Array(0..<2000))
    }
}
