/// How a simulation fails, apart from the errors of its body.
public enum SimulationError: Error, Hashable, CustomStringConvertible {
    /// Nothing can happen any more, and the body has not ended. What each task waits for.
    case deadlock([String])
    /// The body has not ended within the simulation's time limit. What each task waits for.
    case outOfTime(Duration, [String])
    /// Tasks have waited at a lock, a queue or the like for longer than ``Simulation/stuckAfter``: which, and where.
    case stuck(Duration, [String])
    /// The tasks have run so many times without time going on: they wake each other.
    case spins(turns: Int, [String])
    /// The code under test has asked for what is not simulated.
    case notSimulated(String)
    /// The host has crashed, or was shut down.
    case hostIsDown(String)
    /// What a host runs has thrown an error.
    case programFailed(host: String, program: String, String)
    /// An error on a host that nobody awaits.
    case unhandled(host: String, String)
    /// Two hosts with one name or address.
    case taken(String)
    /// A check of the scenario's own: ``World/check(_:_:)``.
    case checkFailed(String)

    /// What went wrong, in some lines.
    public var description: String {
        switch self {
        case .deadlock(let waits): "deadlock: nothing can happen any more\(Self.list(waits))"
        case .outOfTime(let limit, let waits):
            "the body has not ended after \(limit) of simulated time\(Self.list(waits))"
        case .stuck(let limit, let waits):
            "tasks have waited for \(limit) of simulated time, and more than that is too long\(Self.list(waits))"
        case .spins(let turns, let waits): "\(turns) turns without time going on\(Self.list(waits))"
        case .notSimulated(let call):
            "\(call) is not simulated; do it outside of the simulation, or put a double in its place"
        case .hostIsDown(let host): "the host \(host) is down"
        case .programFailed(let host, let program, let error): "\(program) on \(host) has failed: \(error)"
        case .unhandled(let host, let error): "on \(host), unhandled: \(error)"
        case .taken(let what): "\(what) is taken in this world; choose another one"
        case .checkFailed(let what): what
        }
    }

    private static func list(_ waits: [String]) -> String {
        waits.isEmpty ? "" : ":\n" + waits.map { "  \($0)" }.joined(separator: "\n")
    }
}
