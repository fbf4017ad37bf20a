#if NIO
@_exported public import AsyncIO
#endif
