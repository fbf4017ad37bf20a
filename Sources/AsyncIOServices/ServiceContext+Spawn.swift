#if Services
import AsyncIO
import AsyncIOLoop
public import ServiceContextModule

extension ServiceContext {
    /// From now on, background tasks (`loop.spawn`, `loop.submit`) take the caller's `ServiceContext` along, and with
    /// it the trace that they belong to. For the whole process; a second call changes nothing.
    ///
    /// Child tasks and `loop.offload` have it without this: they are part of the task, or run in it.
    public static func isCarriedBySpawn() {
        SpawnContext.capture {
            guard let context = ServiceContext.current else { return nil }
            return SpawnContext { body in await ServiceContext.withValue(context) { await body() } }
        }
    }
}
#endif
