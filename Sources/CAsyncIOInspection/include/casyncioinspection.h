#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "casyncio_watchdog.h"

/// Referred to by AsyncIOInspection, so that the linker takes the constructor in.
void casyncio_inspection_link(void);
/// Whether a variable of the environment is set, and neither empty nor 0.
bool casyncio_environment_has(const char *name);

// Programs and libraries as they lie in memory and on disk (elf(5)): what function an address belongs to, and what line
// of which file. Files are not trusted: every number in them is checked before it is used.

enum { CASYNCIO_BUILD_ID = 64, CASYNCIO_IMAGE_PATH = 4096 };

/// A program or library that is loaded.
struct casyncio_image {
    /// What is to be added to an address in the file.
    uintptr_t bias;
    /// Its path; empty for the program itself.
    char path[CASYNCIO_IMAGE_PATH];
    /// What names this very file, if its linker gave it a name.
    uint8_t build_id[CASYNCIO_BUILD_ID];
    size_t build_id_length;
    /// Where its segments are to lie: the checksum of the table.
    uint64_t segments;
};
static inline const char *casyncio_image_path(const struct casyncio_image *image) { return image->path; }
/// Finds the image in which an address lies.
bool casyncio_find_image(uintptr_t address, struct casyncio_image *image);
/// How often an image was loaded or let go so far.
uint64_t casyncio_image_changes(void);

/// What stands in a file about its code.
struct casyncio_symbols;
/// Opens the file of an image. NULL, and why, if it cannot be read or is not the one that was loaded.
struct casyncio_symbols *casyncio_symbols_open(const struct casyncio_image *image, const char **refusal);
/// The same for bytes, which must stay. For tests.
struct casyncio_symbols *casyncio_symbols_of_bytes(const void *bytes, size_t size, const char **refusal);
void casyncio_symbols_close(struct casyncio_symbols *symbols);
/// How many functions are named, and how much memory their table and the lines' take.
size_t casyncio_symbols_count(struct casyncio_symbols *symbols);
size_t casyncio_symbols_memory(const struct casyncio_symbols *symbols);

/// A function in a file.
struct casyncio_symbol {
    /// Mangled. Lives as long as the symbols.
    const char *name;
    uint64_t address;
    uint64_t size;
};
/// Finds the function at an address in the file.
bool casyncio_symbols_find(struct casyncio_symbols *symbols, uint64_t address, struct casyncio_symbol *symbol);

/// A place in a source file.
struct casyncio_place {
    /// The path, as the compiler was given it.
    char file[1024];
    uint32_t line;
    /// Where code of this line begins that is not the function's first: up to four addresses in the file.
    uint64_t addresses[4];
    uint32_t address_count;
};
static inline const char *casyncio_place_file(const struct casyncio_place *place) { return place->file; }
static inline const uint64_t *casyncio_place_addresses(const struct casyncio_place *place) { return place->addresses; }
/// Finds the line of an address in the file (DWARF 2 to 5, .debug_line). Where the compiler has no line for it, the
/// next one before `end` that it has.
bool casyncio_symbols_place(struct casyncio_symbols *symbols, uint64_t address, uint64_t end,
                            struct casyncio_place *place);

/// A function that the optimizer has put into another one.
struct casyncio_inlined {
    /// Mangled. Lives as long as the symbols.
    const char *name;
    /// Where it was called; line 0 where that is not known.
    struct casyncio_place called_from;
};
/// Finds the functions that were put into the one at an address in the file, the innermost first (DWARF 2 to 4).
size_t casyncio_symbols_inlined(struct casyncio_symbols *symbols, uint64_t address, struct casyncio_inlined *inlined,
                                size_t capacity);

/// A name as people write it, from the compiler's; NULL if it is none of Swift's. To be freed.
char *casyncio_demangle(const char *name);

/// Catches SIGQUIT from now on, if the program leaves it to the system: false otherwise. Once for a process.
bool casyncio_listen_for_quit(void);
/// Blocks the thread until SIGQUIT has come since the last time.
void casyncio_wait_for_quit(void);
