/// The operations under way, each in a slot that its token names.
///
/// A pure table: it hands out tokens and takes them back, once each. A token whose operation has ended finds nothing, also
/// after its slot has been given to another operation.
struct OperationTable {
    @safe
    private struct Slot {
        var generation: UInt32 = 0
        var nextFree: UInt32 = OperationTable.none
        var isOpen = false
        var timer: TimerID?
        var continuation: UnsafeContinuation<Outcome, Never>?
    }

    private static let none = UInt32.max
    private var slots: [Slot] = []
    private var firstFree = OperationTable.none
    /// How many operations are under way.
    private(set) var count = 0

    /// Opens a slot.
    mutating func open() -> Token {
        count += 1
        if firstFree != OperationTable.none {
            let index = firstFree
            firstFree = slots[Int(index)].nextFree
            slots[Int(index)].isOpen = true
            return Token(index: index, generation: slots[Int(index)].generation)
        }
        precondition(slots.count < Int(UInt32.max) - 1, "more operations under way than tokens exist")
        unsafe slots.append(Slot(isOpen: true))
        return Token(index: UInt32(slots.count - 1), generation: 0)
    }

    /// Whether the token's operation is still under way.
    func contains(_ token: Token) -> Bool {
        let index = Int(token.index)
        return index < slots.count && (slots[index].isOpen && slots[index].generation == token.generation)
    }

    /// Remembers whom to resume.
    mutating func park(_ continuation: UnsafeContinuation<Outcome, Never>, on token: Token) {
        precondition(contains(token), "parked on an operation that has ended")
        unsafe slots[Int(token.index)].continuation = continuation
    }

    /// Remembers the timer that completes the operation.
    mutating func setTimer(_ timer: TimerID, on token: Token) {
        guard contains(token) else { return }
        slots[Int(token.index)].timer = timer
    }

    func timer(of token: Token) -> TimerID? {
        contains(token) ? slots[Int(token.index)].timer : nil
    }

    /// Closes the slot and returns who waits for it. The second call for the same token returns nil.
    mutating func close(_ token: Token) -> UnsafeContinuation<Outcome, Never>? {
        guard contains(token) else { return nil }
        let index = Int(token.index)
        let continuation = unsafe slots[index].continuation
        unsafe slots[index] = Slot(generation: token.generation &+ 1, nextFree: firstFree)
        firstFree = token.index
        count -= 1
        return unsafe continuation
    }

    /// The tokens of all operations under way.
    var openTokens: [Token] {
        slots.indices.compactMap { index in
            guard slots[index].isOpen else { return nil }
            return Token(index: UInt32(index), generation: slots[index].generation)
        }
    }
}
