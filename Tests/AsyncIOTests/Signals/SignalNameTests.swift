import AsyncIO
import Glibc
import Testing

@Suite("The name of a signal")
struct SignalNameTests {
    @Test("and its number lead to the same signal, for every one there is")
    func roundTrip() throws {
        let all = (-5...200).compactMap { Signal(rawValue: $0) }
        #expect(all.count == 31 + Int(__libc_current_sigrtmax() - __libc_current_sigrtmin()) + 1)
        for signal in all {
            #expect(Signal(signal.description) == signal)
            #expect(Signal("\(signal.rawValue)") == signal)
        }
        #expect(Set(all.map(\.description)).count == all.count)
    }

    @Test("is the kernel's, and read as kill(1) does")
    func names() {
        #expect(Signal.hangup.description == "SIGHUP" && Signal.windowChange.description == "SIGWINCH")
        #expect(Signal("term") == .terminate && Signal("SIGTERM") == .terminate && Signal("15") == .terminate)
        #expect(Signal.realTime(0)?.description == "SIGRTMIN" && Signal.realTime(3)?.description == "SIGRTMIN+3")
        #expect(Signal("RTMIN+3") == Signal.realTime(3))
        for nonsense in ["", "SIG", "SIGNAL", "0", "-1", "32", "65", "99999999999", "RTMIN+31", "RTMIN+-1"] {
            #expect(Signal(nonsense) == nil, "\(nonsense)")
        }
        #expect(Signal.realTime(-1) == nil && Signal.realTime(31) == nil && Signal.realTime(.max) == nil)
        #expect(Signal(rawValue: 0) == nil && Signal(rawValue: 33) == nil && Signal(rawValue: .min) == nil)
        #expect(Signal.interrupt < .terminate)
    }
}
