#include "casynciomain.h"

// Defined in Swift, in AsyncIOMain.
extern void asyncio_main_take_over(void);

__attribute__((constructor)) static void take_over(void) { asyncio_main_take_over(); }

void casynciomain_link(void) {}
