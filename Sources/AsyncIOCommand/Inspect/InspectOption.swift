import ArgumentParser
import AsyncIOInspection

/// `--inspect`, of the commands that go on for a while.
struct InspectOption: ParsableArguments {
    @Flag(help: "Let asyncio ps, pstree, top and trace look inside; ASYNCIO_INSPECT=1 does the same.")
    var inspect = false

    /// Called before the loop begins.
    func apply() {
        if inspect { Inspection.start(Inspection.Options(socket: true)) }
    }
}
