// The functions that an ELF file names (elf(5): .symtab, or .dynsym where that was stripped off).
#include "symbols.h"

#include <elf.h>
#include <stdlib.h>

// Sections and symbols are copied out of the file: they need not be aligned there.
static bool header_of(struct bytes file, Elf64_Ehdr *header) {
    struct bytes bytes = part(file, 0, sizeof *header);
    if (bytes.size == 0) return false;
    memcpy(header, bytes.start, sizeof *header);
    return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_ident[EI_CLASS] == ELFCLASS64 &&
           header->e_ident[EI_DATA] == ELFDATA2LSB && header->e_phentsize == sizeof(Elf64_Phdr) &&
           (header->e_shnum == 0 || header->e_shentsize == sizeof(Elf64_Shdr));
}

static bool section_header(struct bytes file, const Elf64_Ehdr *header, size_t index, Elf64_Shdr *section) {
    if (index >= header->e_shnum) return false;
    struct bytes table = part(file, header->e_shoff, (uint64_t)header->e_shnum * sizeof *section);
    if (table.size == 0) return false;
    memcpy(section, table.start + index * sizeof *section, sizeof *section);
    return true;
}

static struct bytes contents(struct bytes file, const Elf64_Shdr *section) {
    if (section->sh_type == SHT_NOBITS || (section->sh_flags & SHF_COMPRESSED)) return (struct bytes){0};
    return part(file, section->sh_offset, section->sh_size);
}

static bool find_section(struct bytes file, const char *name, Elf64_Shdr *section) {
    Elf64_Ehdr header;
    Elf64_Shdr names;
    if (!header_of(file, &header) || !section_header(file, &header, header.e_shstrndx, &names)) return false;
    struct bytes strings = contents(file, &names);
    for (size_t i = 0; i < header.e_shnum; i++) {
        if (!section_header(file, &header, i, section)) return false;
        const char *found = string_at(strings, section->sh_name);
        if (found != NULL && strcmp(found, name) == 0) return true;
    }
    return false;
}

struct bytes casyncio_section(const struct casyncio_symbols *symbols, const char *name) {
    Elf64_Shdr section;
    return find_section(symbols->file, name, &section) ? contents(symbols->file, &section) : (struct bytes){0};
}

bool casyncio_symbols_has_code(const struct casyncio_symbols *symbols, uint64_t address) {
    for (size_t i = 0; i < symbols->code_count; i++)
        if (address >= symbols->code[i].from && address < symbols->code[i].to) return true;
    return false;
}

struct casyncio_symbols *casyncio_symbols_of_bytes(const void *bytes, size_t size, const char **refusal) {
    struct bytes file = {bytes, size};
    Elf64_Ehdr header;
    if (!header_of(file, &header)) {
        *refusal = "its file is none that is understood";
        return NULL;
    }
    struct casyncio_symbols *symbols = calloc(1, sizeof *symbols);
    if (symbols == NULL) {
        *refusal = "no memory is left";
        return NULL;
    }
    symbols->file = file;
    struct bytes segments = part(file, header.e_phoff, (uint64_t)header.e_phnum * sizeof(Elf64_Phdr));
    for (size_t i = 0; i < segments.size / sizeof(Elf64_Phdr) && symbols->code_count < 16; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, segments.start + i * sizeof segment, sizeof segment);
        if (segment.p_type != PT_LOAD || !(segment.p_flags & PF_X)) continue;
        if (segment.p_memsz > UINT64_MAX - segment.p_vaddr) continue;
        symbols->code[symbols->code_count++] = (struct code){segment.p_vaddr, segment.p_vaddr + segment.p_memsz};
    }
    return symbols;
}

// By address; of several at one place, the last one in this order is taken: the largest.
static int compare(const void *a, const void *b) {
    const struct function *left = a, *right = b;
    if (left->address != right->address) return left->address < right->address ? -1 : 1;
    if (left->size != right->size) return left->size < right->size ? -1 : 1;
    return left->name < right->name ? -1 : left->name > right->name;
}

static void load(struct casyncio_symbols *symbols) {
    if (symbols->has_functions) return;
    symbols->has_functions = true;
    Elf64_Ehdr header;
    Elf64_Shdr table, strings;
    if (!find_section(symbols->file, ".symtab", &table) && !find_section(symbols->file, ".dynsym", &table)) return;
    if (!header_of(symbols->file, &header) || !section_header(symbols->file, &header, table.sh_link, &strings)) return;
    struct bytes entries = contents(symbols->file, &table);
    size_t count = entries.size / sizeof(Elf64_Sym), used = 0;
    symbols->strings = contents(symbols->file, &strings);
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1 && (used == 0 || (symbols->functions = malloc(used * sizeof(struct function))) == NULL)) return;
        used = 0;
        for (size_t i = 0; i < count; i++) {
            Elf64_Sym symbol;
            memcpy(&symbol, entries.start + i * sizeof symbol, sizeof symbol);
            unsigned type = ELF64_ST_TYPE(symbol.st_info);
            if ((type != STT_FUNC && type != STT_GNU_IFUNC) || symbol.st_shndx == SHN_UNDEF ||
                !casyncio_symbols_has_code(symbols, symbol.st_value))
                continue;
            uint32_t size = symbol.st_size < UINT32_MAX ? symbol.st_size : UINT32_MAX;
            if (pass == 1) symbols->functions[used] = (struct function){symbol.st_value, size, symbol.st_name};
            used++;
        }
    }
    symbols->function_count = used;
    qsort(symbols->functions, used, sizeof(struct function), compare);
}

size_t casyncio_symbols_count(struct casyncio_symbols *symbols) {
    load(symbols);
    return symbols->function_count;
}

size_t casyncio_symbols_memory(const struct casyncio_symbols *symbols) {
    size_t units = symbols->roots.count * sizeof symbols->roots.ranges[0];
    for (const struct unit_table *table = symbols->units; table != NULL; table = table->next)
        units += sizeof *table + table->count * sizeof table->ranges[0];
    return sizeof *symbols + symbols->function_count * sizeof(struct function) +
           symbols->checkpoint_capacity * sizeof(struct checkpoint) + units;
}

bool casyncio_symbols_find(struct casyncio_symbols *symbols, uint64_t address, struct casyncio_symbol *symbol) {
    load(symbols);
    size_t low = 0, high = symbols->function_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (symbols->functions[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    // Functions may lie within others.
    for (size_t i = 0; i < 8 && i < low; i++) {
        const struct function *function = &symbols->functions[low - 1 - i];
        bool has_no_size = function->size == 0 && i == 0;
        if (!has_no_size && address - function->address >= function->size) continue;
        const char *name = string_at(symbols->strings, function->name);
        if (name == NULL || name[0] == 0) continue;
        *symbol = (struct casyncio_symbol){name, function->address, function->size};
        return true;
    }
    return false;
}

// libswiftCore. It gives back memory of malloc.
extern char *swift_demangle(const char *name, size_t length, char *buffer, size_t *size, uint32_t flags);

char *casyncio_demangle(const char *name) { return swift_demangle(name, strlen(name), NULL, NULL, 0); }
