#if HTTP
@_exported public import AsyncIO
#endif
