// How units of every section of DWARF begin (DWARF 5, 7.4): with their length, which also says how wide offsets are,
// and their version.
#pragma once
#include "bytes.h"

struct unit_start {
    /// The whole unit, and how far it has been read.
    struct reader reader;
    uint16_t version;
    uint8_t offset_size;
};

/// Reads the beginning of the unit at an offset. False if it does not lie within its section; `next` is the offset of
/// the next one, or 0.
static inline bool read_unit_start(struct bytes section, uint64_t offset, struct unit_start *start, uint64_t *next) {
    struct reader reader = {part(section, offset, section.size - offset)};
    *start = (struct unit_start){.offset_size = 4};
    *next = 0;
    uint64_t length = read_number(&reader, 4);
    if (length == 0xffffffff) {
        start->offset_size = 8;
        length = read_number(&reader, 8);
    }
    if (reader.has_failed || length > reader.bytes.size - reader.offset) return false;
    reader.bytes = part(section, offset, reader.offset + length);
    *next = offset + reader.bytes.size;
    start->version = read_number(&reader, 2);
    start->reader = reader;
    return !reader.has_failed;
}
