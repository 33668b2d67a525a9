/* hammer_threads PATH: several threads verify with more keys than the cache has places, while another
 * one switches it off and on. Built with the thread sanitizer. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "k12.h"
#include "key_cache.h"
#include "schnorrq.h"

enum { THREADS = 3, WALLETS = 64, ROUNDS = 40, BATCH = 17, CROWD = CACHED_KEYS_MAX + 500 };

static uint8_t keys[WALLETS][KEY_BYTES], messages[WALLETS][32], signatures[WALLETS][SIGNATURE_BYTES];
static atomic_int wrong, running;

static void fill(uint8_t *bytes, unsigned number, unsigned salt) {
    for (unsigned i = 0; i < 32; i++) {
        bytes[i] = (uint8_t)((number >> i % 3 * 8) * 31 + i * salt);
    }
}

static void make_wallets(void) {
    for (unsigned i = 0; i < WALLETS; i++) {
        uint8_t subseed[32], none[KEY_BYTES] = {0}, expanded[64];
        const struct k12_part part = {subseed, 32};
        fill(subseed, i, 7);
        fill(messages[i], i, 11);
        k12(&part, 1, expanded, sizeof expanded);
        schnorrq_public_key(expanded, keys[i]);
        wrong += schnorrq_sign(subseed, none, messages[i], 32, signatures[i]);
        wrong += !schnorrq_sign(subseed, keys[i], messages[i], 32, signatures[i]);
    }
}

static void *verify_batches(void *argument) {
    unsigned state = *(unsigned *)argument;
    for (int round = 0; round < ROUNDS; round++) {
        struct signed_message items[BATCH];
        uint8_t expected[BATCH], verdicts[BATCH];
        for (int i = 0; i < BATCH; i++) {
            state = state * 1103515245 + 12345;
            unsigned wallet = state >> 16 & (WALLETS - 1), other = state >> 22 & (WALLETS - 1);
            other = state >> 30 ? wallet : other;
            items[i] = (struct signed_message){keys[wallet], messages[other], 32, signatures[wallet]};
            expected[i] = wallet == other;
        }
        schnorrq_verify_many(items, BATCH, verdicts);
        for (int i = 0; i < BATCH; i++) {
            wrong += verdicts[i] != expected[i];
        }
        wrong += schnorrq_verify(&items[0]) != (expected[0] == 1);
    }
    running--;
    return NULL;
}

/* Prepared keys needn't be real ones to take places; nobody asks for these. */
static void *crowd_out(void *argument) {
    (void)argument;
    static struct prepared_key key;
    for (unsigned i = 0; i < CROWD; i++) {
        uint8_t public_key[KEY_BYTES];
        fill(public_key, i, 13);
        key_cache_put(public_key, &key);
    }
    running--;
    return NULL;
}

static void *switch_cache(void *argument) {
    (void)argument;
    while (running > 0) {
        key_cache_use(false);
        key_cache_use(true);
    }
    return NULL;
}

int main(int argc, char **argv) {
    pthread_t threads[THREADS + 2];
    unsigned seeds[THREADS];
    schnorrq_begin();
    if (argc != 2 || !schnorrq_use_path(argv[1])) {
        return 2;
    }
    make_wallets();
    running = THREADS + 1;
    for (unsigned i = 0; i < THREADS; i++) {
        seeds[i] = i + 1;
        wrong += pthread_create(&threads[i], NULL, verify_batches, &seeds[i]) != 0;
    }
    wrong += pthread_create(&threads[THREADS], NULL, crowd_out, NULL) != 0;
    wrong += pthread_create(&threads[THREADS + 1], NULL, switch_cache, NULL) != 0;
    for (int i = 0; i < THREADS + 2; i++) {
        wrong += pthread_join(threads[i], NULL) != 0;
    }
    printf("%d wrong\n", wrong);
    return wrong != 0;
}
