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

/* Two powers at a time: one alone would wait for its own last product. */
struct pair {
    fp a, b;
};

static inline struct pair pair_multiply(struct pair x, struct pair y) {
    return (struct pair){fp_multiply(x.a, y.a), fp_multiply(x.b, y.b)};
}

static inline struct pair pair_square_times(struct pair x, int times) {
    for (int i = 0; i < times; i++) {
        x.a = fp_square(x.a);
        x.b = fp_square(x.b);
    }
    return x;
}

/* (p - 1)/7 is 2 (1 + 8 + .. + 8^41). */
static inline struct pair power_for_order_7(struct pair one) {
    struct pair two = pair_multiply(pair_square_times(one, 3), one);
    struct pair four = pair_multiply(pair_square_times(two, 6), two);
    struct pair five = pair_multiply(pair_square_times(four, 3), one);
    struct pair ten = pair_multiply(pair_square_times(five, 15), five);
    struct pair twenty = pair_multiply(pair_square_times(ten, 30), ten);
    struct pair twenty_one = pair_multiply(pair_square_times(twenty, 3), one);
    struct pair all = pair_multiply(pair_square_times(twenty_one, 63), twenty_one);
    return pair_square_times(all, 1);
}

/* Of function / (x (1-y)^3); the sixth power does for 1/w, the fourth for 1/w^3. The exponent's
 * factor p + 1 makes the norm. */
static inline fp norm_for_order_7(const fp2 *even, const fp2 *odd, fp2 x, fp2 y) {
    fp2 f = fp2_add(fp2_multiply(x, polynomial(even, 3, y)),
                    fp2_multiply(fp2_add(FP2_ONE, y), polynomial(odd, 2, y)));
    return fp2_norm(f);
}

static inline fp_mask pairs_with_order_7(fp2 x, fp2 y) {
    fp xx = fp_square(fp2_norm(x)), bb = fp_square(fp2_norm(fp2_subtract(FP2_ONE, y)));
    fp rest = fp_multiply(fp_multiply(fp_square(xx), xx), fp_square(bb));
    struct pair pair = {norm_for_order_7(TATE_7A_EVEN, TATE_7A_ODD, x, y),
                        norm_for_order_7(TATE_7B_EVEN, TATE_7B_ODD, x, y)};
    pair = power_for_order_7(pair_multiply(pair, (struct pair){rest, rest}));
    return fp_zero_mask(fp_subtract(pair.a, FP2_ONE.re)) &
           fp_zero_mask(fp_subtract(pair.b, FP2_ONE.re));
}

/* Of z = function / (x (1-y)^4); conj(w) does for 1/w, as w conj(w) is in GF(p) and all that is there
 * has pairing 1. z^((p-1) 2^124) is 1 when z^(2^124) is in GF(p): when its real part's square is its
 * norm. Of the squares' real parts and norms, one follows from the other without the rest. */
static inline fp_mask pairs_with_order_8(fp2 x, fp2 y) {
    fp2 b = fp2_subtract(FP2_ONE, y), both = fp2_multiply(b, fp2_add(FP2_ONE, y));
    fp2 f = fp2_add(fp2_multiply(x, polynomial(TATE_8_EVEN, 4, y)),
                    fp2_multiply(both, polynomial(TATE_8_ODD, 2, y)));
    fp2 z = fp2_multiply(f, fp2_conjugate(fp2_multiply(x, fp2_square(fp2_square(b)))));
    fp trace = fp_double(z.re), norm = fp2_norm(z);
    for (int i = 0; i < 124; i++) {
        trace = fp_subtract(fp_square(trace), fp_double(norm));
        norm = fp_square(norm);
    }
    fp four = fp_double(fp_double(norm));
    return fp_zero_mask(fp_subtract(fp_square(trace), four)) & ~fp_zero_mask(norm);
}

static inline fp_mask is_in_subgroup(fp2 x, fp2 y) {
    return pairs_with_order_8(x, y) & pairs_with_order_7(x, y);
}

#endif
