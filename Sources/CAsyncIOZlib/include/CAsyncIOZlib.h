#ifndef CASYNCIO_ZLIB_H
#define CASYNCIO_ZLIB_H

// The system's zlib (RFC 1950 to 1952). Two of its calls are macros, which Swift does not see.

// What is read stays as it is.
#define ZLIB_CONST
#include <zlib.h>

static inline int casyncio_deflate_init(z_stream *stream, int level, int window_bits, int memory_level) {
    return deflateInit2(stream, level, Z_DEFLATED, window_bits, memory_level, Z_DEFAULT_STRATEGY);
}

static inline int casyncio_inflate_init(z_stream *stream, int window_bits) {
    return inflateInit2(stream, window_bits);
}

#endif
