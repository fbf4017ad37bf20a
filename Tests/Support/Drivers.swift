package import AsyncIOLoop
import Glibc

/// The drivers that every test of the loop runs on.
package enum Drivers {
    package static let available: [DriverChoice] = {
        let usable = DriverChoice.usable
        guard !usable.contains(.uring) else { return usable }
        print("io_uring is not to be had here: the tests run on epoll alone")
        // Programs that tests start would say the same, in the midst of what is expected of them.
        unsafe setenv("ASYNCIO_DRIVER", "epoll", 1)
        return usable
    }()
}
