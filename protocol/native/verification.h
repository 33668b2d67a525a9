/* Between one verification at a time and eight at once. */
#ifndef REALTIME_VERIFICATION_H
#define REALTIME_VERIFICATION_H

#include <stdint.h>

enum {
    PARTS = 4,
    DIGITS = 63,
    CHUNKS = 4,
    CHUNK_BITS = DIGITS - 1,
    WINDOW_BITS = 8,
    WINDOWS = (CHUNK_BITS + WINDOW_BITS - 1) / WINDOW_BITS,
    WINDOW_ENTRIES = (1 << (WINDOW_BITS - 1)) + 1,
    KEY_MULTIPLES = 8,
    VERIFICATIONS_AT_ONCE = 8,
};

/* y + x, y - x, 2 d x y: real and imaginary part of each, lower word first. */
enum { AFFINE_WORDS = 12 };
struct affine_words {
    uint64_t words[AFFINE_WORDS];
};

/* scalar = parts[0] + parts[1] phi + parts[2] psi + parts[3] phi psi modulo N, all odd and between
 * -2^63 and 2^63. So each is the sum of 2^i or -2^i over the 63 digits i, and half of the part +
 * 2^63 - 1 has a bit for each: set for 2^i, clear for -2^i. */
struct decomposition {
    uint64_t signs[PARTS];
};

/* S in windows of 8 bits with sign: window w of chunk c stands for 2^(62 c + 8 w). */
struct windows {
    int16_t digits[CHUNKS][WINDOWS];
};

/* [challenge]A + [response]G is to be computed. */
struct products {
    const struct affine_words *key_multiples;
    struct decomposition challenge;
    struct windows response;
};

/* All sums at once, as 32 bytes each. In lanes_ifma.c. */
void add_products_lanes(const struct products items[VERIFICATIONS_AT_ONCE],
                        const struct affine_words generator_multiples[CHUNKS][WINDOW_ENTRIES],
                        uint8_t encoded[VERIFICATIONS_AT_ONCE][32]);

#endif
