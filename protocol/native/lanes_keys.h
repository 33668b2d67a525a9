/* Eight public keys at once, one in each lane, by the steps of verification.c. */
#define LANES_CARRY
#include "lanes.h"

#include "key.h"
#include "lanes_path.h"

/* Where the multiples go: [entry][word][lane]. */
struct multiples {
    uint64_t words[KEY_MULTIPLES][AFFINE_WORDS][LANES];
};

static void store_multiples(const struct affine *multiples, struct multiples *stored) {
    for (int i = 0; i < KEY_MULTIPLES; i++) {
        const fp numbers[] = {multiples[i].sum.re,        multiples[i].sum.im,
                              multiples[i].difference.re, multiples[i].difference.im,
                              multiples[i].t2d.re,        multiples[i].t2d.im};
        for (int number = 0; number < AFFINE_WORDS / 2; number++) {
            fp_store(fp_reduce(numbers[number]), stored->words[i] + 2 * number);
        }
    }
}

static void take_multiples(const struct multiples *stored, int lane, struct prepared_key *key) {
    for (int i = 0; i < KEY_MULTIPLES; i++) {
        for (int word = 0; word < AFFINE_WORDS; word++) {
            key->multiples[i].words[word] = stored->words[i][word][lane];
        }
    }
}

unsigned LANES_NAME(prepare_keys)(const uint8_t *const public_keys[VERIFICATIONS_AT_ONCE],
                                  struct prepared_key keys[VERIFICATIONS_AT_ONCE]) {
    uint64_t words[4][LANES];
    for (int lane = 0; lane < LANES; lane++) {
        for (int i = 0; i < 4; i++) {
            words[i][lane] = load_u64(public_keys[lane] + 8 * i);
        }
    }
    lanes has_sign = -(lanes_load(words[3]) >> 63);
    for (int lane = 0; lane < LANES; lane++) {
        words[3][lane] &= UINT64_MAX >> 1;
    }
    fp2 x, y = {fp_load(words), fp_load(words + 2)};
    fp_mask is_sound = find_x(y, has_sign, &x);
    is_sound &= is_in_subgroup(x, y);
    struct affine multiples[KEY_MULTIPLES];
    multiply_key(x, y, multiples);
    struct multiples stored;
    store_multiples(multiples, &stored);
    unsigned sound = 0;
    for (int lane = 0; lane < LANES; lane++) {
        sound |= (unsigned)(is_sound[lane] & 1) << lane;
        take_multiples(&stored, lane, &keys[lane]);
    }
    return sound;
}
