/* check_vectors PATH < LINES: does what each line names and compares, batches by PATH. Built with the sanitizers; every
 * input lies in a block of exactly its size, so that a look beyond it is seen. Byte strings are hex,
 * "-" is the empty one:
 *   k12 INPUT OUTPUT
 *   keygen PRIVATE_KEY PUBLIC_KEY
 *   sign SUBSEED PUBLIC_KEY MESSAGE SIGNATURE     (64 zeros: a foreign key)
 *   verify PUBLIC_KEY MESSAGE SIGNATURE 00|01
 *   identity TEXT_IN_HEX PUBLIC_KEY               (-: the text names none) */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identity.h"
#include "k12.h"
#include "key_cache.h"
#include "schnorrq.h"

enum { FIELDS_MAX = 4, LINE_BYTES_MAX = 1 << 20 };

struct bytes {
    uint8_t *data;
    size_t size;
};

static struct bytes allocate(size_t size) {
    struct bytes bytes = {malloc(size ? size : 1), size};
    if (!bytes.data) {
        abort();
    }
    return bytes;
}

static struct bytes parse(const char *text) {
    struct bytes bytes = allocate(strcmp(text, "-") == 0 ? 0 : strlen(text) / 2);
    for (size_t i = 0; i < bytes.size; i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], 0};
        bytes.data[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return bytes;
}

static bool equals(struct bytes made, struct bytes expected) {
    return made.size == expected.size && memcmp(made.data, expected.data, made.size) == 0;
}

static bool check_k12(const struct bytes *fields, struct bytes made) {
    const struct k12_part part = {fields[0].data, fields[0].size};
    k12(&part, 1, made.data, made.size);
    return equals(made, fields[1]);
}

static bool check_keygen(const struct bytes *fields, struct bytes made) {
    schnorrq_public_key(fields[0].data, made.data);
    return equals(made, fields[1]);
}

static bool check_sign(const struct bytes *fields, struct bytes made) {
    const struct bytes message = fields[2];
    bool signs =
        schnorrq_sign(fields[0].data, fields[1].data, message.data, message.size, made.data);
    bool is_zero = true;
    for (size_t i = 0; i < made.size; i++) {
        is_zero = is_zero && made.data[i] == 0;
    }
    return signs != is_zero && equals(made, fields[3]);
}

static bool check_verify(const struct bytes *fields, struct bytes made) {
    enum { COUNT = 9 }; /* Eight go by the lanes, one by itself. */
    struct signed_message items[COUNT];
    uint8_t verdicts[3][COUNT];
    for (int i = 0; i < COUNT; i++) {
        items[i] = (struct signed_message){fields[0].data, fields[1].data, fields[1].size,
                                           fields[2].data};
    }
    key_cache_use(false);
    schnorrq_verify_many(items, COUNT, verdicts[0]);
    key_cache_use(true);
    schnorrq_verify_many(items, COUNT, verdicts[1]);
    schnorrq_verify_many(items, COUNT, verdicts[2]);
    made.data[0] = schnorrq_verify(items);
    bool same = true;
    for (int i = 0; i < 3 * COUNT; i++) {
        same = same && verdicts[i / COUNT][i % COUNT] == made.data[0];
    }
    return same && equals(made, fields[3]);
}

static bool check_identity(const struct bytes *fields, struct bytes made) {
    struct bytes key = allocate(KEY_BYTES);
    bool names = identity_parse((const char *)fields[0].data, fields[0].size, key.data);
    bool right = names ? equals(key, fields[1]) : fields[1].size == 0;
    if (names) {
        struct bytes text = allocate(IDENTITY_LETTERS);
        identity_encode(key.data, (char *)text.data);
        right = right && equals(text, fields[0]);
        free(text.data);
    }
    free(key.data);
    (void)made;
    return right;
}

static const struct {
    const char *name;
    int fields;
    bool (*check)(const struct bytes *fields, struct bytes made);
} CHECKS[] = {
    {"k12", 2, check_k12},       {"keygen", 2, check_keygen},     {"sign", 4, check_sign},
    {"verify", 4, check_verify}, {"identity", 2, check_identity},
};

static bool check_line(char *line) {
    const char *name = strtok(line, " \n");
    for (size_t i = 0; name && i < sizeof CHECKS / sizeof *CHECKS; i++) {
        if (strcmp(name, CHECKS[i].name) != 0) {
            continue;
        }
        struct bytes fields[FIELDS_MAX];
        for (int j = 0; j < CHECKS[i].fields; j++) {
            const char *text = strtok(NULL, " \n");
            fields[j] = parse(text ? text : "-");
        }
        struct bytes made = allocate(fields[CHECKS[i].fields - 1].size);
        bool right = CHECKS[i].check(fields, made);
        free(made.data);
        for (int j = 0; j < CHECKS[i].fields; j++) {
            free(fields[j].data);
        }
        return right;
    }
    return false;
}

int main(int argc, char **argv) {
    static char line[LINE_BYTES_MAX];
    int lines = 0, wrong = 0;
    schnorrq_begin();
    if (argc != 2 || !schnorrq_use_path(argv[1])) {
        return 2;
    }
    while (fgets(line, sizeof line, stdin)) {
        lines++;
        if (!check_line(line)) {
            printf("line %d is wrong\n", lines);
            wrong++;
        }
    }
    printf("%d lines, %d wrong\n", lines, wrong);
    return wrong != 0;
}
