/* The two cheap endomorphisms of FourQ (Costello and Longa, "FourQ", 2015). On the subgroup of order
 * N, phi^2 is -20 and psi^2 is 8.
 *
 * Each goes by the curve y^2 = x^3 - 2 A x^2 + (A^2 - 4) x, A being FourQ's Montgomery coefficient:
 * there (tau), by an isogeny of degree 5 or 2 to that curve's conjugate, by conjugation, and back.
 * A point is given and returned by X, Y, Z; the returned ta, tb are right too. Neither works where x
 * or y is 0; nor for some points of low order: the caller has checked the subgroup. */
#ifndef REALTIME_ENDOMORPHISMS_H
#define REALTIME_ENDOMORPHISMS_H

#include "constants.h"
#include "point.h"

/* Back from x = n/m on the other curve to FourQ. x on FourQ is x_up / (x_down (n^2 - a4 m^2)). */
static inline struct point tau_dual(fp2 n, fp2 m, fp2 x_up, fp2 x_down) {
    fp2 nn = fp2_square(n), mm = fp2_multiply(HAT_A4, fp2_square(m)), nm = fp2_multiply(n, m);
    fp2 sum = fp2_add(fp2_add(nn, mm), fp2_multiply(HAT_A2, nm)), four = fp2_double(nm);
    four = fp2_double(four);
    fp2 y_up = fp2_subtract(sum, four), y_down = fp2_add(sum, four);
    x_down = fp2_multiply(x_down, fp2_subtract(nn, mm));
    return (struct point){fp2_multiply(x_up, y_down), fp2_multiply(y_up, x_down),
                          fp2_multiply(x_down, y_down), x_up, y_up};
}

static inline struct point point_psi(const struct point *p) {
    fp2 yy = fp2_square(p->y), zz = fp2_square(p->z), d = fp2_subtract(zz, yy);
    fp2 yyyy = fp2_square(yy), dd = fp2_square(d), yy_d = fp2_multiply(yy, d);
    fp2 n = fp2_add(fp2_multiply(PSI_SQUARES, yyyy),
                    fp2_add(fp2_multiply(PSI_D_SQUARED, dd), fp2_multiply(PSI_MIXED, yy_d)));
    fp2 m = fp2_double(yy_d);
    fp2 yyyy16 = fp2_double(yyyy);
    yyyy16 = fp2_double(yyyy16);
    yyyy16 = fp2_double(yyyy16);
    yyyy16 = fp2_double(yyyy16);
    fp2 slope = fp2_subtract(yyyy16, fp2_multiply(PSI_A4, dd));
    fp2 up = fp2_multiply(fp2_multiply(zz, slope), fp2_multiply(p->y, d));
    return tau_dual(fp2_conjugate(n), fp2_conjugate(fp2_double(m)),
                    fp2_multiply(PSI_X, fp2_conjugate(up)), fp2_conjugate(p->x));
}

/* c0 dd + c1 xd + c2 xx. */
static inline fp2 quadratic(const fp2 c[3], fp2 dd, fp2 xd, fp2 xx) {
    return fp2_add(fp2_multiply(c[0], dd),
                   fp2_add(fp2_multiply(c[1], xd), fp2_multiply(c[2], xx)));
}

/* The isogeny's kernel is h = x^2 - s x + t; Velu's formulas, with x = x/d and H = h d^2. */
static inline struct point point_phi(const struct point *p) {
    fp2 yy = fp2_square(p->y), zz = fp2_square(p->z), d = fp2_subtract(zz, yy);
    fp2 x = fp2_add(fp2_multiply(TAU_Z, zz), fp2_multiply(TAU_Y, yy));
    fp2 v = fp2_multiply(zz, p->y);
    v = fp2_double(v);
    v = fp2_double(v);
    fp2 xx = fp2_square(x), xd = fp2_multiply(x, d), dd = fp2_square(d), sd = fp2_multiply(PHI_S, d);
    fp2 h = fp2_add(fp2_subtract(xx, fp2_multiply(sd, x)), fp2_multiply(PHI_T, dd));
    fp2 second = fp2_multiply(quadratic(PHI_N, dd, xd, xx), fp2_multiply(dd, d));
    fp2 first = fp2_subtract(fp2_multiply(PHI_SLOPE, x), fp2_multiply(PHI_OFFSET, d));
    fp2 up = fp2_add(fp2_multiply(h, fp2_add(fp2_multiply(x, h), fp2_multiply(first, dd))), second);
    fp2 hh = fp2_square(h);
    fp2 inner = fp2_add(fp2_multiply(h, fp2_add(h, fp2_multiply(PHI_SLOPE, dd))),
                        fp2_multiply(dd, quadratic(PHI_G, dd, xd, xx)));
    fp2 bend = fp2_multiply(second, fp2_subtract(fp2_double(x), sd));
    fp2 slope = fp2_subtract(fp2_multiply(h, inner), fp2_double(bend));
    fp2 m = fp2_multiply(d, hh);
    fp2 n = fp2_add(fp2_multiply(PHI_W, up), fp2_multiply(PHI_SHIFT, m));
    fp2 x_up = fp2_multiply(fp2_multiply(v, slope), fp2_multiply(d, h));
    return tau_dual(fp2_conjugate(n), fp2_conjugate(m), fp2_multiply(PHI_X, fp2_conjugate(x_up)),
                    fp2_conjugate(p->x));
}

#endif
