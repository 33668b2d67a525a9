/* GF(p) and GF(p^2), eight elements at a time, by the names of field.h.
 *
 * An element is l0 + 2^43 l1 + 2^86 l2. A product leaves l0 and l1 below 2^43 + 2^22 and l2 below 2^41
 * ("tight"). Sums and differences carry nothing: what enters a product may have limbs up to 2^48. A
 * difference adds 16 p, so that a subtrahend may be a sum of up to 15 tight ones. Where nobody wants
 * to count, define LANES_CARRY: then all results are tight, for a tenth more time.
 *
 * With AVX-512 IFMA a product's halves are one instruction each; without it the same source is the
 * portable twin, for tests. */
#ifndef REALTIME_LANES_H
#define REALTIME_LANES_H

#include "words.h"

/* The twin's steps are long: as parts of all that uses them they would take minutes to compile. */
#ifdef __AVX512IFMA__
#include <immintrin.h>
#define LANES_FUNCTION ALWAYS_INLINE
#else
#define LANES_FUNCTION static __attribute__((noinline, unused))
#endif

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

#define LANES_OF(word) {word, word, word, word, word, word, word, word}

/* The same constant in all lanes. */
#define FP(high, low)                                                                            \
    {{LANES_OF((uint64_t)(low)&LIMB_MASK),                                                       \
      LANES_OF(((uint64_t)(low) >> 43 | (uint64_t)(high) << 21) & LIMB_MASK),                    \
      LANES_OF((uint64_t)(high) >> 22)}}

/* What is no secret to one lane is to another: a choice is a mask, all ones or 0. */
typedef lanes fp_mask;

/* sum + the lower or upper 52 bits of the product of two numbers below 2^52. */
#ifdef __AVX512IFMA__
LANES_FUNCTION lanes add_low(lanes sum, lanes a, lanes b) {
    return (lanes)_mm512_madd52lo_epu64((__m512i)sum, (__m512i)a, (__m512i)b);
}
LANES_FUNCTION lanes add_high(lanes sum, lanes a, lanes b) {
    return (lanes)_mm512_madd52hi_epu64((__m512i)sum, (__m512i)a, (__m512i)b);
}
#else
__extension__ typedef unsigned __int128 lane_product;
LANES_FUNCTION lanes add_low(lanes sum, lanes a, lanes b) {
    for (int l = 0; l < LANES; l++) {
        sum[l] += (uint64_t)((lane_product)a[l] * b[l]) & ((UINT64_C(1) << 52) - 1);
    }
    return sum;
}
LANES_FUNCTION lanes add_high(lanes sum, lanes a, lanes b) {
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
LANES_FUNCTION void add_product(struct product *sum, const fp *a, const fp *b) {
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

LANES_FUNCTION fp product_reduce(const struct product *sum) {
    lanes a = sum->low[0] + (sum->high[3] << 11);
    lanes b = sum->low[1] + (sum->high[1] << 9);
    lanes c = sum->low[2] + (sum->high[2] << 9);
    b += a >> LIMB_BITS;
    c += b >> LIMB_BITS;
    a = (a & LIMB_MASK) + (c >> TOP_LIMB_BITS);
    return (fp){{a, b & LIMB_MASK, c & TOP_LIMB_MASK}};
}

LANES_FUNCTION fp fp_multiply(fp a, fp b) {
    struct product sum = {0};
    add_product(&sum, &a, &b);
    return product_reduce(&sum);
}

LANES_FUNCTION fp fp_square(fp a) { return fp_multiply(a, a); }

/* Tight, from limbs below 2^63. */
LANES_FUNCTION fp fp_carry(fp a) {
    lanes *limbs = a.limbs;
    limbs[1] += limbs[0] >> LIMB_BITS;
    limbs[2] += limbs[1] >> LIMB_BITS;
    return (fp){{(limbs[0] & LIMB_MASK) + (limbs[2] >> TOP_LIMB_BITS), limbs[1] & LIMB_MASK,
                 limbs[2] & TOP_LIMB_MASK}};
}

#ifdef LANES_CARRY
#define FP_SUM(a) fp_carry(a)
#else
#define FP_SUM(a) (a)
#endif

LANES_FUNCTION fp fp_add(fp a, fp b) {
    fp sum = {{a.limbs[0] + b.limbs[0], a.limbs[1] + b.limbs[1], a.limbs[2] + b.limbs[2]}};
    return FP_SUM(sum);
}

/* a - b + times p. */
LANES_FUNCTION fp fp_subtract_above(fp a, fp b, uint64_t times) {
    fp difference = {{a.limbs[0] - b.limbs[0] + times * LIMB_MASK,
                      a.limbs[1] - b.limbs[1] + times * LIMB_MASK,
                      a.limbs[2] - b.limbs[2] + times * TOP_LIMB_MASK}};
    return FP_SUM(difference);
}

LANES_FUNCTION fp fp_subtract(fp a, fp b) { return fp_subtract_above(a, b, 16); }
LANES_FUNCTION fp fp_negate(fp a) { return fp_subtract((fp){0}, a); }

static const fp2 FP2_ZERO = {FP(0, 0), FP(0, 0)};
static const fp2 FP2_ONE = {FP(0, 1), FP(0, 0)};

LANES_FUNCTION fp fp_double(fp a) { return fp_add(a, a); }

LANES_FUNCTION fp2 fp2_double(fp2 a) { return (fp2){fp_double(a.re), fp_double(a.im)}; }

LANES_FUNCTION fp2 fp2_add(fp2 a, fp2 b) { return (fp2){fp_add(a.re, b.re), fp_add(a.im, b.im)}; }

LANES_FUNCTION fp2 fp2_subtract(fp2 a, fp2 b) {
    return (fp2){fp_subtract(a.re, b.re), fp_subtract(a.im, b.im)};
}

LANES_FUNCTION fp2 fp2_negate(fp2 a) { return (fp2){fp_negate(a.re), fp_negate(a.im)}; }

LANES_FUNCTION fp2 fp2_conjugate(fp2 a) { return (fp2){a.re, fp_negate(a.im)}; }

/* b's limbs may be differences of differences: so 64 p for minus. */
LANES_FUNCTION fp2 fp2_multiply(fp2 a, fp2 b) {
    struct product re = {0}, im = {0};
    fp minus = fp_subtract_above((fp){0}, b.im, 64);
    add_product(&re, &a.re, &b.re);
    add_product(&re, &a.im, &minus);
    add_product(&im, &a.re, &b.im);
    add_product(&im, &a.im, &b.re);
    return (fp2){product_reduce(&re), product_reduce(&im)};
}

/* Of a sum of up to 8 tight elements. */
LANES_FUNCTION fp2 fp2_square(fp2 a) {
    return (fp2){fp_multiply(fp_add(a.re, a.im), fp_subtract(a.re, a.im)),
                 fp_multiply(fp_double(a.re), a.im)};
}

/* From tight: the one form below p. One more carry leaves none: it makes 2^127 and more small. */
LANES_FUNCTION fp fp_reduce(fp a) {
    fp b = fp_carry(a);
    lanes is_p = (lanes)(b.limbs[0] == LIMB_MASK) & (lanes)(b.limbs[1] == LIMB_MASK) &
                 (lanes)(b.limbs[2] == TOP_LIMB_MASK);
    return (fp){{b.limbs[0] & ~is_p, b.limbs[1] & ~is_p, b.limbs[2] & ~is_p}};
}

LANES_FUNCTION fp2 fp2_reduce(fp2 a) { return (fp2){fp_reduce(a.re), fp_reduce(a.im)}; }

LANES_FUNCTION fp_mask fp_zero_mask(fp a) {
    fp b = fp_reduce(fp_carry(a));
    return (fp_mask)((b.limbs[0] | b.limbs[1] | b.limbs[2]) == 0);
}

LANES_FUNCTION fp_mask fp2_zero_mask(fp2 a) { return fp_zero_mask(a.re) & fp_zero_mask(a.im); }

LANES_FUNCTION fp_mask fp_top_bit_mask(fp a) { return -(a.limbs[2] >> (TOP_LIMB_BITS - 1)); }

LANES_FUNCTION fp fp_select(fp a, fp b, fp_mask take_b) {
    for (int i = 0; i < 3; i++) {
        a.limbs[i] ^= (a.limbs[i] ^ b.limbs[i]) & take_b;
    }
    return a;
}

LANES_FUNCTION fp2 fp2_select(fp2 a, fp2 b, fp_mask take_b) {
    return (fp2){fp_select(a.re, b.re, take_b), fp_select(a.im, b.im, take_b)};
}

LANES_FUNCTION lanes lanes_load(const uint64_t words[LANES]) {
    lanes result;
    memcpy(&result, words, sizeof result);
    return result;
}

/* Numbers below 2^127 in two words each, the lower one first. */
LANES_FUNCTION fp fp_load(const uint64_t words[2][LANES]) {
    lanes low = lanes_load(words[0]), high = lanes_load(words[1]);
    return (fp){{low & LIMB_MASK, (low >> 43 | high << 21) & LIMB_MASK, high >> 22}};
}

/* Of a reduced element. */
LANES_FUNCTION void fp_store(fp a, uint64_t words[2][LANES]) {
    lanes low = a.limbs[0] | a.limbs[1] << 43, high = a.limbs[1] >> 21 | a.limbs[2] << 22;
    memcpy(words[0], &low, sizeof low);
    memcpy(words[1], &high, sizeof high);
}

#endif
