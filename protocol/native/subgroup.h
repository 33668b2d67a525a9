/* Whether a point of FourQ is in the subgroup of order N, exactly and without a multiplication.
 *
 * The curve's group is Z/N x Z/8 x Z/7 x Z/7. By the Tate pairing's non-degeneracy a point has no
 * part of order 2, 4 or 8 when its pairing with the point of order 8 is 1, and none of order 7 when
 * its pairings with two independent points of order 7 are. A pairing is a fixed function's value,
 * raised to (p^2 - 1)/8 or (p^2 - 1)/7. In terms of y, that function is x even(y) + g(y) odd(y), up
 * to factors that are kept. */
#ifndef REALTIME_SUBGROUP_H
#define REALTIME_SUBGROUP_H

#include "constants.h"
#include "curve.h"

static inline fp2 polynomial(const fp2 *c, int degree, fp2 y) {
    fp2 sum = c[degree];
    for (int i = degree - 1; i >= 0; i--) {
        sum = fp2_add(fp2_multiply(sum, y), c[i]);
    }
    return sum;
}

static inline fp fp2_norm(fp2 a) { return fp_add(fp_square(a.re), fp_square(a.im)); }

/* Of z = function / (x (1-y)^4); conj(w) does for 1/w, as w conj(w) is in GF(p) and all that is there
 * has pairing 1. z^((p-1) 2^124) is 1 when z^(2^124) is in GF(p): when its real part's square is its
 * norm. Of the squares' real parts and norms, one follows from the other without the rest. */
static inline bool pairs_with_order_8(fp2 x, fp2 y) {
    fp2 b = fp2_subtract(FP2_ONE, y), both = fp2_multiply(b, fp2_add(FP2_ONE, y));
    fp2 f = fp2_add(fp2_multiply(x, polynomial(TATE_8_EVEN, 4, y)),
                    fp2_multiply(both, polynomial(TATE_8_ODD, 2, y)));
    fp2 z = fp2_multiply(f, fp2_conjugate(fp2_multiply(x, fp2_square(fp2_square(b)))));
    fp real = z.re, norm = fp2_norm(z);
    if (fp_reduce(norm) == 0) {
        return false;
    }
    for (int i = 0; i < 124; i++) {
        fp square = fp_square(real);
        real = fp_subtract(fp_add(square, square), norm);
        norm = fp_square(norm);
    }
    return fp_reduce(fp_subtract(fp_square(real), norm)) == 0;
}

/* (p - 1)/7 is 2 (1 + 8 + .. + 8^41). */
static inline fp power_for_order_7(fp a) {
    fp two = fp_multiply(fp_square_times(a, 3), a);
    fp four = fp_multiply(fp_square_times(two, 6), two);
    fp five = fp_multiply(fp_square_times(four, 3), a);
    fp ten = fp_multiply(fp_square_times(five, 15), five);
    fp twenty = fp_multiply(fp_square_times(ten, 30), ten);
    fp twenty_one = fp_multiply(fp_square_times(twenty, 3), a);
    return fp_square(fp_multiply(fp_square_times(twenty_one, 63), twenty_one));
}

/* Of function / (x (1-y)^3); the sixth power does for 1/w, the fourth for 1/w^3. The exponent's
 * factor p + 1 makes the norm. */
static inline bool pairs_with_order_7(const fp2 *even, const fp2 *odd, fp2 x, fp2 y, fp rest) {
    fp2 f = fp2_add(fp2_multiply(x, polynomial(even, 3, y)),
                    fp2_multiply(fp2_add(FP2_ONE, y), polynomial(odd, 2, y)));
    return fp_reduce(power_for_order_7(fp_multiply(fp2_norm(f), rest))) == 1;
}

static inline bool is_in_subgroup(fp2 x, fp2 y) {
    fp xx = fp_square(fp2_norm(x)), bb = fp_square(fp2_norm(fp2_subtract(FP2_ONE, y)));
    fp rest = fp_multiply(fp_multiply(fp_square(xx), xx), fp_square(bb));
    return pairs_with_order_8(x, y) && pairs_with_order_7(TATE_7A_EVEN, TATE_7A_ODD, x, y, rest) &&
           pairs_with_order_7(TATE_7B_EVEN, TATE_7B_ODD, x, y, rest);
}

#endif
