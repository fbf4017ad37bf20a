// Latencies, counted in buckets whose width grows with the value.
//
// Log-linear: the range from one power of two to the next is divided into 128 buckets of equal width. A bucket's width
// is thus at most 1/128 of the smallest value in it, and a quantile is told as the middle of its bucket: it is wrong by
// at most 1/256 of itself, 0.4 %. Values below 128 ns have a bucket each and are exact, and so are the maximum and the
// mean, which are kept apart. Recording is a shift and an increment; nothing is allocated or sorted.
#pragma once
#include <stdint.h>

enum { SUB_BITS = 7, SUB_BUCKETS = 1 << SUB_BITS, BUCKETS = (64 - SUB_BITS + 1) * SUB_BUCKETS };

typedef struct {
    uint64_t counts[BUCKETS];
    uint64_t total, maximum;
    double sum;
} Histogram;

static inline unsigned histogram_index(uint64_t value) {
    if (value < SUB_BUCKETS) return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - SUB_BITS;
    // The value's leading one is the bucket's bit SUB_BITS, so that the rows follow each other without a gap.
    return (shift << SUB_BITS) + (unsigned)(value >> shift);
}

static inline void histogram_record(Histogram *histogram, uint64_t value) {
    histogram->counts[histogram_index(value)]++;
    histogram->total++;
    histogram->sum += (double)value;
    if (value > histogram->maximum) histogram->maximum = value;
}

// A value, and what a client that asks at every `interval` would have seen meanwhile: it would have waited for the rest
// of this answer each time. Zero means no correction.
void histogram_record_corrected(Histogram *histogram, uint64_t value, uint64_t interval);

// The value below or at which a share `quantile` (0 to 1) of the values lies; 0 if there are none.
uint64_t histogram_quantile(const Histogram *histogram, double quantile);
