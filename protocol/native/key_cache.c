#include "key_cache.h"

#include <stdatomic.h>
#include <string.h>

#include "words.h"

enum { WAYS = 4, SETS = CACHED_KEYS_MAX / WAYS, BYTES_OF_KEY = 32 };

struct set {
    atomic_flag in_use;
    uint8_t filled, next;
    uint8_t public_keys[WAYS][BYTES_OF_KEY];
    struct prepared_key keys[WAYS];
};

/* About 3.3 MB, of which the system gives what is used. */
static struct set sets[SETS];

const size_t KEY_CACHE_BYTES_MAX = sizeof sets;

static atomic_bool is_off;

/* Keys that crowd into one set cost their owners' own hits, and no more than that. */
static struct set *set_of(const uint8_t *public_key) {
    uint64_t mixed = (load_u64(public_key) ^ load_u64(public_key + 16)) * 0x9E3779B97F4A7C15;
    return &sets[mixed >> 32 & (SETS - 1)];
}

static bool begin_use(struct set *set) {
    return !atomic_load_explicit(&is_off, memory_order_relaxed) &&
           !atomic_flag_test_and_set_explicit(&set->in_use, memory_order_acquire);
}

static void end_use(struct set *set) {
    atomic_flag_clear_explicit(&set->in_use, memory_order_release);
}

static int find(const struct set *set, const uint8_t *public_key) {
    for (int way = 0; way < set->filled; way++) {
        if (memcmp(set->public_keys[way], public_key, BYTES_OF_KEY) == 0) {
            return way;
        }
    }
    return -1;
}

bool key_cache_get(const uint8_t *public_key, struct prepared_key *key) {
    struct set *set = set_of(public_key);
    if (!begin_use(set)) {
        return false;
    }
    int way = find(set, public_key);
    if (way >= 0) {
        *key = set->keys[way];
    }
    end_use(set);
    return way >= 0;
}

void key_cache_put(const uint8_t *public_key, const struct prepared_key *key) {
    struct set *set = set_of(public_key);
    if (!begin_use(set)) {
        return;
    }
    if (find(set, public_key) < 0) {
        memcpy(set->public_keys[set->next], public_key, BYTES_OF_KEY);
        set->keys[set->next] = *key;
        set->next = (uint8_t)((set->next + 1) % WAYS);
        set->filled = (uint8_t)(set->filled < WAYS ? set->filled + 1 : WAYS);
    }
    end_use(set);
}

void key_cache_use(bool on) {
    atomic_store(&is_off, !on);
    for (int i = 0; i < SETS && !on; i++) {
        /* Whoever is at it is done in less than a microsecond. */
        while (atomic_flag_test_and_set_explicit(&sets[i].in_use, memory_order_acquire)) {
        }
        sets[i].filled = sets[i].next = 0;
        end_use(&sets[i]);
    }
}
