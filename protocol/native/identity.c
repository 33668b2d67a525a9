#include "identity.h"

#include <string.h>

#include "words.h"
#include "k12.h"

__extension__ typedef unsigned __int128 u128;

enum {
    ALPHABET = 26,
    WORDS = 4,
    WORD_BYTES = 8,
    WORD_LETTERS = 14,
    CHECKSUM_BYTES = 3,
    CHECKSUM_MASK = 0x3FFFF,
    CHECKSUM_LETTERS = 4,
    CHECKSUM_AT = WORDS * WORD_LETTERS,
};

/* The least significant digit comes first. */
static void write_digits(uint64_t number, int count, char *text) {
    for (int i = 0; i < count; i++) {
        text[i] = (char)('A' + number % ALPHABET);
        number /= ALPHABET;
    }
}

static void write_checksum(const uint8_t *key, char text[CHECKSUM_LETTERS]) {
    uint8_t digest[CHECKSUM_BYTES];
    const struct k12_part part = {key, IDENTITY_KEY_BYTES};
    k12(&part, 1, digest, sizeof digest);
    uint32_t checksum = digest[0] | (uint32_t)digest[1] << 8 | (uint32_t)digest[2] << 16;
    write_digits(checksum & CHECKSUM_MASK, CHECKSUM_LETTERS, text);
}

void identity_encode(const uint8_t key[IDENTITY_KEY_BYTES], char text[IDENTITY_LETTERS]) {
    for (int i = 0; i < WORDS; i++) {
        write_digits(load_u64(key + i * WORD_BYTES), WORD_LETTERS, text + i * WORD_LETTERS);
    }
    write_checksum(key, text + CHECKSUM_AT);
}

/* 26^14 is 3.5 times 2^64: a group may stand for more than a word holds. */
static bool parse_word(const char *text, uint8_t bytes[WORD_BYTES]) {
    u128 number = 0;
    for (int i = WORD_LETTERS - 1; i >= 0; i--) {
        uint64_t digit = (uint8_t)text[i] - (uint64_t)'A';
        number = number * ALPHABET + digit;
    }
    store_u64(bytes, (uint64_t)number);
    return number >> 64 == 0;
}

bool identity_parse(const char *text, size_t size, uint8_t key[IDENTITY_KEY_BYTES]) {
    if (size != IDENTITY_LETTERS) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if (text[i] < 'A' || text[i] > 'Z') {
            return false;
        }
    }
    uint8_t parsed[IDENTITY_KEY_BYTES];
    for (int i = 0; i < WORDS; i++) {
        if (!parse_word(text + i * WORD_LETTERS, parsed + i * WORD_BYTES)) {
            return false;
        }
    }
    char checksum[CHECKSUM_LETTERS];
    write_checksum(parsed, checksum);
    if (memcmp(checksum, text + CHECKSUM_AT, sizeof checksum) != 0) {
        return false;
    }
    memcpy(key, parsed, sizeof parsed);
    return true;
}
