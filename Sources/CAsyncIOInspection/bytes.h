// Reading bytes that nobody vouches for: a read beyond the end gives zeros and is remembered.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *start;
    size_t size;
};

/// A part; empty if it does not lie within.
static inline struct bytes part(struct bytes whole, uint64_t offset, uint64_t size) {
    if (offset > whole.size || size > whole.size - offset) return (struct bytes){0};
    return (struct bytes){whole.start + offset, size};
}

struct reader {
    struct bytes bytes;
    size_t offset;
    bool has_failed;
};

static inline uint64_t read_number(struct reader *reader, size_t size) {
    uint64_t number = 0;
    if (reader->has_failed || size > 8 || size > reader->bytes.size - reader->offset) {
        reader->has_failed = true;
        return 0;
    }
    memcpy(&number, reader->bytes.start + reader->offset, size);
    reader->offset += size;
    return number;
}

static inline void skip(struct reader *reader, uint64_t count) {
    if (reader->has_failed || count > reader->bytes.size - reader->offset) {
        reader->has_failed = true;
        return;
    }
    reader->offset += count;
}

/// Numbers of variable length (DWARF 5, 7.6). Bits above the 64th are dropped.
static inline uint64_t read_uleb(struct reader *reader) {
    uint64_t number = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = read_number(reader, 1);
        if (shift < 64) number |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return number;
    }
}

static inline int64_t read_sleb(struct reader *reader) {
    uint64_t number = 0;
    for (unsigned shift = 0;;) {
        uint8_t byte = read_number(reader, 1);
        if (shift < 64) number |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
        if (byte & 0x80) continue;
        if (shift < 64 && (byte & 0x40)) number |= ~(uint64_t)0 << shift;
        return (int64_t)number;
    }
}

/// A string that ends within the bytes; NULL if it does not.
static inline const char *string_at(struct bytes bytes, uint64_t offset) {
    if (offset >= bytes.size || memchr(bytes.start + offset, 0, bytes.size - offset) == NULL) return NULL;
    return (const char *)bytes.start + offset;
}

static inline const char *read_string(struct reader *reader) {
    const char *string = reader->has_failed ? NULL : string_at(reader->bytes, reader->offset);
    if (string == NULL) {
        reader->has_failed = true;
        return "";
    }
    reader->offset += strlen(string) + 1;
    return string;
}
