/* Integers modulo N, the prime order (246 bits) of the subgroup that keys and signatures live in.
 * All of it is constant time. */
#ifndef REALTIME_ORDER_H
#define REALTIME_ORDER_H

#include <stdbool.h>
#include <stdint.h>

enum { SCALAR_WORDS = 4, SCALAR_BYTES = 32 };

/* A number from 0 to N - 1, lowest word first. */
struct scalar {
    uint64_t words[SCALAR_WORDS];
};

/* Any 32 bytes, little-endian, modulo N. */
struct scalar scalar_from_bytes(const uint8_t bytes[SCALAR_BYTES]);

/* Whether the 32 bytes, little-endian, stand for less than N. */
bool scalar_is_below_order(const uint8_t bytes[SCALAR_BYTES]);

void scalar_to_bytes(const struct scalar *scalar, uint8_t bytes[SCALAR_BYTES]);

/* The scalar, or the scalar + N: the one of them that is odd. So it may be N or more, below 2N. */
struct scalar scalar_make_odd(const struct scalar *scalar);

/* nonce - key * challenge modulo N. */
struct scalar scalar_subtract_product(const struct scalar *nonce, const struct scalar *key,
                                      const struct scalar *challenge);

#endif
