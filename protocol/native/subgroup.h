/* Whether a point of FourQ is in the subgroup of order N, exactly and without a multiplication.
 *
 * The curve's group is Z/N x Z/8 x Z/7 x Z/7. By the Tate pairing's non-degeneracy a point has no
 * part of order 2, 4 or 8 when its pairing with the point of order 8 is 1, and none of order 7 when
 * its pairings with two independent points of order 7 are. A pairing is a fixed function's value,
 * raised to (p^2 - 1)/8 or (p^2 - 1)/7. In terms of y, that function is x even(y) + g(y) odd(y), up
 * to factors that are kept.
 *
 * The field is what field.h or lanes.h gives: include one of them first. */
#ifndef REALTIME_SUBGROUP_H
#define REALTIME_SUBGROUP_H

#include "constants.h"
#include "point.h"

static inline fp2 polynomial(const fp2 *c, int degree, fp2 y) {
    fp2 sum = c[degree];
    for (int i = degree - 1; i >= 0; i--) {
        sum = fp2_add(fp2_multiply(sum, y), c[i]);
    }
    return sum;
}

static inline fp fp2_norm(fp2 a) { return fp_add(fp_square(a.re), fp_square(a.im)); }

/* Four values of GF(p) that are squared side by side: one alone would wait for its own last product.
 * Of some z in GF(p^2) the trace and the norm are enough: those of z^2 follow from them. */
struct powers {
    fp a, b, trace, norm;
};

static inline struct powers square_times(struct powers x, int times) {
    for (int i = 0; i < times; i++) {
        x.a = fp_square(x.a);
        x.b = fp_square(x.b);
        x.trace = fp_subtract(fp_square(x.trace), fp_double(x.norm));
        x.norm = fp_square(x.norm);
    }
    return x;
}

/* a and b of both are multiplied. */
static inline struct powers times(struct powers x, struct powers y) {
    x.a = fp_multiply(x.a, y.a);
    x.b = fp_multiply(x.b, y.b);
    return x;
}

/* a and b to the power of (p - 1)/7 = 2 (1 + 8 + .. + 8^41), z to that of 2^124: just as many
 * squarings. */
static inline struct powers raise(struct powers one) {
    struct powers two = times(square_times(one, 3), one);
    struct powers four = times(square_times(two, 6), two);
    struct powers five = times(square_times(four, 3), one);
    struct powers ten = times(square_times(five, 15), five);
    struct powers twenty = times(square_times(ten, 30), ten);
    struct powers twenty_one = times(square_times(twenty, 3), one);
    struct powers all = times(square_times(twenty_one, 63), twenty_one);
    return square_times(all, 1);
}

/* Of function / (x (1-y)^3); the sixth power does for 1/w, the fourth for 1/w^3. The exponent's
 * factor p + 1 makes the norm. */
static inline fp norm_for_order_7(const fp2 *even, const fp2 *odd, fp2 x, fp2 y) {
    fp2 f = fp2_add(fp2_multiply(x, polynomial(even, 3, y)),
                    fp2_multiply(fp2_add(FP2_ONE, y), polynomial(odd, 2, y)));
    return fp2_norm(f);
}

static inline fp rest_for_order_7(fp2 x, fp2 y) {
    fp xx = fp_square(fp2_norm(x)), bb = fp_square(fp2_norm(fp2_subtract(FP2_ONE, y)));
    return fp_multiply(fp_multiply(fp_square(xx), xx), fp_square(bb));
}

/* z = function / (x (1-y)^4); conj(w) does for 1/w, as w conj(w) is in GF(p) and all that is there
 * has pairing 1. */
static inline fp2 value_for_order_8(fp2 x, fp2 y) {
    fp2 b = fp2_subtract(FP2_ONE, y), both = fp2_multiply(b, fp2_add(FP2_ONE, y));
    fp2 f = fp2_add(fp2_multiply(x, polynomial(TATE_8_EVEN, 4, y)),
                    fp2_multiply(both, polynomial(TATE_8_ODD, 2, y)));
    return fp2_multiply(f, fp2_conjugate(fp2_multiply(x, fp2_square(fp2_square(b)))));
}

/* z^((p-1) 2^124) is 1 when z^(2^124) is in GF(p): when its real part's square is its norm. */
static inline fp_mask is_in_prime_field(fp trace, fp norm) {
    fp four = fp_double(fp_double(norm));
    return fp_zero_mask(fp_subtract(fp_square(trace), four)) & ~fp_zero_mask(norm);
}

static inline fp_mask is_in_subgroup(fp2 x, fp2 y) {
    fp rest = rest_for_order_7(x, y);
    fp2 z = value_for_order_8(x, y);
    struct powers powers = raise((struct powers){
        fp_multiply(norm_for_order_7(TATE_7A_EVEN, TATE_7A_ODD, x, y), rest),
        fp_multiply(norm_for_order_7(TATE_7B_EVEN, TATE_7B_ODD, x, y), rest),
        fp_double(z.re),
        fp2_norm(z),
    });
    return is_in_prime_field(powers.trace, powers.norm) &
           fp_zero_mask(fp_subtract(powers.a, FP2_ONE.re)) &
           fp_zero_mask(fp_subtract(powers.b, FP2_ONE.re));
}

#endif
