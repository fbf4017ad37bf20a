#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static int64_t nanoseconds(clockid_t clock) {
    struct timespec time;
    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ll + time.tv_nsec;
}

int64_t measured_wall(void) { return nanoseconds(CLOCK_MONOTONIC); }
int64_t measured_cpu(void) { return nanoseconds(CLOCK_PROCESS_CPUTIME_ID); }

int64_t measured_peak_kib(void) {
    char line[256];
    long peak = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &peak);
    if (status) fclose(status);
    return peak;
}

void measured_cannot(const char *why) {
    fprintf(stderr, "%s\n", why);
    exit(3);
}
