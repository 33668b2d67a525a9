/* Verification: nothing here is secret, so time may depend on all of it. */
#include "verification.h"

#include "field.h"

#include "curve.h"
#include "decomposition.h"
#include "k12.h"
#include "key.h"
#include "key_cache.h"
#include "order.h"
#include "schnorrq.h"
#include "signing.h"

/* S is cut into chunks of 62 bits, each with multiples 0 to 256 of the generator times 2^62i; so all
 * goes by the same 62 doublings as the challenge's parts. */
static const struct point NEUTRAL = {{0, 0}, {1, 0}, {1, 0}, {0, 0}, {1, 0}};

struct affine_words generator_multiples[CHUNKS][WINDOW_ENTRIES];

static struct affine_words words_of(const struct affine *a) {
    const fp numbers[] = {a->sum.re, a->sum.im, a->difference.re, a->difference.im, a->t2d.re,
                          a->t2d.im};
    struct affine_words result;
    for (int i = 0; i < AFFINE_WORDS; i++) {
        result.words[i] = (uint64_t)(numbers[i / 2] >> (i % 2 * 64));
    }
    return result;
}

static inline fp2 fp2_of_words(const uint64_t *words) {
    return (fp2){FP(words[1], words[0]), FP(words[3], words[2])};
}

/* The point of a table, or its negative. Without a branch: half of them would be foretold wrongly, and
 * all that the processor has begun beyond them would be lost. */
static inline struct affine affine_of_words(const struct affine_words *entry, bool is_negative) {
    const uint64_t *words = entry->words;
    size_t swap = is_negative ? 4 : 0;
    fp2 t2d = fp2_of_words(words + 8);
    return (struct affine){fp2_of_words(words + swap), fp2_of_words(words + (swap ^ 4)),
                           fp2_select(t2d, fp2_negate(t2d), -(fp)is_negative)};
}

void verification_begin(void) {
    struct point base = GENERATOR;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        struct point multiple = NEUTRAL;
        struct affine step = affine_of(&base);
        for (int i = 0; i < WINDOW_ENTRIES; i++) {
            struct affine entry = affine_of(&multiple);
            generator_multiples[chunk][i] = words_of(&entry);
            point_add_affine(&multiple, &step);
        }
        for (int bit = 0; bit < CHUNK_BITS; bit++) {
            point_double(&base);
        }
    }
}

static fp load_fp(const uint8_t *bytes) { return FP(load_u64(bytes + 8), load_u64(bytes)) & P; }

/* As in core, a half of y that is p counts as 0. */
static bool decode(const uint8_t *bytes, fp2 *x, fp2 *y) {
    *y = (fp2){load_fp(bytes), load_fp(bytes + 16)};
    return find_x(*y, -(fp)(bytes[31] >> 7), x) != 0;
}

/* Core's third check: words 1 to 3 are zero, whatever word 0 and the sign bit are. */
static bool is_reserved(const uint8_t *public_key) {
    return (load_u64(public_key + 8) | load_u64(public_key + 16) | load_u64(public_key + 24) << 1) ==
           0;
}

static bool is_of_low_order(fp2 x, fp2 y) {
    struct point base = {x, y, FP2_ONE, x, y}, multiple = base;
    struct affine step = affine_of(&base);
    const int cofactor = 392, below_top_bit = 1 << 7;
    for (int bit = below_top_bit; bit; bit >>= 1) {
        point_double(&multiple);
        if (cofactor & bit) {
            point_add_affine(&multiple, &step);
        }
    }
    return (fp2_zero_mask(multiple.x) & fp2_zero_mask(fp2_subtract(multiple.y, multiple.z))) != 0;
}

bool has_key_form(const uint8_t *public_key) {
    return !(public_key[15] & 0x80) && !is_reserved(public_key);
}

/* Core multiplies by a decomposition that only holds in the subgroup of order N; plain arithmetic
 * would accept signatures outside it that the network refuses. */
bool prepare_key(const uint8_t *public_key, struct prepared_key *key) {
    fp2 x, y;
    if (!decode(public_key, &x, &y) || !is_in_subgroup(x, y)) {
        return false;
    }
    struct affine multiples[KEY_MULTIPLES];
    multiply_key(x, y, multiples);
    for (int i = 0; i < KEY_MULTIPLES; i++) {
        key->multiples[i] = words_of(&multiples[i]);
    }
    return true;
}

const char *schnorrq_refusal_of_key(const uint8_t *public_key) {
    fp2 x, y;
    if (!has_key_form(public_key)) {
        return public_key[15] & 0x80
                   ? "bit 127 is set"
                   : "it is the zero key, a contract's address or the neutral point";
    }
    if (!decode(public_key, &x, &y)) {
        return "it is not on the curve";
    }
    if (!is_in_subgroup(x, y)) {
        return is_of_low_order(x, y) ? "it is of low order"
                                     : "it is outside the subgroup of prime order";
    }
    return NULL;
}

/* For one digit of all parts. */
static struct affine choose_multiple(const struct products *products, int digit) {
    const uint64_t *signs = products->challenge.signs;
    unsigned first = signs[0] >> digit & 1, entry = 0;
    for (int part = 1; part < PARTS; part++) {
        entry |= ((unsigned)(signs[part] >> digit & 1) ^ first) << (part - 1);
    }
    return affine_of_words(&products->key_multiples[entry], !first);
}

static struct windows cut_windows(const struct scalar *scalar) {
    struct windows windows;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        int word = CHUNK_BITS * chunk / 64, shift = CHUNK_BITS * chunk % 64, carry = 0;
        fp pair = FP(word + 1 < SCALAR_WORDS ? scalar->words[word + 1] : 0, scalar->words[word]);
        uint64_t bits = (uint64_t)(pair >> shift) & ((UINT64_C(1) << CHUNK_BITS) - 1);
        for (int w = 0; w < WINDOWS; w++) {
            int digit = (int)(bits >> (WINDOW_BITS * w) & ((1 << WINDOW_BITS) - 1)) + carry;
            carry = digit >= WINDOW_ENTRIES;
            windows.digits[chunk][w] = (int16_t)(digit - (carry << WINDOW_BITS));
        }
    }
    return windows;
}

static void add_window(struct point *point, const struct windows *windows, int w) {
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        int digit = windows->digits[chunk][w];
        if (digit) {
            const struct affine_words *multiples = generator_multiples[chunk];
            struct affine step = affine_of_words(&multiples[digit < 0 ? -digit : digit], digit < 0);
            point_add_affine(point, &step);
        }
    }
}

/* [challenge]A + [response]G. */
static struct point add_products(const struct products *products) {
    struct affine step = choose_multiple(products, DIGITS - 1);
    struct point point = point_of_affine(&step);
    for (int digit = DIGITS - 2; digit >= 0; digit--) {
        step = choose_multiple(products, digit);
        point_double(&point);
        point_add_affine(&point, &step);
        if (digit % WINDOW_BITS == 0) {
            add_window(&point, &products->response, digit / WINDOW_BITS);
        }
    }
    return point;
}

/* No R with bit 127 would match what encode makes; it is core's first check. */
bool has_signature_form(const uint8_t *signature) {
    return !(signature[15] & 0x80) && scalar_is_below_order(signature + 32);
}

struct products products_of(const struct prepared_key *key, const uint8_t *challenge_digest,
                            const uint8_t *signature) {
    struct scalar challenge = scalar_from_bytes(challenge_digest);
    struct scalar response = scalar_from_bytes(signature + 32);
    return (struct products){key->multiples, decompose(&challenge), cut_windows(&response)};
}

bool equation_holds(const struct signed_message *item, const struct prepared_key *key) {
    uint8_t digest[SCALAR_BYTES], encoded[KEY_BYTES];
    const struct k12_part parts[] = {
        {item->signature, 32}, {item->public_key, KEY_BYTES}, {item->message, item->message_size}};
    k12(parts, 3, digest, sizeof digest);
    struct products products = products_of(key, digest, item->signature);
    struct point point = add_products(&products);
    encode(&point, fp2_invert(point.z), encoded);
    return memcmp(encoded, item->signature, KEY_BYTES) == 0;
}

bool schnorrq_verify(const struct signed_message *item) {
    struct prepared_key key;
    if (!has_signature_form(item->signature) || !has_key_form(item->public_key)) {
        return false;
    }
    if (!key_cache_get(item->public_key, &key)) {
        if (!prepare_key(item->public_key, &key)) {
            return false;
        }
        key_cache_put(item->public_key, &key);
    }
    return equation_holds(item, &key);
}
