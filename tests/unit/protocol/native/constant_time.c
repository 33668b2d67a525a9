/* constant_time PRIVATE_KEY SUBSEED PUBLIC_KEY MESSAGE (in hex) [branch | address], to be run by
 * valgrind: makes a key and a signature from secrets that memcheck takes for undefined, so that it
 * complains of every branch and every address that depends on one. Prints both in hex. With the last
 * word the program itself does what must not be. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <valgrind/memcheck.h>

#include "schnorrq.h"
#include "signing.h"

enum { MESSAGE_BYTES_MAX = 1 << 16 };

static volatile uint8_t sink;

static size_t read_hex(const char *text, uint8_t *bytes, size_t bytes_max) {
    size_t size = strlen(text) / 2;
    if (size > bytes_max) {
        exit(2);
    }
    for (size_t i = 0; i < size; i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], 0};
        bytes[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return size;
}

/* Print what came of a secret: its first byte must be undefined, else the mark was lost. */
static void reveal(uint8_t *bytes, size_t size) {
    uint8_t mark = 0;
    if (VALGRIND_GET_VBITS(bytes, &mark, 1) != 1 || mark != 0xFF) {
        exit(3);
    }
    (void)VALGRIND_MAKE_MEM_DEFINED(bytes, size);
    for (size_t i = 0; i < size; i++) {
        printf("%02x", bytes[i]);
    }
    printf("\n");
}

static void break_the_rule(const uint8_t *secret, const char *how) {
    static const uint8_t table[256] = {1, 2, 3};
    if (strcmp(how, "address") == 0) {
        sink = table[secret[0]];
    } else if (secret[0] & 1) {
        sink = 1;
    }
}

int main(int argc, char **argv) {
    static uint8_t message[MESSAGE_BYTES_MAX];
    uint8_t private_key[KEY_BYTES], subseed[KEY_BYTES], given_key[KEY_BYTES];
    uint8_t public_key[KEY_BYTES], signature[SIGNATURE_BYTES];
    if (argc < 5 || argc > 6 || !RUNNING_ON_VALGRIND) {
        return 2;
    }
    read_hex(argv[1], private_key, sizeof private_key);
    read_hex(argv[2], subseed, sizeof subseed);
    read_hex(argv[3], given_key, sizeof given_key);
    size_t message_size = read_hex(argv[4], message, sizeof message);
    signing_begin();

    (void)VALGRIND_MAKE_MEM_UNDEFINED(private_key, sizeof private_key);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(subseed, sizeof subseed);
    if (argc == 6) {
        break_the_rule(subseed, argv[5]);
    }
    schnorrq_public_key(private_key, public_key);
    bool made = schnorrq_sign(subseed, given_key, message, message_size, signature);

    /* The results are public. */
    reveal(public_key, sizeof public_key);
    (void)VALGRIND_MAKE_MEM_DEFINED(&made, sizeof made);
    reveal(signature, sizeof signature);
    printf("%s\n", made ? "signed" : "refused");
    return 0;
}
