/* stack_after_signing keygen|sign [keep]: makes a key or a signature on a stack of this program's
 * own, then looks there for eight bytes in a row of any secret. "keep" leaves a copy there on
 * purpose. Prints how many were found. */
#define _GNU_SOURCE

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "k12.h"
#include "order.h"
#include "schnorrq.h"
#include "signing.h"

enum { STACK_BYTES = 1 << 20, PIECE_BYTES = 8, EXPANDED_BYTES = 64 };

static uint8_t subseed[KEY_BYTES], expanded[EXPANDED_BYTES], reduced[KEY_BYTES], nonce[KEY_BYTES];
static uint8_t public_key[KEY_BYTES], signature[SIGNATURE_BYTES];
static const uint8_t message[] = "message";
static bool signs, keeps;

static void prepare(void) {
    memset(subseed, 0x5A, sizeof subseed);
    const struct k12_part whole = {subseed, sizeof subseed};
    k12(&whole, 1, expanded, sizeof expanded);
    const struct k12_part parts[] = {{expanded + 32, 32}, {message, sizeof message}};
    k12(parts, 2, nonce, sizeof nonce);
    struct scalar scalar = scalar_from_bytes(expanded);
    scalar_to_bytes(&scalar, reduced);
    schnorrq_public_key(expanded, public_key);
}

static void *run(void *nothing) {
    if (keeps) {
        volatile uint8_t copies[64 * EXPANDED_BYTES]; /* The thread's end overwrites a few. */
        for (size_t i = 0; i < sizeof copies; i++) {
            copies[i] = expanded[i % EXPANDED_BYTES];
        }
    } else if (!signs) {
        schnorrq_public_key(expanded, public_key);
    } else if (!schnorrq_sign(subseed, public_key, message, sizeof message, signature)) {
        exit(2);
    }
    return nothing;
}

static int found_of(const uint8_t *stack, const uint8_t *secret, size_t size) {
    int found = 0;
    for (size_t i = 0; i + PIECE_BYTES <= size; i += PIECE_BYTES) {
        found += memmem(stack, STACK_BYTES, secret + i, PIECE_BYTES) != NULL;
    }
    return found;
}

int main(int argc, char **argv) {
    pthread_attr_t attributes;
    pthread_t thread;
    uint8_t *stack = aligned_alloc(4096, STACK_BYTES);
    if (argc < 2 || !stack) {
        return 2;
    }
    signs = strcmp(argv[1], "sign") == 0;
    keeps = argc > 2;
    memset(stack, 0, STACK_BYTES);
    signing_begin();
    prepare();
    if (pthread_attr_init(&attributes) ||
        pthread_attr_setstack(&attributes, stack, STACK_BYTES) ||
        pthread_create(&thread, &attributes, run, NULL) || pthread_join(thread, NULL)) {
        return 2;
    }
    printf("%d\n", found_of(stack, subseed, sizeof subseed) +
                       found_of(stack, expanded, sizeof expanded) +
                       found_of(stack, reduced, sizeof reduced) +
                       found_of(stack, nonce, sizeof nonce));
    return 0;
}
