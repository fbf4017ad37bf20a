// What line of what file code was made from: DWARF's line programs, versions 2 to 5 (DWARF 5, 6.2).
//
// A program has hundreds of thousands of lines, and few are asked for. So the line programs are run once, which leaves
// a checkpoint for every hundred rows; a question runs one of them from the checkpoint before its address.
#include "dwarf_unit.h"
#include "symbols.h"

#include <stdlib.h>

enum { ROWS_PER_CHECKPOINT = 100, MOST_CHECKPOINTS = 4 << 20 };

// The numbers of DWARF 5, 7.22 and 7.5.6.
enum {
    DW_LNS_copy = 1,
    DW_LNS_advance_pc,
    DW_LNS_advance_line,
    DW_LNS_set_file,
    DW_LNS_set_column,
    DW_LNS_negate_stmt,
    DW_LNS_set_basic_block,
    DW_LNS_const_add_pc,
    DW_LNS_fixed_advance_pc,
    DW_LNE_end_sequence = 1,
    DW_LNE_set_address,
    DW_LNCT_path = 1,
    DW_LNCT_directory_index,
    DW_FORM_block2 = 0x03,
    DW_FORM_block4,
    DW_FORM_data2,
    DW_FORM_data4,
    DW_FORM_data8,
    DW_FORM_string,
    DW_FORM_block,
    DW_FORM_block1,
    DW_FORM_data1,
    DW_FORM_sdata = 0x0d,
    DW_FORM_strp,
    DW_FORM_udata,
    DW_FORM_data16 = 0x1e,
    DW_FORM_line_strp,
};

static void load(struct casyncio_symbols *symbols);

// MARK: A unit's header

/// The program of one unit.
struct unit {
    struct bytes bytes;
    uint16_t version;
    uint8_t offset_size, address_size;
    uint8_t least_instruction, line_range, opcode_base;
    int8_t line_base;
    uint8_t operands[256];
    /// Where its tables of folders and files begin, and its program.
    size_t tables, program;
};

/// Reads the header at an offset. False if it cannot be understood; `next` is the offset of the next one, or 0.
static bool open_unit(struct bytes section, size_t offset, struct unit *unit, uint64_t *next) {
    struct unit_start start;
    if (!read_unit_start(section, offset, &start, next) || start.version < 2 || start.version > 5) return false;
    struct reader reader = start.reader;
    *unit = (struct unit){
        .bytes = reader.bytes, .version = start.version, .offset_size = start.offset_size, .address_size = 8};
    if (unit->version >= 5) {
        unit->address_size = read_number(&reader, 1);
        if (read_number(&reader, 1) != 0) return false;
    }
    uint64_t header_length = read_number(&reader, unit->offset_size);
    if (reader.has_failed || header_length > reader.bytes.size - reader.offset) return false;
    unit->program = reader.offset + header_length;
    unit->least_instruction = read_number(&reader, 1);
    // More than one operation in an instruction: no machine of ours.
    if (unit->version >= 4 && read_number(&reader, 1) != 1) return false;
    skip(&reader, 1);
    unit->line_base = (int8_t)read_number(&reader, 1);
    unit->line_range = read_number(&reader, 1);
    unit->opcode_base = read_number(&reader, 1);
    for (unsigned i = 1; i < unit->opcode_base; i++) unit->operands[i] = read_number(&reader, 1);
    unit->tables = reader.offset;
    return !reader.has_failed && unit->line_range != 0 && unit->opcode_base != 0 && unit->address_size == 8;
}

// MARK: Files

static const char *string_in(struct bytes strings, uint64_t offset) {
    const char *string = string_at(strings, offset);
    return string == NULL ? "" : string;
}

/// An entry of a table of version 5: what the formats before it say is read, the rest passed over.
static void read_entry(const struct casyncio_symbols *symbols, const struct unit *unit, struct reader *reader,
                       struct reader formats, unsigned format_count, const char **path, uint64_t *folder) {
    for (unsigned i = 0; i < format_count; i++) {
        uint64_t content = read_uleb(&formats), form = read_uleb(&formats), number = 0;
        const char *string = NULL;
        switch (form) {
        case DW_FORM_string: string = read_string(reader); break;
        case DW_FORM_line_strp:
            string = string_in(symbols->line_strings, read_number(reader, unit->offset_size));
            break;
        case DW_FORM_strp: string = string_in(symbols->debug_strings, read_number(reader, unit->offset_size)); break;
        case DW_FORM_data1: number = read_number(reader, 1); break;
        case DW_FORM_data2: number = read_number(reader, 2); break;
        case DW_FORM_data4: number = read_number(reader, 4); break;
        case DW_FORM_data8: number = read_number(reader, 8); break;
        case DW_FORM_data16: skip(reader, 16); break;
        case DW_FORM_udata: number = read_uleb(reader); break;
        case DW_FORM_sdata: number = (uint64_t)read_sleb(reader); break;
        case DW_FORM_block1: skip(reader, read_number(reader, 1)); break;
        case DW_FORM_block2: skip(reader, read_number(reader, 2)); break;
        case DW_FORM_block4: skip(reader, read_number(reader, 4)); break;
        case DW_FORM_block: skip(reader, read_uleb(reader)); break;
        default: reader->has_failed = true;
        }
        if (content == DW_LNCT_path && string != NULL) *path = string;
        if (content == DW_LNCT_directory_index) *folder = number;
    }
}

/// Finds an entry of a table of version 5, and passes over the table if there is none with this number.
static bool find_entry(const struct casyncio_symbols *symbols, const struct unit *unit, struct reader *reader,
                       uint64_t wanted, const char **path, uint64_t *folder) {
    unsigned format_count = read_number(reader, 1);
    struct reader formats = *reader;
    for (unsigned i = 0; i < 2 * format_count; i++) read_uleb(reader);
    uint64_t count = read_uleb(reader);
    // An entry takes a byte at least: then this ends with the bytes.
    if (format_count == 0) count = 0;
    for (uint64_t i = 0; i < count && !reader->has_failed; i++) {
        size_t began = reader->offset;
        read_entry(symbols, unit, reader, formats, format_count, path, folder);
        if (i == wanted) return !reader->has_failed;
        if (reader->offset == began) reader->has_failed = true;
    }
    return false;
}

static bool find_file_5(const struct casyncio_symbols *symbols, const struct unit *unit, uint32_t file,
                        const char **path, const char **folder) {
    struct reader folders = {unit->bytes, unit->tables};
    struct reader files = folders;
    uint64_t number = 0, unused = 0;
    const char *unused_path = "";
    find_entry(symbols, unit, &files, UINT64_MAX, &unused_path, &unused);
    if (!find_entry(symbols, unit, &files, file, path, &number)) return false;
    find_entry(symbols, unit, &folders, number, folder, &unused);
    return true;
}

static bool find_file_4(const struct unit *unit, uint32_t file, const char **path, const char **folder) {
    struct reader reader = {unit->bytes, unit->tables};
    while (!reader.has_failed && read_string(&reader)[0] != 0) {}
    // The first one is number 1, of folders, too: folder 0 is the compiler's own, which stands elsewhere.
    for (uint32_t i = 1; !reader.has_failed; i++) {
        const char *name = read_string(&reader);
        if (name[0] == 0) return false;
        uint64_t number = read_uleb(&reader);
        read_uleb(&reader);
        read_uleb(&reader);
        if (i != file) continue;
        *path = name;
        struct reader folders = {unit->bytes, unit->tables};
        for (uint64_t j = 1; j <= number && !folders.has_failed; j++) {
            const char *found = read_string(&folders);
            if (found[0] == 0) break;
            if (j == number) *folder = found;
        }
        return !reader.has_failed;
    }
    return false;
}

static bool find_file(const struct casyncio_symbols *symbols, const struct unit *unit, uint32_t file, char *into,
                      size_t capacity) {
    const char *path = "", *folder = "";
    bool is_found = unit->version >= 5 ? find_file_5(symbols, unit, file, &path, &folder)
                                       : find_file_4(unit, file, &path, &folder);
    if (!is_found || path[0] == 0) return false;
    size_t used = 0, length = strlen(folder);
    if (path[0] != '/' && length > 0 && length + 2 < capacity) {
        memcpy(into, folder, length);
        used = length;
        if (into[used - 1] != '/') into[used++] = '/';
    }
    length = strlen(path);
    if (length >= capacity - used) return false;
    memcpy(into + used, path, length + 1);
    return true;
}

bool casyncio_symbols_file(struct casyncio_symbols *symbols, uint64_t line_program, uint32_t file, char *into,
                           size_t capacity) {
    struct unit unit;
    uint64_t next;
    load(symbols);
    return line_program < symbols->line_section.size &&
           open_unit(symbols->line_section, line_program, &unit, &next) &&
           find_file(symbols, &unit, file, into, capacity);
}

// MARK: Programs

struct row {
    uint64_t address;
    uint32_t file, line;
    bool ends_sequence;
};

/// Runs a program up to its next row. False at its end.
static bool next_row(const struct unit *unit, struct reader *reader, struct row *row) {
    if (row->ends_sequence) *row = (struct row){.file = 1, .line = 1};
    while (!reader->has_failed && reader->offset < unit->bytes.size) {
        uint8_t opcode = read_number(reader, 1);
        if (opcode >= unit->opcode_base) {
            uint8_t adjusted = opcode - unit->opcode_base;
            row->address += (uint64_t)(adjusted / unit->line_range) * unit->least_instruction;
            row->line += (uint32_t)(unit->line_base + adjusted % unit->line_range);
            return true;
        }
        switch (opcode) {
        case 0: {
            uint64_t length = read_uleb(reader);
            size_t began = reader->offset;
            uint8_t extended = length == 0 ? 0 : read_number(reader, 1);
            if (extended == DW_LNE_set_address && length == 9) row->address = read_number(reader, 8);
            if (reader->has_failed || length < reader->offset - began) return false;
            skip(reader, length - (reader->offset - began));
            if (extended == DW_LNE_end_sequence) return row->ends_sequence = true;
            break;
        }
        case DW_LNS_copy: return true;
        case DW_LNS_advance_pc: row->address += read_uleb(reader) * unit->least_instruction; break;
        case DW_LNS_advance_line: row->line += (uint32_t)read_sleb(reader); break;
        case DW_LNS_set_file: row->file = (uint32_t)read_uleb(reader); break;
        case DW_LNS_const_add_pc:
            row->address += (uint64_t)((255 - unit->opcode_base) / unit->line_range) * unit->least_instruction;
            break;
        case DW_LNS_fixed_advance_pc: row->address += read_number(reader, 2); break;
        default:
            for (unsigned i = 0; i < unit->operands[opcode]; i++) read_uleb(reader);
        }
    }
    return false;
}

// MARK: The table

static bool add(struct casyncio_symbols *symbols, struct checkpoint checkpoint) {
    if (symbols->checkpoint_count == symbols->checkpoint_capacity) {
        size_t capacity = symbols->checkpoint_capacity == 0 ? 1024 : symbols->checkpoint_capacity * 2;
        if (capacity > MOST_CHECKPOINTS) return false;
        void *grown = realloc(symbols->checkpoints, capacity * sizeof checkpoint);
        if (grown == NULL) return false;
        symbols->checkpoints = grown;
        symbols->checkpoint_capacity = capacity;
    }
    symbols->checkpoints[symbols->checkpoint_count++] = checkpoint;
    return true;
}

static int compare(const void *a, const void *b) {
    const struct checkpoint *left = a, *right = b;
    if (left->address != right->address) return left->address < right->address ? -1 : 1;
    // Where one sequence ends and another one begins, the latter is what counts.
    bool left_ends = left->unit == NO_UNIT, right_ends = right->unit == NO_UNIT;
    if (left_ends != right_ends) return left_ends ? -1 : 1;
    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

/// Leaves checkpoints for a unit's program. False if no more can be kept.
static bool index_unit(struct casyncio_symbols *symbols, const struct unit *unit, uint32_t number) {
    struct reader reader = {unit->bytes, unit->program};
    struct row row = {.ends_sequence = true};
    uint64_t previous = 0;
    unsigned rows = 0;
    bool is_live = false;
    while (true) {
        bool begins = row.ends_sequence;
        if (!next_row(unit, &reader, &row)) return true;
        // Code that the linker has dropped lies nowhere: at 0, or beyond the end.
        if (begins) {
            is_live = row.address != 0 && casyncio_symbols_has_code(symbols, row.address);
            rows = 0;
        } else if (row.address < previous) {
            is_live = false;
        }
        previous = row.address;
        if (!is_live) continue;
        struct checkpoint checkpoint = {row.address, number, (uint32_t)reader.offset, row.file, row.line};
        if (row.ends_sequence) checkpoint.unit = NO_UNIT;
        if ((row.ends_sequence || rows++ % ROWS_PER_CHECKPOINT == 0) && !add(symbols, checkpoint)) return false;
    }
}

static void load(struct casyncio_symbols *symbols) {
    if (symbols->has_lines) return;
    symbols->has_lines = true;
    struct bytes section = symbols->line_section = casyncio_section(symbols, ".debug_line");
    symbols->line_strings = casyncio_section(symbols, ".debug_line_str");
    symbols->debug_strings = casyncio_section(symbols, ".debug_str");
    if (section.size >= NO_UNIT) return;
    for (uint64_t offset = 0, next = 0; offset < section.size; offset = next) {
        struct unit unit;
        if (open_unit(section, offset, &unit, &next) && !index_unit(symbols, &unit, (uint32_t)offset)) break;
        if (next <= offset) break;
    }
    if (symbols->checkpoint_count > 0)
        qsort(symbols->checkpoints, symbols->checkpoint_count, sizeof(struct checkpoint), compare);
}

bool casyncio_symbols_place(struct casyncio_symbols *symbols, uint64_t address, uint64_t end,
                            struct casyncio_place *place) {
    load(symbols);
    size_t low = 0, high = symbols->checkpoint_count;
    uint64_t next;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->checkpoints[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    struct unit unit;
    if (low == 0 || symbols->checkpoints[low - 1].unit == NO_UNIT) return false;
    const struct checkpoint *checkpoint = &symbols->checkpoints[low - 1];
    if (!open_unit(symbols->line_section, checkpoint->unit, &unit, &next)) return false;
    // The row that holds at the address is the last one that does not lie beyond it.
    struct reader reader = {unit.bytes, checkpoint->offset};
    struct row row = {checkpoint->address, checkpoint->file, checkpoint->line, false}, found = row;
    bool has_more = true;
    while ((has_more = next_row(&unit, &reader, &row) && !row.ends_sequence)) {
        if (row.address > address && (found.line != 0 || row.address >= end)) break;
        found = row;
    }
    place->line = found.line;
    place->addresses[0] = found.address > address ? found.address : address;
    place->address_count = 1;
    while (has_more && row.line == found.line && row.file == found.file && row.address < end) {
        if (place->address_count == 4) break;
        place->addresses[place->address_count++] = row.address;
        has_more = next_row(&unit, &reader, &row) && !row.ends_sequence;
    }
    return found.line != 0 && find_file(symbols, &unit, found.file, place->file, sizeof place->file);
}
