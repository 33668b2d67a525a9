/* Points of FourQ, -x^2 + y^2 = 1 + d x^2 y^2 over GF(p^2), in extended coordinates, without a branch
 * on values. Formulas: Hisil, Wong, Carter and Dawson for a = -1, complete as d is no square.
 *
 * The field is what field.h or lanes.h gives: include one of them first. */
#ifndef REALTIME_POINT_H
#define REALTIME_POINT_H

/* As in qubic/core's four_q.h. */
static const fp2 CURVE_D = {FP(0x00000000000000E4, 0x0000000000000142),
                            FP(0x5E472F846657E0FC, 0xB3821488F1FC0C8D)};

/* X/Z, Y/Z, and XY/Z^2 = ta tb / Z. */
struct point {
    fp2 x, y, z, ta, tb;
};

/* y + x, y - x, 2 d x y. */
struct affine {
    fp2 sum, difference, t2d;
};

/* With E, F, G, H: (E F : G H : F G), and T = E H stays in factors. Written where it is to be: a point
 * has 160 bytes, and to copy them costs as much as a product. */
static inline void complete(struct point *p, fp2 e, fp2 f, fp2 g, fp2 h) {
    p->x = fp2_multiply(e, f);
    p->y = fp2_multiply(g, h);
    p->z = fp2_multiply(f, g);
    p->ta = e;
    p->tb = h;
}

/* p becomes 2 p. */
static inline void point_double(struct point *p) {
    fp2 a = fp2_square(p->x), b = fp2_square(p->y), c = fp2_square(p->z);
    fp2 sum = fp2_add(a, b), g = fp2_subtract(b, a);
    fp2 e = fp2_subtract(fp2_square(fp2_add(p->x, p->y)), sum);
    complete(p, e, fp2_subtract(g, fp2_double(c)), g, fp2_negate(sum));
}

/* p becomes p + q. */
static inline void point_add_affine(struct point *p, const struct affine *q) {
    fp2 a = fp2_multiply(fp2_subtract(p->y, p->x), q->difference);
    fp2 b = fp2_multiply(fp2_add(p->y, p->x), q->sum);
    fp2 c = fp2_multiply(fp2_multiply(p->ta, p->tb), q->t2d);
    fp2 d = fp2_double(p->z);
    complete(p, fp2_subtract(b, a), fp2_subtract(d, c), fp2_add(d, c), fp2_add(b, a));
}

/* With Z = 4. */
static inline struct point point_of_affine(const struct affine *a) {
    fp2 x = fp2_subtract(a->sum, a->difference), y = fp2_add(a->sum, a->difference);
    fp2 two = fp2_double(FP2_ONE);
    return (struct point){fp2_double(x), fp2_double(y), fp2_double(two), x, y};
}

/* y + x, y - x, 2, 2 d x y, all times Z. */
struct addend {
    fp2 sum, difference, z2, t2d;
};

static inline struct addend addend_of(const struct point *p) {
    fp2 td = fp2_multiply(fp2_multiply(p->ta, p->tb), CURVE_D);
    return (struct addend){fp2_add(p->y, p->x), fp2_subtract(p->y, p->x), fp2_double(p->z),
                           fp2_double(td)};
}

/* p + q and p - q: much of them is the same. */
static inline void point_add_and_subtract(const struct point *p, const struct addend *q,
                                          struct point *sum, struct point *difference) {
    fp2 minus = fp2_subtract(p->y, p->x), plus = fp2_add(p->y, p->x);
    fp2 c = fp2_multiply(fp2_multiply(p->ta, p->tb), q->t2d), d = fp2_multiply(p->z, q->z2);
    fp2 f = fp2_subtract(d, c), g = fp2_add(d, c);
    fp2 a = fp2_multiply(minus, q->difference), b = fp2_multiply(plus, q->sum);
    complete(sum, fp2_subtract(b, a), f, g, fp2_add(b, a));
    a = fp2_multiply(minus, q->sum), b = fp2_multiply(plus, q->difference);
    complete(difference, fp2_subtract(b, a), g, f, fp2_add(b, a));
}

static inline fp fp_square_times(fp a, int times) {
    for (int i = 0; i < times; i++) {
        a = fp_square(a);
    }
    return a;
}

/* a^(2^125 - 1), a^((p - 3)/4): a root of 1/a or -1/a. The names tell the exponents:
 * a^(2^name - 1), and of the last ones what is missing to 125. */
static inline fp fp_root_of_inverse(fp a) {
    fp two = fp_multiply(fp_square(a), a);
    fp three = fp_multiply(fp_square(two), a);
    fp six = fp_multiply(fp_square_times(three, 3), three);
    fp twelve = fp_multiply(fp_square_times(six, 6), six);
    fp twenty_four = fp_multiply(fp_square_times(twelve, 12), twelve);
    fp forty_eight = fp_multiply(fp_square_times(twenty_four, 24), twenty_four);
    fp ninety_six = fp_multiply(fp_square_times(forty_eight, 48), forty_eight);
    fp all_but_five = fp_multiply(fp_square_times(ninety_six, 24), twenty_four);
    fp all_but_two = fp_multiply(fp_square_times(all_but_five, 3), three);
    return fp_multiply(fp_square_times(all_but_two, 2), two);
}

/* a^(p - 2): 1/a, and 0 for 0. */
static inline fp fp_invert(fp a) {
    return fp_multiply(fp_square_times(fp_root_of_inverse(a), 2), a);
}

static inline fp2 fp2_invert(fp2 a) {
    fp inverse = fp_invert(fp_add(fp_square(a.re), fp_square(a.im)));
    return (fp2){fp_multiply(a.re, inverse), fp_multiply(fp_negate(a.im), inverse)};
}

static inline struct affine affine_scaled(const struct point *point, fp2 z_inverse) {
    fp2 x = fp2_multiply(point->x, z_inverse), y = fp2_multiply(point->y, z_inverse);
    fp2 xy_d = fp2_multiply(fp2_multiply(x, y), CURVE_D);
    return (struct affine){fp2_add(y, x), fp2_subtract(y, x), fp2_double(xy_d)};
}

static inline struct affine affine_of(const struct point *point) {
    return affine_scaled(point, fp2_invert(point->z));
}

static inline struct affine affine_negate(struct affine a) {
    return (struct affine){a.difference, a.sum, fp2_negate(a.t2d)};
}

#endif
