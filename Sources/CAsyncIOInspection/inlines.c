// What the optimizer has put into other functions: DWARF's tree of entries, versions 2 to 4, which is what Swift's
// compiler writes (DWARF 4, 3.3.8 and 7.5).
//
// The tree is large, and little of it is asked for. So only the unit that an address belongs to is read, once, which
// leaves a table of the functions that were put into others.
#include "dwarf_unit.h"
#include "symbols.h"

#include <stdlib.h>

// The numbers of DWARF 4, 7.5.
enum {
    DW_TAG_inlined_subroutine = 0x1d,
    DW_TAG_subprogram = 0x2e,
    DW_AT_stmt_list = 0x10,
    DW_AT_low_pc = 0x11,
    DW_AT_high_pc = 0x12,
    DW_AT_abstract_origin = 0x31,
    DW_AT_specification = 0x47,
    DW_AT_ranges = 0x55,
    DW_AT_call_file = 0x58,
    DW_AT_call_line = 0x59,
    DW_AT_linkage_name = 0x6e,
    DW_FORM_addr = 0x01,
    DW_FORM_block2 = 0x03,
    DW_FORM_block4,
    DW_FORM_data2,
    DW_FORM_data4,
    DW_FORM_data8,
    DW_FORM_string,
    DW_FORM_block,
    DW_FORM_block1,
    DW_FORM_data1,
    DW_FORM_flag,
    DW_FORM_sdata,
    DW_FORM_strp,
    DW_FORM_udata,
    DW_FORM_ref_addr,
    DW_FORM_ref1,
    DW_FORM_ref2,
    DW_FORM_ref4,
    DW_FORM_ref8,
    DW_FORM_ref_udata,
    DW_FORM_sec_offset = 0x17,
    DW_FORM_exprloc,
    DW_FORM_flag_present,
    DW_FORM_ref_sig8 = 0x20,
};

enum { MOST_RANGES = 1 << 20, MOST_INLINED = 16 };

// A file that says the same in many places could keep us for hours. Of honest ones, every byte is read a few times.
static const uint64_t most_work = 1 << 30;

/// False if enough has been read.
static bool work(struct casyncio_symbols *symbols, uint64_t amount) {
    symbols->work += amount;
    return symbols->work <= most_work;
}

/// A unit of .debug_info.
struct info_unit {
    struct bytes bytes;
    uint64_t offset;
    uint8_t offset_size;
    uint64_t abbreviations;
    /// Where its first entry stands.
    size_t first;
    /// What its ranges are relative to.
    uint64_t base;
};

/// What an entry looks like, by its code.
struct abbreviation {
    uint64_t tag;
    bool has_children;
    size_t attributes;
};
struct abbreviations {
    struct bytes section;
    struct abbreviation *entries;
    size_t count;
};

/// What is of interest in an entry.
struct entry {
    uint64_t tag;
    bool has_children, has_low, has_ranges, high_is_size;
    uint64_t low, high, ranges;
    /// From the beginning of .debug_info; 0 if there is none.
    uint64_t origin;
    const char *linkage_name;
    uint32_t call_file, call_line;
    uint64_t line_program;
};

static bool open_unit(struct bytes section, uint64_t offset, struct info_unit *unit, uint64_t *next) {
    struct unit_start start;
    if (!read_unit_start(section, offset, &start, next) || start.version < 2 || start.version > 4) return false;
    struct reader reader = start.reader;
    *unit = (struct info_unit){.bytes = reader.bytes, .offset = offset, .offset_size = start.offset_size};
    unit->abbreviations = read_number(&reader, unit->offset_size);
    uint64_t address_size = read_number(&reader, 1);
    unit->first = reader.offset;
    return !reader.has_failed && address_size == 8;
}

// MARK: Entries

static bool load_abbreviations(struct casyncio_symbols *symbols, uint64_t offset, struct abbreviations *abbreviations) {
    struct bytes section = symbols->abbreviations_section;
    size_t capacity = 0;
    *abbreviations = (struct abbreviations){.section = section};
    struct reader reader = {section, offset > section.size ? section.size : offset};
    while (!reader.has_failed) {
        uint64_t code = read_uleb(&reader);
        if (code == 0) break;
        // Compilers count them. Others would be understood, and are not met.
        if (code != abbreviations->count + 1) break;
        if (abbreviations->count == capacity) {
            capacity = capacity == 0 ? 256 : capacity * 2;
            void *grown = realloc(abbreviations->entries, capacity * sizeof abbreviations->entries[0]);
            if (grown == NULL) break;
            abbreviations->entries = grown;
        }
        struct abbreviation *abbreviation = &abbreviations->entries[abbreviations->count++];
        abbreviation->tag = read_uleb(&reader);
        abbreviation->has_children = read_number(&reader, 1) != 0;
        abbreviation->attributes = reader.offset;
        while (!reader.has_failed) {
            uint64_t name = read_uleb(&reader), form = read_uleb(&reader);
            if (name == 0 && form == 0) break;
        }
    }
    if (abbreviations->count > 0 && work(symbols, reader.offset - offset)) return true;
    free(abbreviations->entries);
    *abbreviations = (struct abbreviations){0};
    return false;
}

static uint64_t read_form(struct casyncio_symbols *symbols, const struct info_unit *unit, struct reader *reader,
                          uint64_t form, const char **string) {
    switch (form) {
    case DW_FORM_addr:
    case DW_FORM_data8:
    case DW_FORM_ref_sig8: return read_number(reader, 8);
    case DW_FORM_data1:
    case DW_FORM_flag: return read_number(reader, 1);
    case DW_FORM_data2: return read_number(reader, 2);
    case DW_FORM_data4: return read_number(reader, 4);
    case DW_FORM_sdata: return (uint64_t)read_sleb(reader);
    case DW_FORM_udata: return read_uleb(reader);
    case DW_FORM_ref1: return unit->offset + read_number(reader, 1);
    case DW_FORM_ref2: return unit->offset + read_number(reader, 2);
    case DW_FORM_ref4: return unit->offset + read_number(reader, 4);
    case DW_FORM_ref8: return unit->offset + read_number(reader, 8);
    case DW_FORM_ref_udata: return unit->offset + read_uleb(reader);
    case DW_FORM_ref_addr:
    case DW_FORM_sec_offset: return read_number(reader, unit->offset_size);
    case DW_FORM_strp: *string = string_at(symbols->debug_strings, read_number(reader, unit->offset_size)); return 0;
    case DW_FORM_string: *string = read_string(reader); return 0;
    case DW_FORM_block1: skip(reader, read_number(reader, 1)); return 0;
    case DW_FORM_block2: skip(reader, read_number(reader, 2)); return 0;
    case DW_FORM_block4: skip(reader, read_number(reader, 4)); return 0;
    case DW_FORM_block:
    case DW_FORM_exprloc: skip(reader, read_uleb(reader)); return 0;
    case DW_FORM_flag_present: return 1;
    default: reader->has_failed = true; return 0;
    }
}

/// Reads the next entry. False at the end; an entry without a tag ends a list of children.
static bool read_entry(struct casyncio_symbols *symbols, const struct info_unit *unit,
                       const struct abbreviations *abbreviations, struct reader *reader, struct entry *entry) {
    *entry = (struct entry){0};
    if (reader->offset >= unit->bytes.size) return false;
    uint64_t code = read_uleb(reader);
    if (reader->has_failed || code > abbreviations->count) return false;
    if (code == 0) return true;
    const struct abbreviation *abbreviation = &abbreviations->entries[code - 1];
    entry->tag = abbreviation->tag;
    entry->has_children = abbreviation->has_children;
    struct reader attributes = {abbreviations->section, abbreviation->attributes};
    while (!reader->has_failed) {
        uint64_t name = read_uleb(&attributes), form = read_uleb(&attributes);
        if (attributes.has_failed) return false;
        if (name == 0 && form == 0) return true;
        const char *string = NULL;
        uint64_t value = read_form(symbols, unit, reader, form, &string);
        switch (name) {
        case DW_AT_low_pc: entry->low = value, entry->has_low = true; break;
        case DW_AT_high_pc: entry->high = value, entry->high_is_size = form != DW_FORM_addr; break;
        case DW_AT_ranges: entry->ranges = value, entry->has_ranges = true; break;
        case DW_AT_abstract_origin:
        case DW_AT_specification: entry->origin = value; break;
        case DW_AT_linkage_name: entry->linkage_name = string; break;
        case DW_AT_call_file: entry->call_file = (uint32_t)value; break;
        case DW_AT_call_line: entry->call_line = (uint32_t)value; break;
        case DW_AT_stmt_list: entry->line_program = value; break;
        }
    }
    return false;
}

// MARK: Ranges

typedef bool (*range_visitor)(void *context, uint64_t from, uint64_t to);

/// Visits the addresses of an entry, until the visitor says no.
static void visit_ranges(struct casyncio_symbols *symbols, const struct info_unit *unit,
                         const struct entry *entry, range_visitor visit, void *context) {
    if (entry->has_low && !entry->has_ranges) {
        uint64_t high = entry->high_is_size ? entry->low + entry->high : entry->high;
        if (high > entry->low) visit(context, entry->low, high);
        return;
    }
    if (!entry->has_ranges || entry->ranges > symbols->ranges_section.size) return;
    struct reader reader = {symbols->ranges_section, entry->ranges};
    uint64_t base = unit->base;
    while (!reader.has_failed) {
        uint64_t from = read_number(&reader, 8), to = read_number(&reader, 8);
        if (reader.has_failed || (from == 0 && to == 0) || !work(symbols, 16)) return;
        if (from == UINT64_MAX)
            base = to;
        else if (to > from && !visit(context, base + from, base + to))
            return;
    }
}

struct collection {
    struct unit_table *table;
    size_t capacity;
    uint32_t entry;
};

static bool collect(void *context, uint64_t from, uint64_t to) {
    struct collection *collection = context;
    struct unit_table *table = collection->table;
    if (from == 0 || to - from > UINT32_MAX) return true;
    if (table->count == collection->capacity) {
        size_t capacity = collection->capacity == 0 ? 256 : collection->capacity * 2;
        if (capacity > MOST_RANGES) return false;
        void *grown = realloc(table->ranges, capacity * sizeof table->ranges[0]);
        if (grown == NULL) return false;
        table->ranges = grown;
        collection->capacity = capacity;
    }
    table->ranges[table->count++] = (struct inline_range){from, (uint32_t)(to - from), collection->entry};
    return true;
}

// MARK: Units

/// Reads all entries of a unit: its functions and what lies within them, in the order of the file, outer ones first.
static void fill(struct casyncio_symbols *symbols, struct unit_table *table, const struct info_unit *unit,
                 const struct abbreviations *abbreviations) {
    struct reader reader = {unit->bytes, unit->first};
    struct collection collection = {table};
    struct entry entry;
    while (true) {
        collection.entry = (uint32_t)reader.offset;
        if (!read_entry(symbols, unit, abbreviations, &reader, &entry)) return;
        if (entry.tag == DW_TAG_inlined_subroutine) visit_ranges(symbols, unit, &entry, collect, &collection);
    }
}

/// Notes which units have code where. Their first entries tell it.
static void collect_units(struct casyncio_symbols *symbols) {
    struct collection collection = {&symbols->roots};
    for (uint64_t offset = 0, next = 0; offset < symbols->info_section.size; offset = next) {
        struct info_unit unit;
        struct entry root;
        struct abbreviations abbreviations = {0};
        if (open_unit(symbols->info_section, offset, &unit, &next) &&
            load_abbreviations(symbols, unit.abbreviations, &abbreviations)) {
            struct reader reader = {unit.bytes, unit.first};
            collection.entry = (uint32_t)offset;
            if (read_entry(symbols, &unit, &abbreviations, &reader, &root)) {
                unit.base = root.low;
                visit_ranges(symbols, &unit, &root, collect, &collection);
            }
        }
        free(abbreviations.entries);
        if (next <= offset) return;
    }
}

/// The unit with code at an address, with its first entry read.
static bool find_unit(struct casyncio_symbols *symbols, uint64_t address, struct info_unit *unit,
                      struct abbreviations *abbreviations, struct entry *root) {
    uint64_t next;
    for (size_t i = 0; i < symbols->roots.count; i++) {
        const struct inline_range *range = &symbols->roots.ranges[i];
        if (address - range->from >= range->size) continue;
        if (!open_unit(symbols->info_section, range->entry, unit, &next) ||
            !load_abbreviations(symbols, unit->abbreviations, abbreviations))
            return false;
        struct reader reader = {unit->bytes, unit->first};
        bool is_read = read_entry(symbols, unit, abbreviations, &reader, root);
        unit->base = root->low;
        if (!is_read) free(abbreviations->entries);
        return is_read;
    }
    return false;
}

static struct unit_table *table_of(struct casyncio_symbols *symbols, const struct info_unit *unit,
                                   const struct abbreviations *abbreviations) {
    for (struct unit_table *table = symbols->units; table != NULL; table = table->next)
        if (table->unit == unit->offset) return table;
    struct unit_table *table = calloc(1, sizeof *table);
    if (table == NULL) return NULL;
    table->unit = unit->offset;
    table->next = symbols->units;
    symbols->units = table;
    fill(symbols, table, unit, abbreviations);
    return table;
}

static void load_sections(struct casyncio_symbols *symbols) {
    if (symbols->has_entries) return;
    symbols->has_entries = true;
    symbols->info_section = casyncio_section(symbols, ".debug_info");
    symbols->abbreviations_section = casyncio_section(symbols, ".debug_abbrev");
    symbols->ranges_section = casyncio_section(symbols, ".debug_ranges");
    symbols->debug_strings = casyncio_section(symbols, ".debug_str");
    if (symbols->info_section.size < UINT32_MAX) collect_units(symbols);
}

/// The compiler's name of the function that an entry stands for. It may be told by another entry.
static const char *name_of(struct casyncio_symbols *symbols, const struct info_unit *unit,
                           const struct abbreviations *abbreviations, const struct entry *entry) {
    const char *name = entry->linkage_name;
    uint64_t origin = entry->origin;
    for (int i = 0; i < 4 && name == NULL && origin > unit->offset; i++) {
        struct entry other;
        struct reader reader = {unit->bytes, origin - unit->offset};
        if (reader.offset >= unit->bytes.size || !read_entry(symbols, unit, abbreviations, &reader, &other))
            return NULL;
        name = other.linkage_name;
        origin = other.origin;
    }
    return name;
}

size_t casyncio_symbols_inlined(struct casyncio_symbols *symbols, uint64_t address, struct casyncio_inlined *inlined,
                                size_t capacity) {
    struct info_unit unit;
    struct abbreviations abbreviations;
    struct entry root;
    load_sections(symbols);
    if (!find_unit(symbols, address, &unit, &abbreviations, &root)) return 0;
    const struct unit_table *table = table_of(symbols, &unit, &abbreviations);
    struct inline_range found[MOST_INLINED];
    size_t count = 0, used = 0;
    for (size_t i = 0; table != NULL && i < table->count && count < MOST_INLINED; i++) {
        const struct inline_range *range = &table->ranges[i];
        if (address - range->from < range->size) found[count++] = *range;
    }
    // The innermost one stands last.
    for (size_t i = 0; i < count && used < capacity; i++) {
        struct entry entry;
        struct reader reader = {unit.bytes, found[count - 1 - i].entry};
        if (!read_entry(symbols, &unit, &abbreviations, &reader, &entry)) break;
        const char *name = name_of(symbols, &unit, &abbreviations, &entry);
        if (name == NULL) name = "";
        inlined[used].name = name;
        inlined[used].called_from.address_count = 0;
        inlined[used].called_from.line = entry.call_line;
        if (!casyncio_symbols_file(symbols, root.line_program, entry.call_file, inlined[used].called_from.file,
                                   sizeof inlined[used].called_from.file))
            inlined[used].called_from.line = 0;
        used++;
    }
    free(abbreviations.entries);
    return used;
}

void casyncio_symbols_free_units(struct casyncio_symbols *symbols) {
    while (symbols->units != NULL) {
        struct unit_table *table = symbols->units;
        symbols->units = table->next;
        free(table->ranges);
        free(table);
    }
    free(symbols->roots.ranges);
}
