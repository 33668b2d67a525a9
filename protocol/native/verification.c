/* Verification: nothing here is secret, so time may depend on all of it. */
#include "endomorphisms.h"
#include "field.h"
#include "k12.h"
#include "key_cache.h"
#include "order.h"
#include "schnorrq.h"
#include "signing.h"
#include "subgroup.h"
#include "verification.h"

/* S is cut into chunks of 62 bits, each with multiples 0 to 128 of the generator times 2^62i; so all
 * goes by the same 62 doublings as the challenge's parts. */
static const struct point NEUTRAL = {{0, 0}, {1, 0}, {1, 0}, {0, 0}, {1, 0}};

static struct affine_words generator_multiples[CHUNKS][WINDOW_ENTRIES];

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

/* The point of a table, or its negative. */
static inline struct affine affine_of_words(const struct affine_words *entry, bool is_negative) {
    const uint64_t *words = entry->words;
    fp2 sum = fp2_of_words(words), difference = fp2_of_words(words + 4);
    fp2 t2d = fp2_of_words(words + 8);
    return is_negative ? (struct affine){difference, sum, fp2_negate(t2d)}
                       : (struct affine){sum, difference, t2d};
}

static void make_generator_multiples(void) {
    struct point base = GENERATOR;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        struct point multiple = NEUTRAL;
        struct affine step = affine_of(&base);
        for (int i = 0; i < WINDOW_ENTRIES; i++) {
            struct affine entry = affine_of(&multiple);
            generator_multiples[chunk][i] = words_of(&entry);
            multiple = point_add_affine(&multiple, &step);
        }
        for (int bit = 0; bit < CHUNK_BITS; bit++) {
            base = point_double(&base);
        }
    }
}

void schnorrq_begin(void) {
    signing_begin();
    make_generator_multiples();
}

static fp load_fp(const uint8_t *bytes) { return FP(load_u64(bytes + 8), load_u64(bytes)) & P; }

/* a^(2^125 - 1), a^((p - 3)/4): a root of 1/a or -1/a. */
static fp fp_root_of_inverse(fp a) {
    fp two = fp_multiply(fp_square(a), a);
    fp three = fp_multiply(fp_square(two), a);
    fp six = fp_multiply(fp_square_times(three, 3), three);
    fp twelve = fp_multiply(fp_square_times(six, 6), six);
    fp twenty_four = fp_multiply(fp_square_times(twelve, 12), twelve);
    fp forty_eight = fp_multiply(fp_square_times(twenty_four, 24), twenty_four);
    fp ninety_six = fp_multiply(fp_square_times(forty_eight, 48), forty_eight);
    fp all_but_five = fp_multiply(fp_square_times(ninety_six, 24), twenty_four);
    fp all_but_two = fp_multiply(fp_square_times(all_but_five, 3), three);
    return fp_multiply(fp_square_times(all_but_two, 2), two);
}

/* A root x of up/down, if there is one. With c = up conj(down) and n the norm of down, so that
 * up/down = c/n, and w = 2 (Re c + |c|), x is w s/2 + i Im c s or Im c s - i w s/2, where s^2 is
 * 1/(w n) or -1/(w n). */
static bool fp2_root_of_fraction(fp2 up, fp2 down, fp2 *root) {
    fp2 c = fp2_multiply(up, fp2_conjugate(down));
    fp norm = fp2_norm(down), square = fp2_norm(c);
    fp length = fp_multiply(fp_root_of_inverse(square), square);
    fp half = fp_add(c.re, length);
    if (fp_reduce(half) == 0) {
        half = fp_subtract(c.re, length);
    }
    fp w = fp_add(half, half), wn = fp_multiply(w, norm), s = fp_root_of_inverse(wn);
    fp a = fp_multiply(half, s), b = fp_multiply(c.im, s);
    bool is_positive = fp_reduce(fp_multiply(fp_square(s), wn)) == 1;
    *root = is_positive ? (fp2){a, b} : (fp2){b, fp_negate(a)};
    return fp2_equal(fp2_multiply(fp2_square(*root), down), up);
}

/* As in core, a half of y that is p counts as 0. */
static bool decode(const uint8_t *bytes, fp2 *x, fp2 *y) {
    *y = (fp2){load_fp(bytes), load_fp(bytes + 16)};
    fp2 yy = fp2_square(*y);
    fp2 up = fp2_subtract(yy, FP2_ONE), down = fp2_add(fp2_multiply(CURVE_D, yy), FP2_ONE);
    if (!fp2_root_of_fraction(up, down, x)) {
        return false;
    }
    *x = fp2_reduce(*x);
    uint8_t sign = (uint8_t)((x->re ? x->re : x->im) >> 126);
    if (sign != bytes[31] >> 7) {
        *x = fp2_negate(*x);
    }
    return true;
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
        multiple = point_double(&multiple);
        if (cofactor & bit) {
            multiple = point_add_affine(&multiple, &step);
        }
    }
    return fp2_is_zero(multiple.x) && fp2_equal(multiple.y, multiple.z);
}

static const char *decode_key(const uint8_t *public_key, fp2 *x, fp2 *y) {
    if (public_key[15] & 0x80) {
        return "bit 127 is set";
    }
    if (is_reserved(public_key)) {
        return "it is the zero key, a contract's address or the neutral point";
    }
    if (!decode(public_key, x, y)) {
        return "it is not on the curve";
    }
    /* Core multiplies by a decomposition that only holds in the subgroup of order N; plain arithmetic
     * would accept signatures outside it that the network refuses. */
    if (!is_in_subgroup(*x, *y)) {
        return is_of_low_order(*x, *y) ? "it is of low order"
                                       : "it is outside the subgroup of prime order";
    }
    return NULL;
}

const char *schnorrq_refusal_of_key(const uint8_t *public_key) {
    fp2 x, y;
    return decode_key(public_key, &x, &y);
}

/* With one inversion for all. */
static void make_affine(const struct point *points, int count, struct affine *results) {
    fp2 products[KEY_MULTIPLES];
    products[0] = points[0].z;
    for (int i = 1; i < count; i++) {
        products[i] = fp2_multiply(products[i - 1], points[i].z);
    }
    fp2 inverse = fp2_invert(products[count - 1]);
    for (int i = count - 1; i >= 0; i--) {
        fp2 own = i ? fp2_multiply(inverse, products[i - 1]) : inverse;
        inverse = fp2_multiply(inverse, points[i].z);
        results[i] = affine_scaled(&points[i], own);
    }
}

static void prepare_key(fp2 x, fp2 y, struct prepared_key *key) {
    struct point points[KEY_MULTIPLES] = {{x, y, FP2_ONE, x, y}}, images[PARTS - 1];
    struct affine steps[PARTS - 1];
    images[0] = point_phi(&points[0]);
    images[1] = point_psi(&points[0]);
    images[2] = point_phi(&images[1]);
    make_affine(images, PARTS - 1, steps);
    for (int part = 0; part < PARTS - 1; part++) {
        struct affine minus = affine_negate(steps[part]);
        for (int i = 0; i < 1 << part; i++) {
            points[(1 << part) + i] = point_add_affine(&points[i], &minus);
            points[i] = point_add_affine(&points[i], &steps[part]);
        }
    }
    struct affine multiples[KEY_MULTIPLES];
    make_affine(points, KEY_MULTIPLES, multiples);
    for (int i = 0; i < KEY_MULTIPLES; i++) {
        key->multiples[i] = words_of(&multiples[i]);
    }
}

/* The key's multiple for one digit of all parts. */
static struct point add_multiple(const struct point *point, const struct prepared_key *key,
                                 const struct decomposition *parts, int digit) {
    unsigned first = parts->signs[0] >> digit & 1, entry = 0;
    for (int part = 1; part < PARTS; part++) {
        entry |= ((unsigned)(parts->signs[part] >> digit & 1) ^ first) << (part - 1);
    }
    struct affine step = affine_of_words(&key->multiples[entry], !first);
    return point_add_affine(point, &step);
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

static struct point add_window(const struct point *point, const struct windows *windows, int w) {
    struct point sum = *point;
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
        int digit = windows->digits[chunk][w];
        if (digit) {
            const struct affine_words *multiples = generator_multiples[chunk];
            struct affine step = affine_of_words(&multiples[digit < 0 ? -digit : digit], digit < 0);
            sum = point_add_affine(&sum, &step);
        }
    }
    return sum;
}

/* [challenge]A + [response]G. */
static struct point add_products(const struct prepared_key *key,
                                 const struct decomposition *challenge,
                                 const struct windows *response) {
    struct point point = NEUTRAL;
    for (int digit = DIGITS - 1; digit >= 0; digit--) {
        point = point_double(&point);
        point = add_multiple(&point, key, challenge, digit);
        if (digit % WINDOW_BITS == 0 && digit < CHUNK_BITS) {
            point = add_window(&point, response, digit / WINDOW_BITS);
        }
    }
    return point;
}

static bool find_key(const uint8_t *public_key, struct prepared_key *key) {
    if (key_cache_get(public_key, key)) {
        return true;
    }
    fp2 x, y;
    if (decode_key(public_key, &x, &y)) {
        return false;
    }
    prepare_key(x, y, key);
    key_cache_put(public_key, key);
    return true;
}

/* What is left to compute and to compare for a signature whose numbers and key are sound. */
struct check {
    struct prepared_key key;
    struct decomposition challenge;
    struct windows response;
};

static bool prepare_check(const struct signed_message *item, struct check *check) {
    const uint8_t *signature = item->signature;
    if (signature[15] & 0x80 || !scalar_is_below_order(signature + 32) ||
        !find_key(item->public_key, &check->key)) {
        return false;
    }
    uint8_t digest[SCALAR_BYTES];
    const struct k12_part parts[] = {
        {signature, 32}, {item->public_key, KEY_BYTES}, {item->message, item->message_size}};
    k12(parts, 3, digest, sizeof digest);
    struct scalar challenge = scalar_from_bytes(digest);
    struct scalar response = scalar_from_bytes(signature + 32);
    check->challenge = decompose(&challenge);
    check->response = cut_windows(&response);
    return true;
}

static bool decide(const struct check *check, const uint8_t *signature) {
    uint8_t encoded[KEY_BYTES];
    struct point point = add_products(&check->key, &check->challenge, &check->response);
    encode(&point, fp2_invert(point.z), encoded);
    return memcmp(encoded, signature, KEY_BYTES) == 0;
}

bool schnorrq_verify(const struct signed_message *item) {
    struct check check;
    return prepare_check(item, &check) && decide(&check, item->signature);
}

/* REALTIME_LANES_ALWAYS is for tests: of the lanes' portable twin, where the processor has none. */
#if defined(REALTIME_HAS_IFMA) || defined(REALTIME_LANES_ALWAYS)

/* Below this many the lanes' fixed price is more than one after the other costs. */
#ifdef REALTIME_LANES_ALWAYS
enum { LANES_PAY_FROM = 1 };
#else
enum { LANES_PAY_FROM = 3 };
#endif

/* Checks gathered for the lanes, and whose they are. */
struct gathered {
    size_t owners[VERIFICATIONS_AT_ONCE];
    struct check checks[VERIFICATIONS_AT_ONCE];
    int count;
};

static void decide_gathered(const struct gathered *gathered, const struct signed_message *items,
                            uint8_t *verdicts) {
    if (gathered->count == 0 || gathered->count < LANES_PAY_FROM) {
        for (int i = 0; i < gathered->count; i++) {
            size_t owner = gathered->owners[i];
            verdicts[owner] = decide(&gathered->checks[i], items[owner].signature);
        }
        return;
    }
    struct products products[VERIFICATIONS_AT_ONCE];
    uint8_t encoded[VERIFICATIONS_AT_ONCE][KEY_BYTES];
    for (int lane = 0; lane < VERIFICATIONS_AT_ONCE; lane++) {
        /* Lanes without an owner do the first one's work again. */
        const struct check *check = &gathered->checks[lane < gathered->count ? lane : 0];
        products[lane] =
            (struct products){check->key.multiples, check->challenge, check->response};
    }
    add_products_lanes(products, generator_multiples, encoded);
    for (int lane = 0; lane < gathered->count; lane++) {
        size_t owner = gathered->owners[lane];
        verdicts[owner] = memcmp(encoded[lane], items[owner].signature, KEY_BYTES) == 0;
    }
}

static void verify_in_lanes(const struct signed_message *items, size_t count, uint8_t *verdicts) {
    struct gathered gathered = {.count = 0};
    for (size_t i = 0; i < count; i++) {
        verdicts[i] = 0;
        if (prepare_check(&items[i], &gathered.checks[gathered.count])) {
            gathered.owners[gathered.count++] = i;
        }
        if (gathered.count == VERIFICATIONS_AT_ONCE) {
            decide_gathered(&gathered, items, verdicts);
            gathered.count = 0;
        }
    }
    decide_gathered(&gathered, items, verdicts);
}

/* The compiler's own question covers the system's part too: whether it keeps the registers. */
static bool has_lanes(void) {
#ifdef REALTIME_LANES_ALWAYS
    return true;
#else
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512ifma");
#endif
}

#else

static bool has_lanes(void) { return false; }

static void verify_in_lanes(const struct signed_message *items, size_t count, uint8_t *verdicts) {
    (void)items, (void)count, (void)verdicts;
}

#endif

const char *schnorrq_path(void) {
    return has_lanes() ? "AVX-512 IFMA, 8 lanes" : "portable";
}

void schnorrq_verify_many(const struct signed_message *items, size_t count, uint8_t *verdicts) {
    if (has_lanes()) {
        verify_in_lanes(items, count, verdicts);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        verdicts[i] = schnorrq_verify(&items[i]);
    }
}
