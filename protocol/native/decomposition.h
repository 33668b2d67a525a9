/* How a scalar is split for the endomorphisms. */
#ifndef REALTIME_DECOMPOSITION_H
#define REALTIME_DECOMPOSITION_H

#include "field.h"

#include "constants.h"
#include "order.h"
#include "verification.h"

/* Word 4 of scalar * multiplier. */
static inline uint64_t multiply_and_shift(const struct scalar *scalar, const uint64_t *multiplier) {
    uint64_t words[2 * SCALAR_WORDS] = {0};
    for (int i = 0; i < SCALAR_WORDS; i++) {
        fp carry = 0;
        for (int j = 0; j < SCALAR_WORDS; j++) {
            carry += (fp)scalar->words[i] * multiplier[j] + words[i + j];
            words[i + j] = (uint64_t)carry;
            carry >>= 64;
        }
        words[i + SCALAR_WORDS] = (uint64_t)carry;
    }
    return words[SCALAR_WORDS];
}

/* Babai's rounding in the lattice of the four parts of 0, by a reduced basis: (scalar, 0, 0, 0) less a
 * near vector. The times that each vector of the basis is taken are rounded to the neighbour whose
 * parity makes all parts odd, which is at most 1 away; so a part is at most the sum of the basis in
 * its place, 0.79 * 2^63, and all can be reckoned modulo 2^64. */
static inline struct decomposition decompose(const struct scalar *scalar) {
    uint64_t parts[PARTS] = {scalar->words[0], 0, 0, 0};
    for (int i = 0; i < PARTS; i++) {
        uint64_t times = multiply_and_shift(scalar, MULTIPLIERS[i]);
        times += (times ^ ODD_TIMES[scalar->words[0] & 1][i]) & 1;
        for (int j = 0; j < PARTS; j++) {
            parts[j] -= times * (uint64_t)BASIS[i][j];
        }
    }
    struct decomposition result;
    for (int j = 0; j < PARTS; j++) {
        result.signs[j] = (parts[j] + INT64_MAX) >> 1;
    }
    return result;
}

#endif
