#if HTTP
@_exported public import AsyncIO
@_exported public import HTTPTypes
#endif
