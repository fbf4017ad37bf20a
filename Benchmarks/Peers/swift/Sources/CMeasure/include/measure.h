// The clocks and the peak of memory, without Foundation.
#ifndef MEASURE_H
#define MEASURE_H
#include <stdint.h>

int64_t measured_wall(void);
int64_t measured_cpu(void);
int64_t measured_peak_kib(void);
_Noreturn void measured_cannot(const char *why);  // exit code 3: not for this peer
#endif
