/* Many verifications: eight at once where the processor has lanes for them, else one by one. */
#include <stdatomic.h>
#include <string.h>

#include "key_cache.h"
#include "lanes_path.h"
#include "schnorrq.h"
#include "signing.h"
#include "verification.h"

struct path {
    const char *name, *description;
    const struct lanes_path *lanes;
};

/* The best one first. */
static const struct path PATHS[] = {
#ifdef REALTIME_HAS_IFMA
    {"ifma", "AVX-512 IFMA, 8 lanes", &lanes_path_ifma},
#endif
    {"portable", "portable", NULL},
    {"twin", "portable twin of the lanes", &lanes_path_twin},
};

enum { PATH_COUNT = sizeof PATHS / sizeof *PATHS };

static _Atomic(const struct path *) chosen;

/* The compiler's own question covers the system's part too: whether it keeps the registers. */
static bool has_ifma(void) {
#ifdef REALTIME_HAS_IFMA
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma");
#else
    return false;
#endif
}

const char *schnorrq_path_name(size_t number) {
    for (size_t i = 0; i < PATH_COUNT; i++) {
        bool runs_here = strcmp(PATHS[i].name, "ifma") != 0 || has_ifma();
        if (runs_here && number-- == 0) {
            return PATHS[i].name;
        }
    }
    return NULL;
}

bool schnorrq_use_path(const char *name) {
    for (size_t i = 0; i < PATH_COUNT; i++) {
        if (strcmp(PATHS[i].name, name) == 0 && (strcmp(name, "ifma") != 0 || has_ifma())) {
            atomic_store(&chosen, &PATHS[i]);
            return true;
        }
    }
    return false;
}

const char *schnorrq_path(void) { return atomic_load(&chosen)->description; }

void schnorrq_begin(void) {
    signing_begin();
    verification_begin();
    (void)schnorrq_use_path(schnorrq_path_name(0));
}

/* Below so many the lanes' fixed price is more than one after the other costs. */
enum { EQUATIONS_PAY_FROM = 3, KEYS_PAY_FROM = 2 };

/* Two queues for the lanes: items whose key must be prepared first, and items with their keys. */
struct batch {
    const struct lanes_path *lanes;
    const struct signed_message *items;
    uint8_t *verdicts;
    size_t unknown[VERIFICATIONS_AT_ONCE], ready[VERIFICATIONS_AT_ONCE];
    struct prepared_key keys[VERIFICATIONS_AT_ONCE];
    int unknown_count, ready_count;
};

/* Lanes without an item of their own do the first one's work again. */
static const struct signed_message *ready_item(const struct batch *batch, int lane) {
    return &batch->items[batch->ready[lane < batch->ready_count ? lane : 0]];
}

static void hash_challenges(const struct batch *batch,
                            uint8_t digests[VERIFICATIONS_AT_ONCE][K12_LANES_DIGEST_BYTES]) {
    enum { PARTS_OF_CHALLENGE = 3 };
    struct k12_part parts[VERIFICATIONS_AT_ONCE][PARTS_OF_CHALLENGE];
    const struct k12_part *pointers[VERIFICATIONS_AT_ONCE];
    bool all_fit = true;
    for (int lane = 0; lane < VERIFICATIONS_AT_ONCE; lane++) {
        const struct signed_message *item = ready_item(batch, lane);
        parts[lane][0] = (struct k12_part){item->signature, 32};
        parts[lane][1] = (struct k12_part){item->public_key, KEY_BYTES};
        parts[lane][2] = (struct k12_part){item->message, item->message_size};
        pointers[lane] = parts[lane];
        all_fit = all_fit && item->message_size <= K12_LANES_MESSAGE_BYTES_MAX - 32 - KEY_BYTES;
    }
    if (all_fit) {
        batch->lanes->hash(pointers, PARTS_OF_CHALLENGE, digests);
        return;
    }
    for (int lane = 0; lane < batch->ready_count; lane++) {
        k12(parts[lane], PARTS_OF_CHALLENGE, digests[lane], K12_LANES_DIGEST_BYTES);
    }
}

static void decide_in_lanes(const struct batch *batch) {
    struct products products[VERIFICATIONS_AT_ONCE];
    uint8_t digests[VERIFICATIONS_AT_ONCE][K12_LANES_DIGEST_BYTES];
    uint8_t encoded[VERIFICATIONS_AT_ONCE][32];
    hash_challenges(batch, digests);
    for (int lane = 0; lane < VERIFICATIONS_AT_ONCE; lane++) {
        int own = lane < batch->ready_count ? lane : 0;
        products[lane] = products_of(&batch->keys[own], digests[own],
                                     ready_item(batch, lane)->signature);
    }
    batch->lanes->add_products(products, generator_multiples, encoded);
    for (int lane = 0; lane < batch->ready_count; lane++) {
        batch->verdicts[batch->ready[lane]] =
            memcmp(encoded[lane], ready_item(batch, lane)->signature, 32) == 0;
    }
}

static void decide_ready(struct batch *batch) {
    if (batch->ready_count >= EQUATIONS_PAY_FROM) {
        decide_in_lanes(batch);
    } else {
        for (int i = 0; i < batch->ready_count; i++) {
            batch->verdicts[batch->ready[i]] =
                equation_holds(ready_item(batch, i), &batch->keys[i]);
        }
    }
    batch->ready_count = 0;
}

static void add_ready(struct batch *batch, size_t item, const struct prepared_key *key) {
    batch->keys[batch->ready_count] = *key;
    batch->ready[batch->ready_count++] = item;
    if (batch->ready_count == VERIFICATIONS_AT_ONCE) {
        decide_ready(batch);
    }
}

static unsigned prepare_unknown(const struct batch *batch, const uint8_t *const *public_keys,
                                struct prepared_key *keys) {
    if (batch->unknown_count >= KEYS_PAY_FROM) {
        return batch->lanes->prepare_keys(public_keys, keys);
    }
    unsigned sound = 0;
    for (int i = 0; i < batch->unknown_count; i++) {
        sound |= (unsigned)prepare_key(public_keys[i], &keys[i]) << i;
    }
    return sound;
}

static void prepare_and_add(struct batch *batch) {
    const uint8_t *public_keys[VERIFICATIONS_AT_ONCE];
    struct prepared_key keys[VERIFICATIONS_AT_ONCE];
    for (int lane = 0; lane < VERIFICATIONS_AT_ONCE && batch->unknown_count; lane++) {
        int own = lane < batch->unknown_count ? lane : 0;
        public_keys[lane] = batch->items[batch->unknown[own]].public_key;
    }
    unsigned sound = prepare_unknown(batch, public_keys, keys);
    for (int i = 0; i < batch->unknown_count; i++) {
        if (sound >> i & 1) {
            key_cache_put(public_keys[i], &keys[i]);
            add_ready(batch, batch->unknown[i], &keys[i]);
        }
    }
    batch->unknown_count = 0;
}

static void add_item(struct batch *batch, size_t i) {
    const struct signed_message *item = &batch->items[i];
    struct prepared_key key;
    if (!has_signature_form(item->signature) || !has_key_form(item->public_key)) {
        return;
    }
    if (key_cache_get(item->public_key, &key)) {
        add_ready(batch, i, &key);
        return;
    }
    batch->unknown[batch->unknown_count++] = i;
    if (batch->unknown_count == VERIFICATIONS_AT_ONCE) {
        prepare_and_add(batch);
    }
}

void schnorrq_verify_many(const struct signed_message *items, size_t count, uint8_t *verdicts) {
    struct batch batch = {.lanes = atomic_load(&chosen)->lanes, .items = items,
                          .verdicts = verdicts};
    for (size_t i = 0; i < count; i++) {
        if (batch.lanes == NULL) {
            verdicts[i] = schnorrq_verify(&items[i]);
        } else {
            verdicts[i] = 0;
            add_item(&batch, i);
        }
    }
    prepare_and_add(&batch);
    decide_ready(&batch);
}
