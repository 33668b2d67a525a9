/* Sound keys with their multiples, for wallets that come again. Bounded: sets of four, the place in a
 * set taken in turn. A thread that finds a set in use does without it, so nobody ever waits. */
#ifndef REALTIME_KEY_CACHE_H
#define REALTIME_KEY_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "verification.h"

enum { CACHED_KEYS_MAX = 4096 };

/* The memory of a full cache. */
extern const size_t KEY_CACHE_BYTES_MAX;

/* Off, it forgets all keys and keeps none. It is on at first. */
void key_cache_use(bool on);

bool key_cache_get(const uint8_t *public_key, struct prepared_key *key);
void key_cache_put(const uint8_t *public_key, const struct prepared_key *key);

#endif
