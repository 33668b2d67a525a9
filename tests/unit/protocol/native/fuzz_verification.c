/* A libFuzzer target: whatever the bytes are, all paths say the same of them, and what is read is
 * written back alike.
 *
 *     clang -g -O1 -fsanitize=fuzzer,address,undefined -Iprotocol/native \
 *         tests/unit/protocol/native/fuzz_verification.c protocol/native/[!m]*.c  (but *_ifma.c)
 *
 * test_fuzz.py does that and starts it with the corpus of signature_corpus.py. */
#include <stdlib.h>
#include <string.h>

#include "identity.h"
#include "k12.h"
#include "key_cache.h"
#include "schnorrq.h"

enum { RECORD_BYTES = 128, RECORDS_MAX = 9 };

static void require(bool holds) {
    if (!holds) {
        abort();
    }
}

static void compare_verdicts(const uint8_t *data, size_t size) {
    struct signed_message items[RECORDS_MAX];
    uint8_t alone[RECORDS_MAX], verdicts[RECORDS_MAX];
    size_t count = size / RECORD_BYTES < RECORDS_MAX ? size / RECORD_BYTES : RECORDS_MAX;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *record = data + i * RECORD_BYTES;
        items[i] = (struct signed_message){record, record + 32, 32, record + 64};
        alone[i] = schnorrq_verify(&items[i]);
        require(!alone[i] || schnorrq_refusal_of_key(record) == NULL);
    }
    for (size_t path = 0; schnorrq_path_name(path) != NULL; path++) {
        require(schnorrq_use_path(schnorrq_path_name(path)));
        for (int kept = 0; kept < 2; kept++) {
            key_cache_use(kept == 1);
            schnorrq_verify_many(items, count, verdicts);
            require(memcmp(verdicts, alone, count) == 0);
        }
    }
}

static void read_identity(const uint8_t *data, size_t size) {
    uint8_t key[KEY_BYTES];
    char text[IDENTITY_LETTERS];
    if (identity_parse((const char *)data, size, key)) {
        identity_encode(key, text);
        require(size == sizeof text && memcmp(text, data, size) == 0);
    }
    if (size >= KEY_BYTES) {
        identity_encode(data, text);
        require(identity_parse(text, sizeof text, key) && memcmp(key, data, KEY_BYTES) == 0);
    }
}

static void hash_in_parts(const uint8_t *data, size_t size) {
    uint8_t whole[64], parted[64];
    size_t cut = size ? data[0] * size / 255 : 0;
    const struct k12_part one = {data, size}, two[] = {{data, cut}, {data + cut, size - cut}};
    k12(&one, 1, whole, sizeof whole);
    k12(two, 2, parted, sizeof parted);
    require(memcmp(whole, parted, sizeof whole) == 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    schnorrq_begin();
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    compare_verdicts(data, size);
    read_identity(data, size);
    hash_in_parts(data, size);
    return 0;
}
