/* What a public key's 32 bytes say, and the multiples that verification takes of it.
 *
 * The field is what field.h or lanes.h gives: include one of them first. Nothing here branches on a
 * value, for eight keys in lanes have eight values. */
#ifndef REALTIME_KEY_H
#define REALTIME_KEY_H

#include "endomorphisms.h"
#include "point.h"
#include "subgroup.h"
#include "verification.h"

/* A root x of up/down, if there is one. With c = up conj(down) and n the norm of down, so that
 * up/down = c/n, and w = 2 (Re c + |c|), x is w s/2 + i Im c s or Im c s - i w s/2, where s^2 is
 * 1/(w n) or -1/(w n). */
static inline fp_mask fp2_root_of_fraction(fp2 up, fp2 down, fp2 *root) {
    fp2 c = fp2_multiply(up, fp2_conjugate(down));
    fp norm = fp2_norm(down), square = fp2_norm(c);
    fp length = fp_multiply(fp_root_of_inverse(square), square);
    fp half = fp_add(c.re, length);
    half = fp_select(half, fp_subtract(c.re, length), fp_zero_mask(half));
    fp w = fp_double(half), wn = fp_multiply(w, norm), s = fp_root_of_inverse(wn);
    fp a = fp_multiply(half, s), b = fp_multiply(c.im, s);
    fp_mask is_positive =
        fp_zero_mask(fp_subtract(fp_multiply(fp_square(s), wn), FP2_ONE.re));
    *root = fp2_select((fp2){b, fp_negate(a)}, (fp2){a, b}, is_positive);
    return fp2_zero_mask(fp2_subtract(fp2_multiply(fp2_square(*root), down), up));
}

/* The x of the point with this y, of two the one with this sign. Not on the curve: 0. */
static inline fp_mask find_x(fp2 y, fp_mask has_sign, fp2 *x) {
    fp2 yy = fp2_square(y);
    fp2 up = fp2_subtract(yy, FP2_ONE), down = fp2_add(fp2_multiply(CURVE_D, yy), FP2_ONE);
    fp_mask is_on_curve = fp2_root_of_fraction(up, down, x);
    *x = fp2_reduce(*x);
    fp_mask sign = fp_top_bit_mask(fp_select(x->re, x->im, fp_zero_mask(x->re)));
    *x = fp2_select(*x, fp2_negate(*x), sign ^ has_sign);
    return is_on_curve;
}

/* With one inversion for all. */
static inline void make_affine(const struct point *points, int count, struct affine *results) {
    fp2 products[KEY_MULTIPLES];
    products[0] = points[0].z;
    for (int i = 1; i < count; i++) {
        products[i] = fp2_multiply(products[i - 1], points[i].z);
    }
    fp2 inverse = fp2_invert(products[count - 1]);
    for (int i = count - 1; i >= 0; i--) {
        fp2 own = i ? fp2_multiply(inverse, products[i - 1]) : inverse;
        inverse = fp2_multiply(inverse, points[i].z);
        results[i] = affine_scaled(&points[i], own);
    }
}

/* A + or - phi A + or - psi A + or - phi psi A: bits 0, 1, 2 of the place tell a minus. */
static inline void multiply_key(fp2 x, fp2 y, struct affine multiples[KEY_MULTIPLES]) {
    struct point key = {x, y, FP2_ONE, x, y};
    struct point phi = point_phi(&key), psi = point_psi(&key), both = point_phi(&psi);
    struct point first[2], sum, difference, points[KEY_MULTIPLES];
    struct addend addend = addend_of(&phi);
    point_add_and_subtract(&key, &addend, &first[0], &first[1]);
    addend = addend_of(&both);
    point_add_and_subtract(&psi, &addend, &sum, &difference);
    struct addend addend_sum = addend_of(&sum), addend_difference = addend_of(&difference);
    for (int i = 0; i < 2; i++) {
        point_add_and_subtract(&first[i], &addend_sum, &points[i], &points[i + 6]);
        point_add_and_subtract(&first[i], &addend_difference, &points[i + 4], &points[i + 2]);
    }
    make_affine(points, KEY_MULTIPLES, multiples);
}

#endif
