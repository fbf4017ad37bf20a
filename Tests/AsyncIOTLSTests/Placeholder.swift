#if TLS
import Testing
#endif
