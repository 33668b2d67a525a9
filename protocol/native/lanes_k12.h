/* Eight sponges side by side in vectors: lane l of one vector belongs to message l. */
#include "lanes_path.h"
#include "words.h"

enum { MESSAGES = VERIFICATIONS_AT_ONCE };

typedef uint64_t lane __attribute__((vector_size(8 * MESSAGES)));
#include "keccak.h"

/* The whole padded block: the message, the empty customization string's length, the node's kind. */
static void write_block(const struct k12_part *parts, size_t part_count, uint8_t *block) {
    size_t at = 0;
    for (size_t i = 0; i < part_count; i++) {
        if (parts[i].size > 0) {
            memcpy(block + at, parts[i].data, parts[i].size);
        }
        at += parts[i].size;
    }
    memset(block + at, 0, RATE_BYTES - at);
    block[at + 1] = 0x07;
    block[RATE_BYTES - 1] ^= 0x80;
}

void LANES_NAME(hash)(const struct k12_part *const parts[MESSAGES], size_t part_count,
                      uint8_t digests[MESSAGES][K12_LANES_DIGEST_BYTES]) {
    uint8_t blocks[MESSAGES][RATE_BYTES];
    for (int l = 0; l < MESSAGES; l++) {
        write_block(parts[l], part_count, blocks[l]);
    }
    lane lanes[LANES] = {{0}};
    for (int i = 0; i < RATE_BYTES / LANE_BYTES; i++) {
        for (int l = 0; l < MESSAGES; l++) {
            lanes[i][l] = load_u64(blocks[l] + i * LANE_BYTES);
        }
    }
    permute(lanes);
    for (int i = 0; i < K12_LANES_DIGEST_BYTES / LANE_BYTES; i++) {
        for (int l = 0; l < MESSAGES; l++) {
            store_u64(digests[l] + i * LANE_BYTES, lanes[i][l]);
        }
    }
}
