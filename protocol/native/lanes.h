/* GF(p) and GF(p^2), eight elements at a time, by the names of field.h.
 *
 * An element is l0 + 2^43 l1 + 2^86 l2. A product leaves l0 and l1 below 2^43 + 2^22 and l2 below 2^41
 * ("tight"). Sums and differences carry nothing: what enters a product may have limbs up to 2^48. A
 * difference adds 16 p, so that a subtrahend may be a sum of up to 15 tight ones.
 *
 * With AVX-512 IFMA a product's halves are one instruction each; without it the same source is the
 * portable twin, for tests. */
#ifndef REALTIME_LANES_H
#define REALTIME_LANES_H

#include <stdint.h>
#ifdef __AVX512IFMA__
#include <immintrin.h>
#endif

/* The twin passes vectors between this file's own functions only: how is the compiler's affair. */
#pragma GCC diagnostic ignored "-Wpsabi"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

enum { LANES = 8, LIMB_BITS = 43, TOP_LIMB_BITS = 41 };

typedef uint64_t lanes __attribute__((vector_size(64)));

typedef struct {
    lanes limbs[3];
} fp;

typedef struct {
    fp re, im;
} fp2;

#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)
#define TOP_LIMB_MASK ((UINT64_C(1) << TOP_LIMB_BITS) - 1)

ALWAYS_INLINE lanes lanes_of(uint64_t word) { return word - (lanes){0}; }

/* sum + the lower or upper 52 bits of the product of two numbers below 2^52. */
#ifdef __AVX512IFMA__
ALWAYS_INLINE lanes add_low(lanes sum, lanes a, lanes b) {
    return (lanes)_mm512_madd52lo_epu64((__m512i)sum, (__m512i)a, (__m512i)b);
}
ALWAYS_INLINE lanes add_high(lanes sum, lanes a, lanes b) {
    return (lanes)_mm512_madd52hi_epu64((__m512i)sum, (__m512i)a, (__m512i)b);
}
#else
__extension__ typedef unsigned __int128 lane_product;
ALWAYS_INLINE lanes add_low(lanes sum, lanes a, lanes b) {
    for (int l = 0; l < LANES; l++) {
        sum[l] += (uint64_t)((lane_product)a[l] * b[l]) & ((UINT64_C(1) << 52) - 1);
    }
    return sum;
}
ALWAYS_INLINE lanes add_high(lanes sum, lanes a, lanes b) {
    for (int l = 0; l < LANES; l++) {
        sum[l] += (uint64_t)((lane_product)a[l] * b[l] >> 52);
    }
    return sum;
}
#endif

/* Sums of products: low[k] at 2^43k, high[k] at 2^(43k + 9). */
struct product {
    lanes low[3], high[4];
};

/* 2^129 is 4. Limbs of a below 2^48 and of b below 2^49 make, in two products, sums below 2^56 in low
 * and 2^50 in high. */
ALWAYS_INLINE void add_product(struct product *sum, const fp *a, const fp *b) {
    const lanes *x = a->limbs, *y = b->limbs;
    lanes y1 = y[1] << 2, y2 = y[2] << 2;
    sum->low[0] = add_low(sum->low[0], x[0], y[0]);
    sum->high[1] = add_high(sum->high[1], x[0], y[0]);
    sum->low[1] = add_low(sum->low[1], x[0], y[1]);
    sum->high[2] = add_high(sum->high[2], x[0], y[1]);
    sum->low[2] = add_low(sum->low[2], x[0], y[2]);
    sum->high[3] = add_high(sum->high[3], x[0], y[2]);
    sum->low[1] = add_low(sum->low[1], x[1], y[0]);
    sum->high[2] = add_high(sum->high[2], x[1], y[0]);
    sum->low[2] = add_low(sum->low[2], x[1], y[1]);
    sum->high[3] = add_high(sum->high[3], x[1], y[1]);
    sum->low[0] = add_low(sum->low[0], x[1], y2);
    sum->high[1] = add_high(sum->high[1], x[1], y2);
    sum->low[2] = add_low(sum->low[2], x[2], y[0]);
    sum->high[3] = add_high(sum->high[3], x[2], y[0]);
    sum->low[0] = add_low(sum->low[0], x[2], y1);
    sum->high[1] = add_high(sum->high[1], x[2], y1);
    sum->low[1] = add_low(sum->low[1], x[2], y2);
    sum->high[2] = add_high(sum->high[2], x[2], y2);
}

ALWAYS_INLINE fp product_reduce(const struct product *sum) {
    lanes a = sum->low[0] + (sum->high[3] << 11);
    lanes b = sum->low[1] + (sum->high[1] << 9);
    lanes c = sum->low[2] + (sum->high[2] << 9);
    b += a >> LIMB_BITS;
    c += b >> LIMB_BITS;
    a = (a & LIMB_MASK) + (c >> TOP_LIMB_BITS);
    return (fp){{a, b & LIMB_MASK, c & TOP_LIMB_MASK}};
}

ALWAYS_INLINE fp fp_multiply(fp a, fp b) {
    struct product sum = {0};
    add_product(&sum, &a, &b);
    return product_reduce(&sum);
}

ALWAYS_INLINE fp fp_square(fp a) { return fp_multiply(a, a); }

ALWAYS_INLINE fp fp_add(fp a, fp b) {
    return (fp){{a.limbs[0] + b.limbs[0], a.limbs[1] + b.limbs[1], a.limbs[2] + b.limbs[2]}};
}

/* a - b + times p. */
ALWAYS_INLINE fp fp_subtract_above(fp a, fp b, uint64_t times) {
    return (fp){{a.limbs[0] - b.limbs[0] + times * LIMB_MASK,
                 a.limbs[1] - b.limbs[1] + times * LIMB_MASK,
                 a.limbs[2] - b.limbs[2] + times * TOP_LIMB_MASK}};
}

ALWAYS_INLINE fp fp_subtract(fp a, fp b) { return fp_subtract_above(a, b, 16); }
ALWAYS_INLINE fp fp_negate(fp a) { return fp_subtract((fp){0}, a); }

ALWAYS_INLINE fp2 fp2_add(fp2 a, fp2 b) { return (fp2){fp_add(a.re, b.re), fp_add(a.im, b.im)}; }

ALWAYS_INLINE fp2 fp2_subtract(fp2 a, fp2 b) {
    return (fp2){fp_subtract(a.re, b.re), fp_subtract(a.im, b.im)};
}

ALWAYS_INLINE fp2 fp2_negate(fp2 a) { return (fp2){fp_negate(a.re), fp_negate(a.im)}; }

/* b's limbs may be differences of differences: so 64 p for minus. */
ALWAYS_INLINE fp2 fp2_multiply(fp2 a, fp2 b) {
    struct product re = {0}, im = {0};
    fp minus = fp_subtract_above((fp){0}, b.im, 64);
    add_product(&re, &a.re, &b.re);
    add_product(&re, &a.im, &minus);
    add_product(&im, &a.re, &b.im);
    add_product(&im, &a.im, &b.re);
    return (fp2){product_reduce(&re), product_reduce(&im)};
}

/* Of a sum of up to 8 tight elements. */
ALWAYS_INLINE fp2 fp2_square(fp2 a) {
    return (fp2){fp_multiply(fp_add(a.re, a.im), fp_subtract(a.re, a.im)),
                 fp_multiply(fp_add(a.re, a.re), a.im)};
}

#endif
