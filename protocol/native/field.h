/* GF(p) and GF(p^2) for p = 2^127 - 1, i^2 = -1, one element at a time.
 *
 * An fp is any number from 0 to 2^127 - 1: p itself stands for 0 too, until fp_reduce. No operation
 * branches on or indexes by a value. */
#ifndef REALTIME_FIELD_H
#define REALTIME_FIELD_H

#include "words.h"

__extension__ typedef unsigned __int128 fp;

typedef struct {
    fp re, im;
} fp2;

#define FP(high, low) (((fp)(high) << 64) | (low))
#define P (FP(0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF))

/* fp_fold: from a number below 2^128 - 1. fp_wrap: from a difference, whose top bit says that it is
 * negative; then p is added. On x86-64 by hand: the bit becomes the carry, and of the instructions that
 * compilers make of the C a third is left. */
#if defined __x86_64__ && !defined WITHOUT_ASSEMBLER
ALWAYS_INLINE fp fp_fold(fp a) {
    uint64_t low = (uint64_t)a, high = (uint64_t)(a >> 64);
    __asm__("btrq $63, %1\n\tadcq $0, %0\n\tadcq $0, %1" : "+r"(low), "+r"(high) : : "cc");
    return FP(high, low);
}

ALWAYS_INLINE fp fp_wrap(fp difference) {
    uint64_t low = (uint64_t)difference, high = (uint64_t)(difference >> 64);
    __asm__("btrq $63, %1\n\tsbbq $0, %0\n\tsbbq $0, %1" : "+r"(low), "+r"(high) : : "cc");
    return FP(high, low);
}
#else
ALWAYS_INLINE fp fp_fold(fp a) { return (a & P) + (a >> 127); }
ALWAYS_INLINE fp fp_wrap(fp difference) { return (difference & P) - (difference >> 127); }
#endif

/* The one form below p. */
ALWAYS_INLINE fp fp_reduce(fp a) {
    fp is_p = (a + 1) >> 127;
    return (a + is_p) & P;
}

ALWAYS_INLINE fp fp_add(fp a, fp b) { return fp_fold(a + b); }

/* Not a + a: gcc makes a shift of two words of that. */
ALWAYS_INLINE fp fp_double(fp a) {
    uint64_t low = (uint64_t)a, high = (uint64_t)(a >> 64);
    return fp_fold(FP(high + high + (low >> 63), low + low));
}

ALWAYS_INLINE fp fp_subtract(fp a, fp b) { return fp_wrap(a - b); }
ALWAYS_INLINE fp fp_negate(fp a) { return P - a; }

/* A product is low + 2^64 middle + 2^128 high; its lower 127 bits and what is above them are added, as
 * 2^127 is 1. The upper words of a and b are below 2^63: so the middle sum is at most
 * 2 (2^64 - 1) (2^63 - 1) + 2^64 - 1, which is below 2^128; the whole is below 2^254, and what is above
 * 2^127 is below 2^127 too.
 *
 * The carries are upper halves of wider sums, not comparisons: gcc makes jumps of those, which is slow
 * and tells of secrets. Sums of words rather than shifts of two: those are slow on AMD's processors. */
ALWAYS_INLINE fp fp_multiply(fp a, fp b) {
    uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64);
    uint64_t b0 = (uint64_t)b, b1 = (uint64_t)(b >> 64);
    fp low = (fp)a0 * b0;
    fp middle = (fp)a0 * b1 + (fp)a1 * b0 + (low >> 64);
    uint64_t m0 = (uint64_t)middle, m1 = (uint64_t)(middle >> 64);
    fp above = (fp)(a1 << 1) * b1 + FP(m1 >> 63, m1 + m1 + (m0 >> 63));
    return fp_fold(FP(m0 & 0x7FFFFFFFFFFFFFFF, (uint64_t)low) + above);
}

/* The upper half is doubled at the end, unlike in fp_multiply: squares are most often taken of the
 * square before, and so the way from one to the next is shorter. */
ALWAYS_INLINE fp fp_square(fp a) {
    uint64_t a0 = (uint64_t)a, a1 = (uint64_t)(a >> 64);
    fp low = (fp)a0 * a0;
    fp middle = (fp)a0 * (a1 << 1) + (low >> 64);
    fp high = (fp)a1 * a1 + (middle >> 64);
    uint64_t m0 = (uint64_t)middle, h0 = (uint64_t)high, h1 = (uint64_t)(high >> 64);
    fp above = FP(h1 + h1 + (h0 >> 63), h0 + h0 + (m0 >> 63));
    return fp_fold(FP(m0 & 0x7FFFFFFFFFFFFFFF, (uint64_t)low) + above);
}

ALWAYS_INLINE fp fp_halve(fp a) { return (a >> 1) + ((a & 1) << 126); }

/* All ones or 0. */
typedef fp fp_mask;

/* All ones for 0 and for p. */
ALWAYS_INLINE fp_mask fp_zero_mask(fp a) { return -((fp_reduce(a) - 1) >> 127); }

/* Bit 126 of a reduced number: what a point's sign is taken from. */
ALWAYS_INLINE fp_mask fp_top_bit_mask(fp a) { return -(a >> 126); }

ALWAYS_INLINE fp fp_select(fp a, fp b, fp_mask take_b) { return a ^ ((a ^ b) & take_b); }

static const fp2 FP2_ZERO = {0, 0};
static const fp2 FP2_ONE = {1, 0};

ALWAYS_INLINE fp2 fp2_select(fp2 a, fp2 b, fp_mask take_b) {
    return (fp2){fp_select(a.re, b.re, take_b), fp_select(a.im, b.im, take_b)};
}

ALWAYS_INLINE fp2 fp2_add(fp2 a, fp2 b) { return (fp2){fp_add(a.re, b.re), fp_add(a.im, b.im)}; }

ALWAYS_INLINE fp2 fp2_double(fp2 a) { return (fp2){fp_double(a.re), fp_double(a.im)}; }

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
        fp_multiply(fp_double(a.re), a.im),
    };
}

ALWAYS_INLINE fp2 fp2_reduce(fp2 a) { return (fp2){fp_reduce(a.re), fp_reduce(a.im)}; }

ALWAYS_INLINE fp_mask fp2_zero_mask(fp2 a) { return fp_zero_mask(a.re) & fp_zero_mask(a.im); }

#endif
