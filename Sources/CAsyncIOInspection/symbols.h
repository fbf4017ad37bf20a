// What is known of a file. See casyncioinspection.h.
#pragma once
#include "bytes.h"
#include "casyncioinspection.h"

/// A function, in a table sorted by address.
struct function {
    uint64_t address;
    uint32_t size;
    uint32_t name;
};

/// Where the compiler's line program can be taken up again, or, if the unit is NO_UNIT, that nothing is known from here
/// on. In a table sorted by address.
struct checkpoint {
    uint64_t address;
    uint32_t unit;
    uint32_t offset;
    uint32_t file;
    uint32_t line;
};
enum { NO_UNIT = UINT32_MAX };

struct casyncio_symbols {
    struct bytes file;
    bool is_mapped;
    /// Where code is to lie, of the first segments.
    struct code {
        uint64_t from, to;
    } code[16];
    size_t code_count;

    bool has_functions;
    struct bytes strings;
    struct function *functions;
    size_t function_count;

    bool has_lines;
    struct bytes line_section, line_strings, debug_strings;
    struct checkpoint *checkpoints;
    size_t checkpoint_count, checkpoint_capacity;
};

/// A section by its name; empty if there is none, or it is compressed.
struct bytes casyncio_section(const struct casyncio_symbols *symbols, const char *name);
/// Whether code of the file is to lie there.
bool casyncio_symbols_has_code(const struct casyncio_symbols *symbols, uint64_t address);
