#if TLS
@_exported public import AsyncIO
#endif
