import CAsyncIOInspection
import Glibc

// A C constructor calls the function below when the program is loaded, if its environment asks for inspection.

@_cdecl("asyncio_inspection_start")
func startAsTheEnvironmentSays() {
    casyncio_inspection_link()
    // Debug mode alone opens no door.
    var options = Inspection.Options(socket: unsafe casyncio_environment_has("ASYNCIO_INSPECT"))
    if unsafe casyncio_environment_has("ASYNCIO_DEBUG") { options.debug = Inspection.DebugOptions() }
    Inspection.start(options)
    if unsafe casyncio_environment_has("ASYNCIO_TRACE"), let path = unsafe getenv("ASYNCIO_TRACE") {
        TraceFile.begin(unsafe String(cString: path))
    }
}
