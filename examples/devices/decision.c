/* A hub's signed decision on a wallet, for a device: checked, weighed, compared. libsodium does
 * Ed25519 and SHA-256; the rest needs no memory but the stack.
 *
 *   cc -O2 -Wall -o decision decision.c -lsodium
 *   ./decision PUBLIC_KEY_HEX ... < lines
 *
 * A line "judge SIGNED AUDIENCE NONCE CLOCK_MS NEWEST_MS STALE_ALLOWED" (- for none) is answered with
 * "refused WHY" or "STATUS SCORE FRESHNESS", a line "order HELD OFFERED" with 1 when OFFERED wins. */
#include <sodium.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIGNATURE = 64, WHOLE_MAX = 255, AUDIENCE_MAX = 61, NONCE_MAX = 32, KEYS_MAX = 8 };
enum status { UNKNOWN, ACTIVE, BLOCKED };
static const uint64_t INTEGER_MAX = (1ULL << 53) - 1;
static const char TYPE_LINE[] = "realtime/decision/v1\n";

struct decision {
    uint64_t status, score, seq, issued_ms, fresh_until_ms, stale_until_ms;
    const uint8_t *wallet, *epoch, *session_key, *key_id; /* session_key: NULL for none */
    char audience[AUDIENCE_MAX + 1], nonce[NONCE_MAX + 1]; /* nonce: "" for none */
};

struct reader {
    const uint8_t *at, *end;
    bool bad;
};

static uint8_t next(struct reader *r)
{
    if (r->at == r->end) r->bad = true;
    return r->bad ? 0 : *r->at++;
}

static const uint8_t *take(struct reader *r, size_t size)
{
    if ((size_t)(r->end - r->at) < size) r->bad = true;
    if (r->bad) return NULL;
    r->at += size;
    return r->at - size;
}

/* An unsigned integer in its shortest form and no other. */
static uint64_t read_uint(struct reader *r, uint64_t most)
{
    uint8_t head = next(r);
    uint64_t value = 0, least = 0;
    if (head < 0x80) {
        value = head;
    } else if (head >= 0xcc && head <= 0xcf) {
        int width = 1 << (head - 0xcc);
        for (int i = 0; i < width; i++) value = value << 8 | next(r);
        least = width == 1 ? 0x80 : 1ULL << (4 * width);
    } else {
        r->bad = true;
    }
    if (value < least || value > most) r->bad = true;
    return value;
}

static const uint8_t *read_bytes(struct reader *r, uint8_t size)
{
    if (next(r) != 0xc4 || next(r) != size) r->bad = true;
    return take(r, size);
}

/* Printable ASCII without a space, at least one letter; its head in the shortest form. */
static void read_text(struct reader *r, char *text, size_t most)
{
    uint8_t head = next(r);
    size_t size = head & 0x1f;
    if (head == 0xd9) size = next(r);
    if ((head >> 5) != 5 && (head != 0xd9 || size < 32)) r->bad = true;
    const uint8_t *letters = size >= 1 && size <= most ? take(r, size) : NULL;
    if (letters == NULL) {
        r->bad = true;
        return;
    }
    for (size_t i = 0; i < size; i++) {
        if (letters[i] < '!' || letters[i] > '~') r->bad = true;
        text[i] = (char)letters[i];
    }
    text[size] = 0;
}

/* Take a decision apart WITHOUT trusting it; returns why it is none, or NULL. */
static const char *parse(const uint8_t *data, size_t size, struct decision *d)
{
    if (size > WHOLE_MAX) return "too_long";
    if (size <= SIGNATURE) return "malformed";
    struct reader r = {data + SIGNATURE, data + size, false};
    memset(d, 0, sizeof *d);
    uint8_t head = next(&r);
    if (head != 0x9c && head != 0x9d) return "malformed";
    if (read_uint(&r, 1) != 1) return "malformed"; /* the version */
    d->wallet = read_bytes(&r, 32);
    d->status = read_uint(&r, BLOCKED);
    d->score = read_uint(&r, 100);
    d->seq = read_uint(&r, INTEGER_MAX);
    d->epoch = read_bytes(&r, 8);
    d->issued_ms = read_uint(&r, INTEGER_MAX);
    d->fresh_until_ms = read_uint(&r, INTEGER_MAX);
    d->stale_until_ms = read_uint(&r, INTEGER_MAX);
    read_text(&r, d->audience, AUDIENCE_MAX);
    if (r.at < r.end && *r.at == 0xc0) r.at++;
    else d->session_key = read_bytes(&r, 32);
    d->key_id = read_bytes(&r, 8);
    if (head == 0x9d) read_text(&r, d->nonce, NONCE_MAX);
    if (d->issued_ms > d->fresh_until_ms || d->fresh_until_ms > d->stale_until_ms) r.bad = true;
    return r.bad || r.at != r.end ? "malformed" : NULL;
}

/* Returns why the decision is refused here, or NULL. *nonce* "-": none was sent. */
static const char *verify(const uint8_t *data, size_t size, uint8_t keys[][32], int key_count,
                          const char *audience, const char *nonce, struct decision *d)
{
    const char *why = parse(data, size, d);
    if (why) return why;
    const uint8_t *key = NULL;
    for (int i = 0; i < key_count; i++) {
        uint8_t digest[crypto_hash_sha256_BYTES];
        crypto_hash_sha256(digest, keys[i], 32);
        if (memcmp(digest, d->key_id, 8) == 0) key = keys[i];
    }
    if (!key) return "unknown_key";
    uint8_t covered[sizeof TYPE_LINE - 1 + WHOLE_MAX];
    memcpy(covered, TYPE_LINE, sizeof TYPE_LINE - 1);
    memcpy(covered + sizeof TYPE_LINE - 1, data + SIGNATURE, size - SIGNATURE);
    size_t covered_size = sizeof TYPE_LINE - 1 + size - SIGNATURE;
    if (crypto_sign_verify_detached(data, covered, covered_size, key)) return "bad_signature";
    if (strcmp(d->audience, audience)) return "other_audience";
    if (strcmp(nonce, "-") && strcmp(d->nonce, nonce)) return "other_nonce";
    return NULL;
}

/* What a verified decision is worth now: BLOCKED for ever, else as long as it may be used. A clock
 * counts from the newest issued_ms of a verified decision on; clock_ms < 0: there is no clock. */
static enum status weigh(const struct decision *d, int64_t clock_ms, uint64_t newest_issued_ms,
                         bool stale_allowed, const char **freshness)
{
    uint64_t now = clock_ms > 0 ? (uint64_t)clock_ms : 0;
    if (now < newest_issued_ms) now = newest_issued_ms;
    bool fresh = clock_ms >= 0 && now < d->fresh_until_ms;
    bool stale = clock_ms >= 0 && !fresh && now < d->stale_until_ms;
    *freshness = clock_ms < 0 ? "no_clock" : fresh ? "fresh" : stale ? "stale" : "expired";
    if (d->status == BLOCKED || fresh || (stale && stale_allowed)) return (enum status)d->status;
    return UNKNOWN;
}

static bool supersedes(const struct decision *offered, const struct decision *held)
{
    if (memcmp(offered->epoch, held->epoch, 8) == 0) {
        if (offered->seq != held->seq) return offered->seq > held->seq;
        if ((offered->status == BLOCKED) != (held->status == BLOCKED))
            return offered->status == BLOCKED;
    }
    return offered->issued_ms > held->issued_ms;
}

static size_t unhex(uint8_t *to, size_t most, const char *text)
{
    size_t size = 0;
    return sodium_hex2bin(to, most, text, strlen(text), NULL, &size, NULL) ? most : size;
}

int main(int argc, char **argv)
{
    static const char *const NAMES[] = {"UNKNOWN", "ACTIVE", "BLOCKED"};
    uint8_t keys[KEYS_MAX][32], one[WHOLE_MAX + 1], two[WHOLE_MAX + 1];
    char line[4096], kind[8], first[1024], second[1024], nonce[64], clock[32], newest[32];
    int count = 0, stale;
    if (sodium_init() < 0) return 1;
    for (; count < argc - 1 && count < KEYS_MAX; count++)
        if (unhex(keys[count], 32, argv[count + 1]) != 32) return 1;
    while (fgets(line, sizeof line, stdin)) {
        struct decision d, e;
        int found = sscanf(line, "%7s %1023s %1023s %63s %31s %31s %d", kind, first, second, nonce,
                           clock, newest, &stale);
        size_t size = found >= 3 ? unhex(one, sizeof one, strcmp(first, "-") ? first : "") : 0;
        if (found == 3 && !parse(one, size, &d) && !parse(two, unhex(two, sizeof two, second), &e)) {
            printf("%d\n", supersedes(&e, &d));
        } else if (found == 7) {
            const char *freshness, *why = verify(one, size, keys, count, second, nonce, &d);
            long long now = strcmp(clock, "-") ? strtoll(clock, NULL, 10) : -1;
            uint64_t seen = strtoull(newest, NULL, 10);
            enum status status = why ? UNKNOWN : weigh(&d, now, seen, stale != 0, &freshness);
            if (why) printf("refused %s\n", why);
            else printf("%s %d %s\n", NAMES[status], status ? (int)d.score : 0, freshness);
        } else {
            return 1;
        }
    }
    return 0;
}
