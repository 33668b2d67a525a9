/* Wallet identities: 32-byte public keys in 60 capital letters. The rules are those of
 * realtime_protocol/identity.py; keys and their names are public, nothing here is constant time. */
#ifndef REALTIME_IDENTITY_H
#define REALTIME_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { IDENTITY_LETTERS = 60, IDENTITY_KEY_BYTES = 32 };

/* No zero byte follows the text. */
void identity_encode(const uint8_t key[IDENTITY_KEY_BYTES], char text[IDENTITY_LETTERS]);

/* False when the text isn't exactly what identity_encode makes of some key: another size, another
 * letter, a group beyond 64 bits, a checksum that doesn't fit. The key isn't touched then. */
bool identity_parse(const char *text, size_t size, uint8_t key[IDENTITY_KEY_BYTES]);

#endif
