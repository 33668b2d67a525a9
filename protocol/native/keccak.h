/* Keccak-p[1600, 12] on whatever `lane` is where this is included: a word of 64 bits, or a vector
 * of such words, one of each sponge. */
#ifndef REALTIME_KECCAK_H
#define REALTIME_KECCAK_H

#include <string.h>

#include "field.h"

enum { LANES = 25, LANE_BYTES = 8, RATE_BYTES = 168 };

/* By 0 to 63 bits. A macro: a function that takes vectors can't be compiled for every processor. */
#define ROTATE(word, bits) ((word) << (bits) | (word) >> (-(bits) & 63))

/* Five lanes of one plane after theta, rho and pi: each comes from another column and plane. */
#define GATHER(l0, r0, l1, r1, l2, r2, l3, r3, l4, r4)                                             \
    do {                                                                                           \
        b0 = ROTATE(a[l0] ^ d[(l0) % 5], r0);                                                      \
        b1 = ROTATE(a[l1] ^ d[(l1) % 5], r1);                                                      \
        b2 = ROTATE(a[l2] ^ d[(l2) % 5], r2);                                                      \
        b3 = ROTATE(a[l3] ^ d[(l3) % 5], r3);                                                      \
        b4 = ROTATE(a[l4] ^ d[(l4) % 5], r4);                                                      \
    } while (0)

#define CHI(plane)                                                                                 \
    do {                                                                                           \
        e[(plane)] = b0 ^ (~b1 & b2);                                                              \
        e[(plane) + 1] = b1 ^ (~b2 & b3);                                                          \
        e[(plane) + 2] = b2 ^ (~b3 & b4);                                                          \
        e[(plane) + 3] = b3 ^ (~b4 & b0);                                                          \
        e[(plane) + 4] = b4 ^ (~b0 & b1);                                                          \
    } while (0)

/* One round from a to e. Lane x + 5 y stands at (x, y). */
ALWAYS_INLINE void permute_round(const lane a[LANES], lane e[LANES], uint64_t constant) {
    lane c[5], d[5], b0, b1, b2, b3, b4;
    c[0] = a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20];
    c[1] = a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21];
    c[2] = a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22];
    c[3] = a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23];
    c[4] = a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24];
    d[0] = c[4] ^ ROTATE(c[1], 1);
    d[1] = c[0] ^ ROTATE(c[2], 1);
    d[2] = c[1] ^ ROTATE(c[3], 1);
    d[3] = c[2] ^ ROTATE(c[4], 1);
    d[4] = c[3] ^ ROTATE(c[0], 1);
    GATHER(0, 0, 6, 44, 12, 43, 18, 21, 24, 14);
    CHI(0);
    e[0] ^= constant;
    GATHER(3, 28, 9, 20, 10, 3, 16, 45, 22, 61);
    CHI(5);
    GATHER(1, 1, 7, 6, 13, 25, 19, 8, 20, 18);
    CHI(10);
    GATHER(4, 27, 5, 36, 11, 10, 17, 15, 23, 56);
    CHI(15);
    GATHER(2, 62, 8, 55, 14, 39, 15, 41, 21, 2);
    CHI(20);
}

/* Keccak-p[1600, 12]. */
static void permute(lane lanes[LANES]) {
    lane a[LANES], e[LANES];
    memcpy(a, lanes, sizeof a);
    permute_round(a, e, 0x000000008000808B);
    permute_round(e, a, 0x800000000000008B);
    permute_round(a, e, 0x8000000000008089);
    permute_round(e, a, 0x8000000000008003);
    permute_round(a, e, 0x8000000000008002);
    permute_round(e, a, 0x8000000000000080);
    permute_round(a, e, 0x000000000000800A);
    permute_round(e, a, 0x800000008000000A);
    permute_round(a, e, 0x8000000080008081);
    permute_round(e, a, 0x8000000000008080);
    permute_round(a, e, 0x0000000080000001);
    permute_round(e, lanes, 0x8000000080008008);
}

#endif
