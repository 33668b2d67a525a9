#include "order.h"

#include "field.h"

__extension__ typedef unsigned __int128 u128;

/* N, lowest word first. 392 N is the curve's order, a little less than 2^254. */
static const struct scalar ORDER = {
    {0x2FB2540EC7768CE7, 0xDFBD004DFE0F7999, 0xF05397829CBC14E5, 0x0029CBC14E5E0A72}};

/* 2^512 mod N. */
static const struct scalar MONTGOMERY_SQUARE = {
    {0xC81DB8795FF3D621, 0x173EA5AAEA6B387D, 0x3D01B7C72136F61C, 0x0006A5F16AC8F9D3}};

/* -1/N mod 2^64. */
static const uint64_t MONTGOMERY_FACTOR = 0xE12FE5F079BC3929;

/* *difference = a - b modulo 2^256; returns 1 when b is the larger, else 0. */
static uint64_t subtract(const struct scalar *a, const struct scalar *b,
                         struct scalar *difference) {
    uint64_t borrow = 0;
    for (int i = 0; i < SCALAR_WORDS; i++) {
        u128 word = (u128)a->words[i] - b->words[i] - borrow;
        difference->words[i] = (uint64_t)word;
        borrow = (uint64_t)(word >> 64) & 1;
    }
    return borrow;
}

/* Below 2N to below N. */
static struct scalar subtract_order_once(const struct scalar *a) {
    struct scalar difference;
    uint64_t keep = -subtract(a, &ORDER, &difference);
    for (int i = 0; i < SCALAR_WORDS; i++) {
        difference.words[i] = (a->words[i] & keep) | (difference.words[i] & ~keep);
    }
    return difference;
}

static struct scalar load(const uint8_t *bytes) {
    struct scalar number;
    for (int i = 0; i < SCALAR_WORDS; i++) {
        number.words[i] = load_u64(bytes + 8 * i);
    }
    return number;
}

/* a / N is 392 a / (392 N), and 392 N = 2^254 - e with 0 < e < 2^130, so that 392 a / 2^254 is too
 * small by less than 1568 * 2^-123. Leaving out the low 192 bits of a makes it smaller by less than
 * 392 / 2^62, and rounding down by less than 1. So quotient * N <= a < (quotient + 1 + 2^-52) * N, and
 * what remains is below 2N. */
struct scalar scalar_from_bytes(const uint8_t bytes[SCALAR_BYTES]) {
    struct scalar number = load(bytes);
    uint64_t quotient = (uint64_t)((u128)number.words[3] * 392 >> 62);
    struct scalar multiple;
    uint64_t carry = 0;
    for (int i = 0; i < SCALAR_WORDS; i++) {
        u128 word = (u128)quotient * ORDER.words[i] + carry;
        multiple.words[i] = (uint64_t)word;
        carry = (uint64_t)(word >> 64);
    }
    struct scalar remainder;
    (void)subtract(&number, &multiple, &remainder);
    return subtract_order_once(&remainder);
}

bool scalar_is_below_order(const uint8_t bytes[SCALAR_BYTES]) {
    struct scalar number = load(bytes), difference;
    return subtract(&number, &ORDER, &difference) == 1;
}

void scalar_to_bytes(const struct scalar *scalar, uint8_t bytes[SCALAR_BYTES]) {
    for (int i = 0; i < SCALAR_WORDS; i++) {
        store_u64(bytes + 8 * i, scalar->words[i]);
    }
}

/* *sum += N if add is all ones, nothing if it is 0. */
static void add_order(struct scalar *sum, uint64_t add) {
    uint64_t carry = 0;
    for (int i = 0; i < SCALAR_WORDS; i++) {
        u128 word = (u128)sum->words[i] + (ORDER.words[i] & add) + carry;
        sum->words[i] = (uint64_t)word;
        carry = (uint64_t)(word >> 64);
    }
}

struct scalar scalar_make_odd(const struct scalar *scalar) {
    struct scalar odd = *scalar;
    add_order(&odd, (scalar->words[0] & 1) - 1);
    return odd;
}

/* sum += factor * number. A sum below 2N stays below 2N + 2^64 N < 2^311: it fits five words. */
static void add_multiple(uint64_t sum[SCALAR_WORDS + 1], uint64_t factor,
                         const struct scalar *number) {
    uint64_t carry = 0;
    for (int i = 0; i < SCALAR_WORDS; i++) {
        u128 word = (u128)factor * number->words[i] + sum[i] + carry;
        sum[i] = (uint64_t)word;
        carry = (uint64_t)(word >> 64);
    }
    sum[SCALAR_WORDS] += carry;
}

/* a b / 2^256 modulo N (Montgomery), for a and b below N. Each turn adds to a sum below 2N two
 * products of at most (2^64 - 1) N and divides by 2^64: the sum is below 2N again. */
static struct scalar multiply(const struct scalar *a, const struct scalar *b) {
    uint64_t sum[SCALAR_WORDS + 1] = {0};
    for (int i = 0; i < SCALAR_WORDS; i++) {
        add_multiple(sum, a->words[i], b);
        add_multiple(sum, sum[0] * MONTGOMERY_FACTOR, &ORDER);
        for (int j = 0; j < SCALAR_WORDS; j++) {
            sum[j] = sum[j + 1];
        }
        sum[SCALAR_WORDS] = 0;
    }
    struct scalar product = {{sum[0], sum[1], sum[2], sum[3]}};
    return subtract_order_once(&product);
}

struct scalar scalar_subtract_product(const struct scalar *nonce, const struct scalar *key,
                                      const struct scalar *challenge) {
    struct scalar lifted = multiply(key, &MONTGOMERY_SQUARE);
    struct scalar product = multiply(&lifted, challenge);
    struct scalar difference;
    add_order(&difference, -subtract(nonce, &product, &difference));
    return difference;
}
