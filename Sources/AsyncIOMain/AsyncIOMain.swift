@_exported public import AsyncIO
import AsyncIOLoop
import CAsyncIOMain

// Importing this module puts a plain asynchronous `main` on an event loop:
//
//     import AsyncIOMain
//
//     @main struct Program {
//         static func main() async throws { … }
//     }
//
// A C constructor calls the function below when the program is loaded, before the first task exists.

@_cdecl("asyncio_main_take_over")
func takeOver() {
    casynciomain_link()
    MainProgram.takeOverAtLoad()
}
