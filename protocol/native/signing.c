/* Keys and signatures. No branch, address or division here depends on a secret; why each function
 * keeps to that is in docs/decisions/0006-constant-time.md. */
#include "signing.h"

#include "curve.h"
#include "field.h"
#include "k12.h"
#include "order.h"
#include "schnorrq.h"

/* A comb with signs: an odd scalar of up to 250 bits is the sum of s_i 2^i with every s_i 1 or -1.
 * The digit of column c joins the signs number c, 50 + c, .. 200 + c. Columns whose numbers differ
 * by a multiple of 5 are added without a doubling in between, each from a row of its own. */
enum {
    TEETH = 5,
    COLUMNS = 50,
    COLUMNS_OF_ROW = 5,
    ROWS = COLUMNS / COLUMNS_OF_ROW,
    ROW_ENTRIES = 1 << (TEETH - 1),
    TOP_SIGN = TEETH * COLUMNS - 1,
};

/* What one vector instruction takes together, on x86-64 and aarch64 alike. */
typedef uint64_t word_pair __attribute__((vector_size(16)));
typedef uint32_t four_numbers __attribute__((vector_size(16)));

enum { PAIRS = sizeof(struct affine) / sizeof(word_pair) };

struct entry {
    word_pair pairs[PAIRS];
};

static struct entry generator_rows[ROWS][ROW_ENTRIES];

static word_pair pair_of(fp a) { return (word_pair){(uint64_t)a, (uint64_t)(a >> 64)}; }
static fp fp_of(word_pair pair) { return FP(pair[1], pair[0]); }

static struct entry entry_of(const struct point *point) {
    struct affine a = affine_of(point);
    return (struct entry){{pair_of(a.sum.re), pair_of(a.sum.im), pair_of(a.difference.re),
                           pair_of(a.difference.im), pair_of(a.t2d.re), pair_of(a.t2d.im)}};
}

static struct point double_times(struct point point, int times) {
    for (int i = 0; i < times; i++) {
        point_double(&point);
    }
    return point;
}

/* Bit t of an entry's number tells that tooth t has the other sign than the highest tooth. */
void signing_begin(void) {
    struct affine teeth[TEETH - 1];
    struct point top = GENERATOR;
    for (int tooth = 0; tooth < TEETH - 1; tooth++) {
        teeth[tooth] = affine_of(&top);
        top = double_times(top, COLUMNS);
    }
    for (int i = 0; i < ROW_ENTRIES; i++) {
        struct point point = top;
        for (int tooth = 0; tooth < TEETH - 1; tooth++) {
            struct affine step = i >> tooth & 1 ? affine_negate(teeth[tooth]) : teeth[tooth];
            point_add_affine(&point, &step);
        }
        for (int row = 0; row < ROWS; row++) {
            generator_rows[row][i] = entry_of(&point);
            point = double_times(point, COLUMNS_OF_ROW);
        }
    }
}

/* The same word, of which the compiler knows nothing: so it can't make a branch of a mask. */
static inline uint64_t hidden(uint64_t word) {
    __asm__("" : "+r"(word));
    return word;
}

/* The entry with that number, by a look at every one, negated if negative is 1 rather than 0. */
static struct affine select_entry(const struct entry *row, uint32_t number, uint64_t negative) {
    const four_numbers wanted = {number, number, number, number}, one = {1, 1, 1, 1};
    four_numbers at = {0};
    word_pair a = {0}, b = {0}, c = {0}, d = {0}, e = {0}, f = {0};
    for (int i = 0; i < ROW_ENTRIES; i++) {
        const word_pair mask = (word_pair)(at == wanted), *pairs = row[i].pairs;
        at += one;
        a |= pairs[0] & mask;
        b |= pairs[1] & mask;
        c |= pairs[2] & mask;
        d |= pairs[3] & mask;
        e |= pairs[4] & mask;
        f |= pairs[5] & mask;
    }
    fp2 sum = {fp_of(a), fp_of(b)}, difference = {fp_of(c), fp_of(d)};
    fp2 t2d = {fp_of(e), fp_of(f)};
    fp negate = -(fp)hidden(negative);
    return (struct affine){fp2_select(sum, difference, negate),
                           fp2_select(difference, sum, negate),
                           fp2_select(t2d, fp2_negate(t2d), negate)};
}

/* The signs of an odd number equal to the scalar modulo N, as bits: 1 is 1 and 0 is -1. The sum of
 * (2 b_i - 1) 2^i over 250 bits is 2 b + 1 - 2^250; so b is half the odd number, rounded down, plus
 * 2^249. Scalar or scalar + N is odd, below 2 N < 2^247. */
static struct scalar signs_of(const struct scalar *scalar) {
    struct scalar number = scalar_make_odd(scalar), signs;
    for (int i = 0; i < SCALAR_WORDS - 1; i++) {
        signs.words[i] = number.words[i] >> 1 | number.words[i + 1] << 63;
    }
    signs.words[SCALAR_WORDS - 1] =
        number.words[SCALAR_WORDS - 1] >> 1 | UINT64_C(1) << (TOP_SIGN - 192);
    return signs;
}

static inline uint64_t sign_at(const struct scalar *signs, int position) {
    return signs->words[position / 64] >> (position % 64) & 1;
}

static struct affine select_column(const struct scalar *signs, int column) {
    uint64_t top = sign_at(signs, (TEETH - 1) * COLUMNS + column);
    uint32_t number = 0;
    for (int tooth = 0; tooth < TEETH - 1; tooth++) {
        number |= (uint32_t)(sign_at(signs, tooth * COLUMNS + column) ^ top) << tooth;
    }
    return select_entry(generator_rows[column / COLUMNS_OF_ROW], number, top ^ 1);
}

static struct point multiply_generator(const struct scalar *scalar) {
    struct scalar signs = signs_of(scalar);
    struct point point = {FP2_ZERO, FP2_ONE, FP2_ONE, FP2_ZERO, FP2_ONE};
    for (int turn = COLUMNS_OF_ROW - 1; turn >= 0; turn--) {
        for (int row = 0; row < ROWS; row++) {
            struct affine step = select_column(&signs, row * COLUMNS_OF_ROW + turn);
            point_add_affine(&point, &step);
        }
        if (turn > 0) {
            point_double(&point);
        }
    }
    return point;
}

/* The compiler has to assume that the memory is read afterwards. */
static void wipe(void *memory, size_t size) {
    memset(memory, 0, size);
    __asm__ volatile("" : : "r"(memory) : "memory");
}

/* More than all that is called from here needs. */
enum { STACK_BYTES = 8192 };

/* Wipe what the functions called before have left below their caller's frame: copies of secrets that
 * the compiler made among them. */
static __attribute__((noinline)) void wipe_stack(void) {
    uint8_t frames[STACK_BYTES];
    wipe(frames, sizeof frames);
}

static __attribute__((noinline)) void make_public_key(const uint8_t *private_key,
                                                      uint8_t *public_key) {
    struct scalar scalar = scalar_from_bytes(private_key);
    struct point point = multiply_generator(&scalar);
    encode(&point, fp2_invert(point.z), public_key);
}

void schnorrq_public_key(const uint8_t *private_key, uint8_t *public_key) {
    make_public_key(private_key, public_key);
    wipe_stack();
}

/* What a signature is made from. */
struct secrets {
    uint8_t expanded[64]; /* The private key, then what the nonce depends on. */
    uint8_t nonce_digest[SCALAR_BYTES];
    struct scalar key, nonce;
    struct point public_key, commitment;
};

static void derive(struct secrets *secrets, const uint8_t *subseed, const uint8_t *message,
                   size_t message_size) {
    const struct k12_part whole = {subseed, KEY_BYTES};
    k12(&whole, 1, secrets->expanded, sizeof secrets->expanded);
    const struct k12_part parts[] = {{secrets->expanded + 32, 32}, {message, message_size}};
    k12(parts, 2, secrets->nonce_digest, sizeof secrets->nonce_digest);
    secrets->key = scalar_from_bytes(secrets->expanded);
    secrets->nonce = scalar_from_bytes(secrets->nonce_digest);
    secrets->public_key = multiply_generator(&secrets->key);
    secrets->commitment = multiply_generator(&secrets->nonce);
}

/* With one inversion for both. */
static void encode_both(const struct secrets *secrets, uint8_t *public_key, uint8_t *commitment) {
    const struct point *a = &secrets->public_key, *b = &secrets->commitment;
    fp2 inverse = fp2_invert(fp2_multiply(a->z, b->z));
    encode(a, fp2_multiply(inverse, b->z), public_key);
    encode(b, fp2_multiply(inverse, a->z), commitment);
}

static uint64_t difference_of(const uint8_t *a, const uint8_t *b) {
    uint64_t difference = 0;
    for (int i = 0; i < KEY_BYTES; i++) {
        difference |= a[i] ^ b[i];
    }
    return difference;
}

static __attribute__((noinline)) bool make_signature(const uint8_t *subseed,
                                                     const uint8_t *public_key,
                                                     const uint8_t *message, size_t message_size,
                                                     uint8_t *signature) {
    struct secrets secrets;
    uint8_t own_key[KEY_BYTES], made[SIGNATURE_BYTES], challenge_digest[SCALAR_BYTES];
    derive(&secrets, subseed, message, message_size);
    encode_both(&secrets, own_key, made);
    const struct k12_part parts[] = {{made, 32}, {public_key, KEY_BYTES}, {message, message_size}};
    k12(parts, 3, challenge_digest, sizeof challenge_digest);
    struct scalar challenge = scalar_from_bytes(challenge_digest);
    struct scalar response = scalar_subtract_product(&secrets.nonce, &secrets.key, &challenge);
    scalar_to_bytes(&response, made + 32);
    /* A response for a foreign key would, beside the right one, give the private key away. */
    uint64_t is_own = (difference_of(own_key, public_key) - 1) >> 63;
    uint8_t keep = (uint8_t)-hidden(is_own);
    for (int i = 0; i < SIGNATURE_BYTES; i++) {
        signature[i] = made[i] & keep;
    }
    return is_own == 1;
}

bool schnorrq_sign(const uint8_t *subseed, const uint8_t *public_key, const uint8_t *message,
                   size_t message_size, uint8_t *signature) {
    bool is_own = make_signature(subseed, public_key, message, message_size, signature);
    wipe_stack();
    return is_own;
}
