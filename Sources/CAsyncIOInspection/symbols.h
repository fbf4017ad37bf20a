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

/// Where a function lies that was put into another one, and the entry that tells of it, in its unit.
struct inline_range {
    uint64_t from;
    uint32_t size;
    uint32_t entry;
};

/// The inlined functions of a unit, outer ones before inner ones.
struct unit_table {
    struct unit_table *next;
    uint64_t unit;
    struct inline_range *ranges;
    size_t count;
};

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

    bool has_entries;
    struct bytes info_section, abbreviations_section, ranges_section;
    /// Which units have code where; their offsets stand for the entries.
    struct unit_table roots;
    struct unit_table *units;
    /// How many bytes were read for them so far.
    uint64_t work;
};

/// A section by its name; empty if there is none, or it is compressed.
struct bytes casyncio_section(const struct casyncio_symbols *symbols, const char *name);
/// Whether code of the file is to lie there.
bool casyncio_symbols_has_code(const struct casyncio_symbols *symbols, uint64_t address);
/// The path of a file by its number in a line program.
bool casyncio_symbols_file(struct casyncio_symbols *symbols, uint64_t line_program, uint32_t file, char *into,
                           size_t capacity);
void casyncio_symbols_free_units(struct casyncio_symbols *symbols);
