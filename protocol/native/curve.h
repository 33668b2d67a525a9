/* FourQ, one point at a time: its parameters, as in qubic/core's four_q.h, and the 32-byte form. */
#ifndef REALTIME_CURVE_H
#define REALTIME_CURVE_H

#include "field.h"
#include "point.h"

static const fp2 CURVE_D = {FP(0x00000000000000E4, 0x0000000000000142),
                            FP(0x5E472F846657E0FC, 0xB3821488F1FC0C8D)};
static const struct point GENERATOR = {
    {FP(0x1A3472237C2FB305, 0x286592AD7B3833AA), FP(0x1E1F553F2878AA9C, 0x96869FB360AC77F6)},
    {FP(0x0E3FEE9BA120785A, 0xB924A2462BCBB287), FP(0x6E1C4AF8630E0242, 0x49A7C344844C8B5C)},
    {1, 0},
    {FP(0x1A3472237C2FB305, 0x286592AD7B3833AA), FP(0x1E1F553F2878AA9C, 0x96869FB360AC77F6)},
    {FP(0x0E3FEE9BA120785A, 0xB924A2462BCBB287), FP(0x6E1C4AF8630E0242, 0x49A7C344844C8B5C)},
};

static inline void store_fp(uint8_t *bytes, fp a) {
    store_u64(bytes, (uint64_t)a);
    store_u64(bytes + 8, (uint64_t)(a >> 64));
}

/* 1 for 0, else 0: a field element leaves the top bit free. */
static inline uint64_t fp_is_zero(fp a) { return (uint64_t)((a - 1) >> 127); }

static inline void encode(const struct point *point, fp2 z_inverse, uint8_t *bytes) {
    fp2 x = fp2_reduce(fp2_multiply(point->x, z_inverse));
    fp2 y = fp2_reduce(fp2_multiply(point->y, z_inverse));
    fp sign = (x.re | (x.im & -(fp)fp_is_zero(x.re))) >> 126;
    store_fp(bytes, y.re);
    store_fp(bytes + 16, y.im | sign << 127);
}

static inline struct affine affine_scaled(const struct point *point, fp2 z_inverse) {
    fp2 x = fp2_multiply(point->x, z_inverse), y = fp2_multiply(point->y, z_inverse);
    fp2 xy_d = fp2_multiply(fp2_multiply(x, y), CURVE_D);
    return (struct affine){fp2_add(y, x), fp2_subtract(y, x), fp2_add(xy_d, xy_d)};
}

static inline struct affine affine_of(const struct point *point) {
    return affine_scaled(point, fp2_invert(point->z));
}

static inline struct affine affine_negate(struct affine a) {
    return (struct affine){a.difference, a.sum, fp2_negate(a.t2d)};
}

#endif
