/* Eight verifications at once, one in each lane, by the steps of verification.c. */
#include <string.h>

#include "lanes.h"
#include "point.h"
#include "verification.h"

/* One table entry for each lane. */
struct choice {
    uint64_t words[AFFINE_WORDS][LANES];
    uint64_t minus[LANES]; /* All ones where the negative is meant. */
};

/* The negative of (sum, difference, 2dxy) is (difference, sum, -2dxy). */
ALWAYS_INLINE void choose(struct choice *choice, int lane, const struct affine_words *entry,
                          int is_negative) {
    enum { HALF = 4 };
    int swap = is_negative ? HALF : 0;
    for (int i = 0; i < HALF; i++) {
        choice->words[i][lane] = entry->words[i + swap];
        choice->words[i + HALF][lane] = entry->words[i + HALF - swap];
        choice->words[i + 2 * HALF][lane] = entry->words[i + 2 * HALF];
    }
    choice->minus[lane] = is_negative ? UINT64_MAX : 0;
}

ALWAYS_INLINE lanes load(const uint64_t words[LANES]) {
    lanes result;
    memcpy(&result, words, sizeof result);
    return result;
}

ALWAYS_INLINE fp load_fp(const uint64_t words[2][LANES]) {
    lanes low = load(words[0]), high = load(words[1]);
    return (fp){{low & LIMB_MASK, (low >> 43 | high << 21) & LIMB_MASK, high >> 22}};
}

ALWAYS_INLINE fp fp_select(fp a, fp b, lanes take_b) {
    for (int i = 0; i < 3; i++) {
        a.limbs[i] ^= (a.limbs[i] ^ b.limbs[i]) & take_b;
    }
    return a;
}

ALWAYS_INLINE struct affine affine_of_choice(const struct choice *choice) {
    fp2 sum = {load_fp(choice->words), load_fp(choice->words + 2)};
    fp2 difference = {load_fp(choice->words + 4), load_fp(choice->words + 6)};
    fp2 t2d = {load_fp(choice->words + 8), load_fp(choice->words + 10)};
    lanes minus = load(choice->minus);
    t2d.re = fp_select(t2d.re, fp_negate(t2d.re), minus);
    t2d.im = fp_select(t2d.im, fp_negate(t2d.im), minus);
    return (struct affine){sum, difference, t2d};
}

static void add_choice(struct point *point, const struct choice *choice) {
    struct affine step = affine_of_choice(choice);
    *point = point_add_affine(point, &step);
}

static void choose_key_multiples(struct choice *choice, const struct products *items, int digit) {
    for (int lane = 0; lane < LANES; lane++) {
        const uint64_t *signs = items[lane].challenge.signs;
        uint64_t first = signs[0] >> digit & 1;
        uint64_t entry = ((signs[1] >> digit & 1) ^ first) | ((signs[2] >> digit & 1) ^ first) << 1 |
                         ((signs[3] >> digit & 1) ^ first) << 2;
        choose(choice, lane, &items[lane].key_multiples[entry], !first);
    }
}

static void choose_window(struct choice *choice, const struct products *items, int chunk, int w,
                          const struct affine_words *multiples) {
    for (int lane = 0; lane < LANES; lane++) {
        int digit = items[lane].response.digits[chunk][w];
        choose(choice, lane, &multiples[digit < 0 ? -digit : digit], digit < 0);
    }
}

__extension__ typedef unsigned __int128 wide;

/* The one form below p. */
static wide canonical(const fp *a, int lane) {
    const wide p = ((wide)1 << 127) - 1;
    wide sum = (wide)a->limbs[0][lane] + ((wide)a->limbs[1][lane] << 43);
    sum += (wide)(a->limbs[2][lane] & TOP_LIMB_MASK) << 86;
    sum = (sum & p) + (sum >> 127);
    return sum >= p ? sum - p : sum;
}

static void store(uint8_t *bytes, wide a) {
    for (int i = 0; i < 16; i++) {
        bytes[i] = (uint8_t)(a >> (8 * i));
    }
}

static void encode_lanes(const struct point *point, uint8_t encoded[LANES][32]) {
    fp2 z_inverse = fp2_invert(point->z);
    fp2 x = fp2_multiply(point->x, z_inverse), y = fp2_multiply(point->y, z_inverse);
    for (int lane = 0; lane < LANES; lane++) {
        wide re = canonical(&x.re, lane), sign = (re ? re : canonical(&x.im, lane)) >> 126;
        store(encoded[lane], canonical(&y.re, lane));
        store(encoded[lane] + 16, canonical(&y.im, lane) | sign << 127);
    }
}

void add_products_lanes(const struct products items[VERIFICATIONS_AT_ONCE],
                        const struct affine_words generator_multiples[CHUNKS][WINDOW_ENTRIES],
                        uint8_t encoded[VERIFICATIONS_AT_ONCE][32]) {
    fp one = {{lanes_of(1), lanes_of(0), lanes_of(0)}}, zero = {0};
    struct point point = {{zero, zero}, {one, zero}, {one, zero}, {zero, zero}, {one, zero}};
    for (int digit = DIGITS - 1; digit >= 0; digit--) {
        struct choice choice;
        choose_key_multiples(&choice, items, digit);
        point = point_double(&point);
        add_choice(&point, &choice);
        if (digit % WINDOW_BITS == 0 && digit < CHUNK_BITS) {
            for (int chunk = 0; chunk < CHUNKS; chunk++) {
                choose_window(&choice, items, chunk, digit / WINDOW_BITS, generator_multiples[chunk]);
                add_choice(&point, &choice);
            }
        }
    }
    encode_lanes(&point, encoded);
}
