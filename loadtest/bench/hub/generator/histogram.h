/* Durations in buckets of at most 1.6 % width: 64 to each doubling. */
#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>
#include <string.h>

enum { SUB_BITS = 6, SUB = 1 << SUB_BITS, BUCKETS = (64 - SUB_BITS) * SUB };

struct histogram {
    uint64_t count;
    uint64_t max_ns;
    uint32_t buckets[BUCKETS];
};

static inline unsigned histogram_bucket(uint64_t value)
{
    if (value < SUB) {
        return (unsigned)value;
    }
    int shift = 63 - __builtin_clzll(value) - SUB_BITS;
    return (unsigned)(shift * SUB + (int)(value >> shift));
}

/* The greatest value that falls into this bucket. */
static inline uint64_t histogram_upper(unsigned bucket)
{
    if (bucket < 2 * SUB) {
        return bucket;
    }
    int shift = (int)(bucket / SUB) - 1;
    return ((uint64_t)(bucket % SUB + SUB + 1) << shift) - 1;
}

static inline void histogram_add(struct histogram *histogram, uint64_t value_ns)
{
    histogram->count++;
    histogram->buckets[histogram_bucket(value_ns)]++;
    if (value_ns > histogram->max_ns) {
        histogram->max_ns = value_ns;
    }
}

/* The value that *per_mille* of all don't exceed, by the bucket's upper end. */
static inline uint64_t histogram_quantile(const struct histogram *histogram, unsigned per_mille)
{
    uint64_t wanted = (histogram->count * per_mille + 999) / 1000;
    uint64_t seen = 0;
    for (unsigned bucket = 0; bucket < BUCKETS; bucket++) {
        seen += histogram->buckets[bucket];
        if (seen >= wanted && seen) {
            uint64_t upper = histogram_upper(bucket);
            return upper < histogram->max_ns ? upper : histogram->max_ns;
        }
    }
    return 0;
}

static inline void histogram_clear(struct histogram *histogram)
{
    memset(histogram, 0, sizeof *histogram);
}

#endif
