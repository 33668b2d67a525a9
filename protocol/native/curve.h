/* FourQ, one point at a time: the generator, as in qubic/core's four_q.h, and the 32-byte form. */
#ifndef REALTIME_CURVE_H
#define REALTIME_CURVE_H

#include "field.h"
#include "point.h"

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

static inline void encode(const struct point *point, fp2 z_inverse, uint8_t *bytes) {
    fp2 x = fp2_reduce(fp2_multiply(point->x, z_inverse));
    fp2 y = fp2_reduce(fp2_multiply(point->y, z_inverse));
    fp sign = fp_select(x.re, x.im, fp_zero_mask(x.re)) >> 126;
    store_fp(bytes, y.re);
    store_fp(bytes + 16, y.im | sign << 127);
}

#endif
