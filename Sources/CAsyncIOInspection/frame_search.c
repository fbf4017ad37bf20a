#define _GNU_SOURCE
#include "frame_reader.h"
#include "frame_rules.h"

#include <dlfcn.h>
#include <link.h>

/// A pointer in one of the encodings that compilers use: DW_EH_PE_*. Relative to its own place, or absolute.
static uint64_t encoded(struct reader *reader, uint8_t encoding, bool is_size) {
    uint64_t place = (uint64_t)(uintptr_t)reader->at, value;
    switch (encoding & 0x0f) {
    case 0x00: case 0x04: case 0x0c: value = fixed(reader, 8); break;
    case 0x02: value = fixed(reader, 2); break;
    case 0x03: value = fixed(reader, 4); break;
    case 0x0a: value = (uint64_t)(int64_t)(int16_t)fixed(reader, 2); break;
    case 0x0b: value = (uint64_t)(int64_t)(int32_t)fixed(reader, 4); break;
    case 0x01: value = unsigned_number(reader); break;
    case 0x09: value = (uint64_t)signed_number(reader); break;
    default: reader->failed = true; return 0;
    }
    if (is_size) return value;
    if ((encoding & 0x70) == 0x10) value += place;
    else if ((encoding & 0x70) != 0) reader->failed = true;
    return value;
}

#ifndef DLFO_STRUCT_HAS_EH_DBASE
struct search {
    uint64_t address;
    const uint8_t *header;
};

static int look(struct dl_phdr_info *info, size_t size, void *data) {
    (void)size;
    struct search *search = data;
    bool is_here = false;
    const uint8_t *header = NULL;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uint64_t start = info->dlpi_addr + part->p_vaddr;
        if (part->p_type == PT_LOAD && search->address - start < part->p_memsz) is_here = true;
        if (part->p_type == PT_GNU_EH_FRAME) header = (const uint8_t *)(uintptr_t)start;
    }
    if (is_here) search->header = header;
    return is_here;
}
#endif

static const uint8_t *header_of(uint64_t address) {
#ifdef DLFO_STRUCT_HAS_EH_DBASE
    // Where the C library has it (glibc 2.35): it takes no lock, and so need not wait for a thread that is just loading
    // a library.
    struct dl_find_object object;
    if (_dl_find_object((void *)(uintptr_t)address, &object) != 0) return NULL;
    return object.dlfo_eh_frame;
#else
    struct search search = {address, NULL};
    dl_iterate_phdr(look, &search);
    return search.header;
#endif
}

static bool read_common(const uint8_t *entry, struct casyncio_function *function, uint8_t *encoding, bool *augmented) {
    struct reader reader = {entry, entry + 4, false};
    uint64_t length = fixed(&reader, 4);
    if (length == 0 || length == 0xffffffff) return false;
    reader.end = entry + 4 + length;
    if (fixed(&reader, 4) != 0) return false;
    uint64_t version = fixed(&reader, 1);
    if (version != 1 && version != 3) return false;
    const char *letters = (const char *)reader.at;
    while (fixed(&reader, 1) != 0 && !reader.failed) {}
    function->code_alignment = unsigned_number(&reader);
    function->data_alignment = signed_number(&reader);
    function->return_register = version == 1 ? fixed(&reader, 1) : unsigned_number(&reader);
    *encoding = 0;
    *augmented = letters[0] == 'z';
    function->is_signal = false;
    if (*augmented) {
        uint64_t size = unsigned_number(&reader);
        if (reader.failed || size > (uint64_t)(reader.end - reader.at)) return false;
        struct reader inner = {reader.at, reader.at + size, false};
        reader.at += size;
        for (const char *letter = letters + 1; *letter != 0; letter++) {
            switch (*letter) {
            case 'R': *encoding = (uint8_t)fixed(&inner, 1); break;
            case 'L': fixed(&inner, 1); break;
            case 'P': {
                uint8_t kind = (uint8_t)fixed(&inner, 1);
                encoded(&inner, kind & 0x0f, true);
                break;
            }
            case 'S': function->is_signal = true; break;
            case 'B': break;
            default: return false;
            }
        }
        if (inner.failed) return false;
    } else if (letters[0] != 0) {
        return false;
    }
    function->common = reader.at;
    function->common_end = reader.end;
    return !reader.failed && function->return_register < CASYNCIO_REGISTERS;
}

static bool read_entry(const uint8_t *entry, uint64_t address, struct casyncio_function *function) {
    struct reader reader = {entry, entry + 4, false};
    uint64_t length = fixed(&reader, 4);
    if (length == 0 || length == 0xffffffff) return false;
    reader.end = entry + 4 + length;
    const uint8_t *place = reader.at;
    uint64_t distance = fixed(&reader, 4);
    uint8_t encoding;
    bool augmented;
    if (distance == 0 || !read_common(place - distance, function, &encoding, &augmented)) return false;
    function->start = encoded(&reader, encoding, false);
    function->end = function->start + encoded(&reader, encoding, true);
    if (augmented) {
        uint64_t size = unsigned_number(&reader);
        if (reader.failed || size > (uint64_t)(reader.end - reader.at)) return false;
        reader.at += size;
    }
    function->own = reader.at;
    function->own_end = reader.end;
    return !reader.failed && address >= function->start && address < function->end;
}

bool casyncio_find_function(uint64_t address, struct casyncio_function *function) {
    const uint8_t *header = header_of(address);
    // The table that every linker writes: distances of 32 bits from the header, sorted.
    if (header == NULL || header[0] != 1 || header[2] != 0x03 || header[3] != 0x3b) return false;
    struct reader reader = {header + 4, header + 32, false};
    encoded(&reader, header[1], false);
    uint64_t count = fixed(&reader, 4);
    if (reader.failed || count == 0) return false;
    const uint8_t *table = reader.at;
    uint64_t low = 0, high = count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int32_t start;
        memcpy(&start, table + middle * 8, 4);
        if ((uint64_t)(uintptr_t)header + (uint64_t)(int64_t)start <= address) low = middle + 1;
        else high = middle;
    }
    if (low == 0) return false;
    int32_t entry;
    memcpy(&entry, table + (low - 1) * 8 + 4, 4);
    return read_entry(header + entry, address, function);
}
