/* Between batch.c and the code that has one verification in each lane of a vector. That code is
 * compiled twice: with AVX-512 IFMA, and as its portable twin, for tests on any processor. */
#ifndef REALTIME_LANES_PATH_H
#define REALTIME_LANES_PATH_H

#include "k12.h"
#include "verification.h"

/* A message that fits one block, with what K12 puts behind it. */
enum { K12_LANES_MESSAGE_BYTES_MAX = 166, K12_LANES_DIGEST_BYTES = 32 };

struct lanes_path {
    /* Hash eight messages of up to K12_LANES_MESSAGE_BYTES_MAX each; parts[l] are message l's, which
     * has part_count of them. */
    void (*hash)(const struct k12_part *const parts[VERIFICATIONS_AT_ONCE], size_t part_count,
                 uint8_t digests[VERIFICATIONS_AT_ONCE][K12_LANES_DIGEST_BYTES]);

    /* Decode, check and multiply keys of which has_key_form is true. Bit l tells that key l is sound;
     * of those that aren't nothing can be used. */
    unsigned (*prepare_keys)(const uint8_t *const public_keys[VERIFICATIONS_AT_ONCE],
                             struct prepared_key keys[VERIFICATIONS_AT_ONCE]);

    /* All sums as 32 bytes each. */
    void (*add_products)(const struct products items[VERIFICATIONS_AT_ONCE],
                         const struct affine_words multiples[CHUNKS][WINDOW_ENTRIES],
                         uint8_t encoded[VERIFICATIONS_AT_ONCE][32]);
};

#ifdef LANES_TWIN
#define LANES_NAME(name) name##_twin
#else
#define LANES_NAME(name) name##_ifma
#endif

void LANES_NAME(hash)(const struct k12_part *const parts[VERIFICATIONS_AT_ONCE], size_t part_count,
                      uint8_t digests[VERIFICATIONS_AT_ONCE][K12_LANES_DIGEST_BYTES]);
unsigned LANES_NAME(prepare_keys)(const uint8_t *const public_keys[VERIFICATIONS_AT_ONCE],
                                  struct prepared_key keys[VERIFICATIONS_AT_ONCE]);

extern const struct lanes_path lanes_path_ifma, lanes_path_twin;

#endif
