#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Referred to by AsyncIOInspection, so that the linker takes the constructor in.
void casyncio_inspection_link(void);
