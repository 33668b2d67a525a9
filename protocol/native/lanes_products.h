/* Eight verifications at once, one in each lane, by the steps of verification.c. */
#include "lanes.h"

#include "lanes_path.h"
#include "point.h"

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

ALWAYS_INLINE struct affine affine_of_choice(const struct choice *choice) {
    fp2 sum = {fp_load(choice->words), fp_load(choice->words + 2)};
    fp2 difference = {fp_load(choice->words + 4), fp_load(choice->words + 6)};
    fp2 t2d = {fp_load(choice->words + 8), fp_load(choice->words + 10)};
    lanes minus = lanes_load(choice->minus);
    t2d.re = fp_select(t2d.re, fp_negate(t2d.re), minus);
    t2d.im = fp_select(t2d.im, fp_negate(t2d.im), minus);
    return (struct affine){sum, difference, t2d};
}

static void add_choice(struct point *point, const struct choice *choice) {
    struct affine step = affine_of_choice(choice);
    point_add_affine(point, &step);
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

static void encode_lanes(const struct point *point, uint8_t encoded[LANES][32]) {
    fp2 z_inverse = fp2_invert(point->z);
    fp2 x = fp2_reduce(fp2_multiply(point->x, z_inverse));
    fp2 y = fp2_reduce(fp2_multiply(point->y, z_inverse));
    lanes sign = fp_top_bit_mask(fp_select(x.re, x.im, fp_zero_mask(x.re)));
    uint64_t words[4][LANES];
    fp_store(y.re, words);
    fp_store(y.im, words + 2);
    for (int lane = 0; lane < LANES; lane++) {
        words[3][lane] |= sign[lane] << 63;
        for (int i = 0; i < 4; i++) {
            store_u64(encoded[lane] + 8 * i, words[i][lane]);
        }
    }
}

static void add_products(const struct products items[VERIFICATIONS_AT_ONCE],
                         const struct affine_words generator_multiples[CHUNKS][WINDOW_ENTRIES],
                         uint8_t encoded[VERIFICATIONS_AT_ONCE][32]) {
    struct choice choice;
    choose_key_multiples(&choice, items, DIGITS - 1);
    struct affine first = affine_of_choice(&choice);
    struct point point = point_of_affine(&first);
    for (int digit = DIGITS - 2; digit >= 0; digit--) {
        choose_key_multiples(&choice, items, digit);
        point_double(&point);
        add_choice(&point, &choice);
        if (digit % WINDOW_BITS == 0) {
            for (int chunk = 0; chunk < CHUNKS; chunk++) {
                choose_window(&choice, items, chunk, digit / WINDOW_BITS, generator_multiples[chunk]);
                add_choice(&point, &choice);
            }
        }
    }
    encode_lanes(&point, encoded);
}

const struct lanes_path LANES_NAME(lanes_path) = {LANES_NAME(hash), LANES_NAME(prepare_keys),
                                                  add_products};
