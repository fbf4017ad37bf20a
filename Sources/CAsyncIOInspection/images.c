// What is loaded into the process, and the files that it was loaded from.
#define _GNU_SOURCE
#include "casyncioinspection.h"
#include "symbols.h"

#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

// FNV-1a.
static uint64_t checksum(const void *bytes, size_t count) {
    uint64_t sum = 0xcbf29ce484222325;
    for (size_t i = 0; i < count; i++) sum = (sum ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3;
    return sum;
}

// MARK: In memory

static size_t find_build_id(struct bytes notes, uint8_t *build_id) {
    struct reader reader = {notes};
    while (reader.offset < notes.size) {
        uint64_t name = read_number(&reader, 4), size = read_number(&reader, 4), type = read_number(&reader, 4);
        size_t name_at = reader.offset;
        skip(&reader, (name + 3) & ~3ull);
        size_t id_at = reader.offset;
        skip(&reader, size);
        if (reader.has_failed) return 0;
        if (type == NT_GNU_BUILD_ID && name == 4 && memcmp(notes.start + name_at, "GNU", 4) == 0) {
            if (size > CASYNCIO_BUILD_ID) return 0;
            memcpy(build_id, notes.start + id_at, size);
            return size;
        }
        // The last one need not be padded.
        if (reader.offset < notes.size) skip(&reader, -size & 3);
    }
    return 0;
}

struct search {
    uintptr_t address;
    struct casyncio_image *image;
};

static int look(struct dl_phdr_info *info, size_t size, void *context) {
    struct search *search = context;
    struct casyncio_image *image = search->image;
    bool is_it = false;
    for (int i = 0; i < info->dlpi_phnum && !is_it; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + segment->p_vaddr;
        is_it = segment->p_type == PT_LOAD && search->address >= from && search->address - from < segment->p_memsz;
    }
    if (!is_it) return 0;
    image->bias = info->dlpi_addr;
    snprintf(image->path, sizeof image->path, "%s", info->dlpi_name == NULL ? "" : info->dlpi_name);
    image->segments = checksum(info->dlpi_phdr, info->dlpi_phnum * sizeof info->dlpi_phdr[0]);
    image->build_id_length = 0;
    for (int i = 0; i < info->dlpi_phnum && image->build_id_length == 0; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_NOTE) continue;
        struct bytes notes = {(const uint8_t *)(info->dlpi_addr + segment->p_vaddr), segment->p_memsz};
        image->build_id_length = find_build_id(notes, image->build_id);
    }
    return 1;
}

bool casyncio_find_image(uintptr_t address, struct casyncio_image *image) {
    struct search search = {address, image};
    return dl_iterate_phdr(look, &search) == 1;
}

static int look_at_changes(struct dl_phdr_info *info, size_t size, void *result) {
    *(uint64_t *)result = info->dlpi_adds + info->dlpi_subs;
    return 1;
}

uint64_t casyncio_image_changes(void) {
    uint64_t changes = 0;
    dl_iterate_phdr(look_at_changes, &changes);
    return changes;
}

// MARK: On disk

// Whether the file has the same table of segments, and the same build-id if it was linked with one.
static bool is_file_of(struct bytes file, const struct casyncio_image *image) {
    ElfW(Ehdr) header;
    struct bytes bytes = part(file, 0, sizeof header);
    if (bytes.size == 0) return false;
    memcpy(&header, bytes.start, sizeof header);
    if (header.e_phentsize != sizeof(ElfW(Phdr))) return false;
    struct bytes segments = part(file, header.e_phoff, (uint64_t)header.e_phnum * sizeof(ElfW(Phdr)));
    if (segments.size == 0 || checksum(segments.start, segments.size) != image->segments) return false;
    if (image->build_id_length == 0) return true;
    for (size_t i = 0; i < header.e_phnum; i++) {
        ElfW(Phdr) segment;
        memcpy(&segment, segments.start + i * sizeof segment, sizeof segment);
        uint8_t build_id[CASYNCIO_BUILD_ID];
        if (segment.p_type != PT_NOTE) continue;
        size_t length = find_build_id(part(file, segment.p_offset, segment.p_filesz), build_id);
        if (length != 0)
            return length == image->build_id_length && memcmp(build_id, image->build_id, length) == 0;
    }
    return false;
}

// A library without a build-id could have been linked anew, with the same segments by chance: then its inode is another
// one. (The device is not compared: file systems that lie on others have two of them.)
static bool is_mapped_inode(uintptr_t address, ino_t inode) {
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL) return false;
    char line[CASYNCIO_IMAGE_PATH + 256];
    bool is_it = false;
    while (!is_it && fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to, found;
        if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &from, &to, &found) != 3) continue;
        is_it = found == inode && to > address && from <= address + 0x1000;
    }
    fclose(maps);
    return is_it;
}

struct casyncio_symbols *casyncio_symbols_open(const struct casyncio_image *image, const char **refusal) {
    // The program's own file is reached even if another one has taken its path.
    bool is_program = image->path[0] == 0;
    int descriptor = open(is_program ? "/proc/self/exe" : image->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size <= 0) {
        if (descriptor >= 0) close(descriptor);
        *refusal = "its file cannot be read";
        return NULL;
    }
    // Cutting a file that is mapped ends programs that touch what was there. This one would end in any case: its code
    // is mapped from that file, too.
    void *memory = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    close(descriptor);
    if (memory == MAP_FAILED) {
        *refusal = "its file cannot be mapped";
        return NULL;
    }
    struct bytes file = {memory, status.st_size};
    struct casyncio_symbols *symbols = NULL;
    if (is_file_of(file, image) &&
        (is_program || image->build_id_length != 0 || is_mapped_inode(image->bias, status.st_ino)))
        symbols = casyncio_symbols_of_bytes(memory, status.st_size, refusal);
    else
        *refusal = "the file at its path is not the one that was loaded";
    if (symbols == NULL)
        munmap(memory, status.st_size);
    else
        symbols->is_mapped = true;
    return symbols;
}

void casyncio_symbols_close(struct casyncio_symbols *symbols) {
    if (symbols->is_mapped) munmap((void *)symbols->file.start, symbols->file.size);
    free(symbols->functions);
    free(symbols->checkpoints);
    casyncio_symbols_free_units(symbols);
    free(symbols);
}
