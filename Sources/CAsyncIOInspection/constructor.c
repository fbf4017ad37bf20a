#define _GNU_SOURCE
#include "casyncioinspection.h"

#include <stdlib.h>
#include <string.h>

// Defined in Swift, in AsyncIOInspection.
extern void asyncio_inspection_start(void);

bool casyncio_environment_has(const char *name) {
    // Not in a program that runs with more rights than its caller has.
    const char *value = secure_getenv(name);
    return value != NULL && value[0] != 0 && strcmp(value, "0") != 0;
}

// A program that never heard of inspection is inspected where its environment says so.
__attribute__((constructor)) static void begin(void) {
    if (casyncio_environment_has("ASYNCIO_INSPECT") || casyncio_environment_has("ASYNCIO_DEBUG")
        || casyncio_environment_has("ASYNCIO_TRACE"))
        asyncio_inspection_start();
}

void casyncio_inspection_link(void) {}
