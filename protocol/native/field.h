/* GF(p) and GF(p^2) for p = 2^127 - 1, i^2 = -1, one element at a time.
 *
 * An fp is any number from 0 to 2^127 - 1: p itself stands for 0 too, until fp_reduce. No operation
 * branches on or indexes by a value. */
#ifndef REALTIME_FIELD_H
#define REALTIME_FIELD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define ALWAYS_INLINE static inline __attribute__((always_inline))

__extension__ typedef unsigned __int128 fp;

typedef struct {
    fp re, im;
} fp2;

#define FP(high, low) (((fp)(high) << 64) | (low))
#define P (FP(0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF))

/* From a number below 2^128 - 1. */
ALWAYS_INLINE fp fp_fold(fp a) { return (a & P) + (a >> 127); }

/* The one form below p. */
ALWAYS_INLINE fp fp_reduce(fp a) {
    fp is_p = (a + 1) >> 127;
    return (a + is_p) & P;
}

ALWAYS_INLINE fp fp_add(fp a, fp b) { return fp_fold(a + b); }

/* The top bit of a difference says that it is negative: then p is added. */
ALWAYS_INLINE fp fp_wrap(fp difference) { return (difference & P) - (difference >> 127); }

ALWAYS_INLINE fp fp_subtract(fp a, fp b) { return fp_wrap(a - b); }
ALWAYS_INLINE fp fp_negate(fp a) { return P - a; }

/* From any product a b = low + 2^64 middle + 2^128 high with low below 2^64, as 2^127 is 1. The
 * carries are upper halves of wider sums, not comparisons: gcc makes jumps of those, which is slow
 * and tells of secrets. */
ALWAYS_INLINE fp fp_join(uint64_t low, uint64_t middle, fp high) {
    fp below = FP(middle & 0x7FFFFFFFFFFFFFFF, low), above = high << 1 | middle >> 63;
    return fp_fold(below + above);
}

/* The upper words are below 2^63: the middle sum is at most 2 (2^64 - 1) (2^63 - 1) + 2^64 - 1, which
 * is below 2^128; the whole is below 2^254, so that what is above 2^127 is below 2^127 too. */
ALWAYS_INLINE fp fp_multiply(fp a, fp b) {
    uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64);
    uint64_t b0 = (uint64_t)b, b1 = (uint64_t)(b >> 64);
    fp low = (fp)a0 * b0;
    fp middle = (fp)a0 * b1 + (fp)a1 * b0 + (low >> 64);
    return fp_join((uint64_t)low, (uint64_t)middle, (fp)a1 * b1 + (middle >> 64));
}

ALWAYS_INLINE fp fp_square(fp a) {
    uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64);
    fp low = (fp)a0 * a0;
    fp middle = (fp)a0 * (a1 << 1) + (low >> 64);
    return fp_join((uint64_t)low, (uint64_t)middle, (fp)a1 * a1 + (middle >> 64));
}

ALWAYS_INLINE fp fp_halve(fp a) { return (a >> 1) + ((a & 1) << 126); }

static const fp2 FP2_ZERO = {0, 0};
static const fp2 FP2_ONE = {1, 0};

ALWAYS_INLINE fp2 fp2_add(fp2 a, fp2 b) { return (fp2){fp_add(a.re, b.re), fp_add(a.im, b.im)}; }

ALWAYS_INLINE fp2 fp2_subtract(fp2 a, fp2 b) {
    return (fp2){fp_subtract(a.re, b.re), fp_subtract(a.im, b.im)};
}

ALWAYS_INLINE fp2 fp2_negate(fp2 a) { return (fp2){fp_negate(a.re), fp_negate(a.im)}; }
ALWAYS_INLINE fp2 fp2_conjugate(fp2 a) { return (fp2){a.re, fp_negate(a.im)}; }

/* Karatsuba: one product of sums for two products. */
ALWAYS_INLINE fp2 fp2_multiply(fp2 a, fp2 b) {
    fp re = fp_multiply(a.re, b.re), im = fp_multiply(a.im, b.im);
    fp sums = fp_multiply(fp_add(a.re, a.im), fp_add(b.re, b.im));
    return (fp2){fp_subtract(re, im), fp_subtract(fp_subtract(sums, re), im)};
}

/* (re + im)(re - im) and 2 re im. */
ALWAYS_INLINE fp2 fp2_square(fp2 a) {
    return (fp2){
        fp_multiply(fp_add(a.re, a.im), fp_subtract(a.re, a.im)),
        fp_multiply(fp_add(a.re, a.re), a.im),
    };
}

ALWAYS_INLINE fp2 fp2_reduce(fp2 a) { return (fp2){fp_reduce(a.re), fp_reduce(a.im)}; }

ALWAYS_INLINE bool fp2_equal(fp2 a, fp2 b) {
    return fp_reduce(fp_subtract(a.re, b.re)) == 0 && fp_reduce(fp_subtract(a.im, b.im)) == 0;
}

ALWAYS_INLINE bool fp2_is_zero(fp2 a) { return fp_reduce(a.re) == 0 && fp_reduce(a.im) == 0; }

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
