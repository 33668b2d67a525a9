/* Steps of the core as a library, for tests: elements of GF(p^2) go in and out as words, lowest first.
 * With IN_LANES the same for eight at once; then word i of lane l lies at [i][l]. */
#ifdef IN_LANES
#ifdef TIGHT
#define LANES_CARRY
#endif
#include "lanes.h"
#else
#include "field.h"
#endif

#include "key.h"

#ifdef IN_LANES
typedef uint64_t word[LANES];
static fp load(word *words) { return fp_load((void *)words); }
static void store(fp a, word *words) { fp_store(fp_reduce(fp_multiply(a, FP2_ONE.re)), words); }
static void store_mask(fp_mask mask, word *words) {
    lanes bit = mask & 1;
    memcpy(words[0], &bit, sizeof bit);
}
static fp_mask load_mask(word *words) { return -lanes_load(words[0]); }
#else
typedef uint64_t word;
static fp load(const word *words) { return FP(words[1], words[0]); }
static void store(fp a, word *words) {
    a = fp_reduce(a);
    words[0] = (uint64_t)a;
    words[1] = (uint64_t)(a >> 64);
}
static void store_mask(fp_mask mask, word *words) { words[0] = (uint64_t)mask & 1; }
static fp_mask load_mask(const word *words) { return -(fp)words[0]; }
#endif

static fp2 load2(word *words) { return (fp2){load(words), load(words + 2)}; }
static void store2(fp2 a, word *words) {
    store(a.re, words);
    store(a.im, words + 2);
}

enum operation { ADD, SUBTRACT, MULTIPLY, SQUARE, NEGATE, CONJUGATE, INVERT, DOUBLE };

void field(int operation, word *a, word *b, word *result) {
    fp2 x = load2(a), y = load2(b);
    switch ((enum operation)operation) {
    case ADD: store2(fp2_add(x, y), result); break;
    case SUBTRACT: store2(fp2_subtract(x, y), result); break;
    case MULTIPLY: store2(fp2_multiply(x, y), result); break;
    case SQUARE: store2(fp2_square(x), result); break;
    case NEGATE: store2(fp2_negate(x), result); break;
    case CONJUGATE: store2(fp2_conjugate(x), result); break;
    case INVERT: store2(fp2_invert(x), result); break;
    case DOUBLE: store2(fp2_double(x), result); break;
    }
}

void is_zero(word *a, word *result) { store_mask(fp2_zero_mask(load2(a)), result); }

static void store_point(struct point point, word *result) {
    fp2 z = fp2_invert(point.z);
    store2(fp2_multiply(point.x, z), result);
    store2(fp2_multiply(point.y, z), result + 4);
    /* T = ta tb is x y, times Z. */
    store2(fp2_multiply(fp2_multiply(point.ta, point.tb), z), result + 8);
}

static struct point affine_point(word *a) {
    fp2 x = load2(a), y = load2(a + 4);
    return (struct point){x, y, FP2_ONE, x, y};
}

enum group_operation { TWICE, SUM, DIFFERENCE, SUM_OF_BOTH, PHI, PSI, FROM_AFFINE };

/* Z and T go through an addition of the neutral point first, so that Z isn't 1. */
void group(int operation, word *a, word *b, word *result) {
    struct point p = affine_point(a), q = affine_point(b), sum, difference;
    struct affine q_affine = affine_of(&q), p_affine = affine_of(&p);
    struct addend q_addend = addend_of(&q);
    p = (struct point){FP2_ZERO, FP2_ONE, FP2_ONE, FP2_ZERO, FP2_ONE};
    point_add_affine(&p, &p_affine);
    point_add_and_subtract(&p, &q_addend, &sum, &difference);
    switch ((enum group_operation)operation) {
    case TWICE: point_double(&p); store_point(p, result); break;
    case SUM: point_add_affine(&p, &q_affine); store_point(p, result); break;
    case DIFFERENCE: store_point(difference, result); break;
    case SUM_OF_BOTH: store_point(sum, result); break;
    case PHI: store_point(point_phi(&p), result); break;
    case PSI: store_point(point_psi(&p), result); break;
    case FROM_AFFINE: store_point(point_of_affine(&p_affine), result); break;
    }
}

void decode(word *y, word *sign, word *x, word *found) {
    fp2 root;
    fp_mask is_on_curve = find_x(load2(y), load_mask(sign), &root);
    store2(root, x);
    store_mask(is_on_curve, found);
}

void subgroup(word *a, word *result) {
    store_mask(is_in_subgroup(load2(a), load2(a + 4)), result);
}
