/* Points of FourQ, -x^2 + y^2 = 1 + d x^2 y^2 over GF(p^2), in extended coordinates, without a branch
 * on values. Formulas: Hisil, Wong, Carter and Dawson for a = -1, complete as d is no square.
 *
 * The field is what field.h or lanes.h gives: include one of them first. */
#ifndef REALTIME_POINT_H
#define REALTIME_POINT_H

/* X/Z, Y/Z, and XY/Z^2 = ta tb / Z. */
struct point {
    fp2 x, y, z, ta, tb;
};

/* y + x, y - x, 2 d x y. */
struct affine {
    fp2 sum, difference, t2d;
};

/* With E, F, G, H: (E F : G H : F G), and T = E H stays in factors. */
static inline struct point complete(fp2 e, fp2 f, fp2 g, fp2 h) {
    return (struct point){fp2_multiply(e, f), fp2_multiply(g, h), fp2_multiply(f, g), e, h};
}

static inline struct point point_double(const struct point *p) {
    fp2 a = fp2_square(p->x), b = fp2_square(p->y), c = fp2_square(p->z);
    fp2 sum = fp2_add(a, b), g = fp2_subtract(b, a);
    fp2 e = fp2_subtract(fp2_square(fp2_add(p->x, p->y)), sum);
    return complete(e, fp2_subtract(g, fp2_add(c, c)), g, fp2_negate(sum));
}

static inline struct point point_add_affine(const struct point *p, const struct affine *q) {
    fp2 a = fp2_multiply(fp2_subtract(p->y, p->x), q->difference);
    fp2 b = fp2_multiply(fp2_add(p->y, p->x), q->sum);
    fp2 c = fp2_multiply(fp2_multiply(p->ta, p->tb), q->t2d);
    fp2 d = fp2_add(p->z, p->z);
    return complete(fp2_subtract(b, a), fp2_subtract(d, c), fp2_add(d, c), fp2_add(b, a));
}

static inline fp fp_square_times(fp a, int times) {
    for (int i = 0; i < times; i++) {
        a = fp_square(a);
    }
    return a;
}

/* a^(p - 2): 1/a, and 0 for 0. The names tell the exponents: a^(2^name - 1). */
static inline fp fp_invert(fp a) {
    fp two = fp_multiply(fp_square(a), a);
    fp three = fp_multiply(fp_square(two), a);
    fp six = fp_multiply(fp_square_times(three, 3), three);
    fp twelve = fp_multiply(fp_square_times(six, 6), six);
    fp twenty_four = fp_multiply(fp_square_times(twelve, 12), twelve);
    fp forty_eight = fp_multiply(fp_square_times(twenty_four, 24), twenty_four);
    fp ninety_six = fp_multiply(fp_square_times(forty_eight, 48), forty_eight);
    fp all_but_seven = fp_multiply(fp_square_times(ninety_six, 24), twenty_four);
    fp all_but_four = fp_multiply(fp_square_times(all_but_seven, 3), three);
    fp all_but_two = fp_multiply(fp_square_times(all_but_four, 2), two);
    return fp_multiply(fp_square_times(all_but_two, 2), a);
}

static inline fp2 fp2_invert(fp2 a) {
    fp inverse = fp_invert(fp_add(fp_square(a.re), fp_square(a.im)));
    return (fp2){fp_multiply(a.re, inverse), fp_multiply(fp_negate(a.im), inverse)};
}

#endif
