/* Words in bytes, the lowest first, whatever the processor's order is. */
#ifndef REALTIME_WORDS_H
#define REALTIME_WORDS_H

#include <stdint.h>
#include <string.h>

/* The tests define it otherwise where a sanitizer makes every step long. */
#ifndef ALWAYS_INLINE
#define ALWAYS_INLINE static inline __attribute__((always_inline))
#endif

ALWAYS_INLINE uint64_t load_u64(const uint8_t *bytes) {
    uint64_t word = 0;
    for (int i = 7; i >= 0; i--) {
        word = word << 8 | bytes[i];
    }
    return word;
}

ALWAYS_INLINE void store_u64(uint8_t *bytes, uint64_t word) {
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(word >> (8 * i));
    }
}

#endif
