/* A verification's steps, for one at a time and for eight at once. */
#ifndef REALTIME_VERIFICATION_H
#define REALTIME_VERIFICATION_H

#include "schnorrq.h"

enum {
    PARTS = 4,
    DIGITS = 63,
    CHUNKS = 4,
    CHUNK_BITS = DIGITS - 1,
    WINDOW_BITS = 9,
    WINDOWS = (CHUNK_BITS + WINDOW_BITS - 1) / WINDOW_BITS,
    WINDOW_ENTRIES = (1 << (WINDOW_BITS - 1)) + 1,
    KEY_MULTIPLES = 8,
    VERIFICATIONS_AT_ONCE = 8,
};

/* y + x, y - x, 2 d x y: real and imaginary part of each, lower word first. */
enum { AFFINE_WORDS = 12 };
struct affine_words {
    uint64_t words[AFFINE_WORDS];
};

/* A + or - phi A + or - psi A + or - phi psi A: bits 0, 1, 2 of the number tell a minus. */
struct prepared_key {
    struct affine_words multiples[KEY_MULTIPLES];
};

/* scalar = parts[0] + parts[1] phi + parts[2] psi + parts[3] phi psi modulo N, all odd and between
 * -2^63 and 2^63. So each is the sum of 2^i or -2^i over the 63 digits i, and half of the part +
 * 2^63 - 1 has a bit for each: set for 2^i, clear for -2^i. */
struct decomposition {
    uint64_t signs[PARTS];
};

/* S in windows of 9 bits with sign: window w of chunk c stands for 2^(62 c + 9 w). */
struct windows {
    int16_t digits[CHUNKS][WINDOWS];
};

/* [challenge]A + [response]G is to be computed. */
struct products {
    const struct affine_words *key_multiples;
    struct decomposition challenge;
    struct windows response;
};

/* Make the generator's table. schnorrq_begin calls it. */
void verification_begin(void);

/* The checks that need nothing but the bytes: of R's bit 127 and of S, and of the key's. */
bool has_signature_form(const uint8_t *signature);
bool has_key_form(const uint8_t *public_key);

/* Whether the key is sound; then it is prepared. Needs has_key_form. */
bool prepare_key(const uint8_t *public_key, struct prepared_key *key);

/* The equation alone: the rest has been checked. */
bool equation_holds(const struct signed_message *item, const struct prepared_key *key);

/* What of a signature enters the equation, the challenge being its digest modulo N. */
struct products products_of(const struct prepared_key *key, const uint8_t *challenge_digest,
                            const uint8_t *signature);

extern struct affine_words generator_multiples[CHUNKS][WINDOW_ENTRIES];

#endif
