#include "histogram.h"

void histogram_record_corrected(Histogram *histogram, uint64_t value, uint64_t interval) {
    histogram_record(histogram, value);
    if (interval == 0) return;
    while (value > interval) {
        value -= interval;
        histogram_record(histogram, value);
    }
}

static uint64_t middle(unsigned index) {
    if (index < 2 * SUB_BUCKETS) return index;
    unsigned shift = (index >> SUB_BITS) - 1;
    uint64_t lowest = (uint64_t)((index & (SUB_BUCKETS - 1)) | SUB_BUCKETS) << shift;
    return lowest + (((uint64_t)1 << shift) >> 1);
}

uint64_t histogram_quantile(const Histogram *histogram, double quantile) {
    if (histogram->total == 0) return 0;
    double exact = quantile * (double)histogram->total;
    uint64_t wanted = (uint64_t)exact;
    if ((double)wanted < exact) wanted++;
    if (wanted == 0) wanted = 1;
    uint64_t seen = 0;
    for (unsigned index = 0; index < BUCKETS; index++) {
        seen += histogram->counts[index];
        if (seen < wanted) continue;
        uint64_t value = middle(index);
        return value < histogram->maximum ? value : histogram->maximum;
    }
    return histogram->maximum;
}
