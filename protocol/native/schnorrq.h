/* SchnorrQ over FourQ by qubic/core's rule of August 2026. Shapes: keys and digests 32 bytes,
 * signatures 64 (R, then S), all integers little-endian. */
#ifndef REALTIME_SCHNORRQ_H
#define REALTIME_SCHNORRQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { KEY_BYTES = 32, SIGNATURE_BYTES = 64 };

struct signed_message {
    const uint8_t *public_key; /* KEY_BYTES */
    const uint8_t *message;    /* exactly the bytes that enter K12 */
    size_t message_size;
    const uint8_t *signature; /* SIGNATURE_BYTES */
};

/* Call once before all else. */
void schnorrq_begin(void);

/* Why no signature counts for this key, or NULL when it is sound. */
const char *schnorrq_refusal_of_key(const uint8_t *public_key);

/* [private_key mod N]G. Constant time. */
void schnorrq_public_key(const uint8_t *private_key, uint8_t *public_key);

/* The deterministic signature; false, and 64 zeros for one, when the public key isn't the subseed's
 * own: the nonce depends on subseed and message only, so that signatures under two keys would give
 * the private key away. Constant time but for the message's size. */
bool schnorrq_sign(const uint8_t *subseed, const uint8_t *public_key, const uint8_t *message,
                   size_t message_size, uint8_t *signature);

bool schnorrq_verify(const struct signed_message *item);

/* verdicts[i] is 1 or 0 for items[i]. Many together are quicker than one by one. */
void schnorrq_verify_many(const struct signed_message *items, size_t count, uint8_t *verdicts);

/* The ways in which verify_many can work here, the best one first: it is taken until another is
 * chosen, which is for tests and benchmarks. NULL for a number beyond the last. */
const char *schnorrq_path_name(size_t number);

/* For the whole process; false for a name that schnorrq_path_name doesn't give. */
bool schnorrq_use_path(const char *name);

/* How verify_many works now, for people: "AVX-512 IFMA, 8 lanes" or "portable". */
const char *schnorrq_path(void);

#endif
