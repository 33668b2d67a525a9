/* KangarooTwelve by RFC 9861. A sponge is fed as the bytes come, and a leaf's digest goes into the
 * root's sponge at once: no heap, whatever the size. No branch or address depends on a byte of the
 * message, only on sizes. */
#include "k12.h"

#include <string.h>

#include "words.h"

typedef uint64_t lane;
#include "keccak.h"

enum {
    CHUNK_BYTES = 8192,
    CHAINING_VALUE_BYTES = 32,
};

/* The byte after the message, with the first bit of the padding, tells the kinds of nodes apart. */
enum node { SINGLE_NODE = 0x07, LEAF_NODE = 0x0B, FINAL_NODE = 0x06 };

struct sponge {
    uint64_t lanes[LANES];
    size_t filled; /* bytes of the block that have come; below RATE_BYTES */
};

static void mix_in(struct sponge *sponge, size_t at, uint8_t byte) {
    sponge->lanes[at / LANE_BYTES] ^= (uint64_t)byte << 8 * (at % LANE_BYTES);
}

static void permute_when_full(struct sponge *sponge) {
    if (sponge->filled == RATE_BYTES) {
        permute(sponge->lanes);
        sponge->filled = 0;
    }
}

static void absorb_byte(struct sponge *sponge, uint8_t byte) {
    mix_in(sponge, sponge->filled, byte);
    sponge->filled++;
    permute_when_full(sponge);
}

/* From the start of a lane: whole lanes up to the end of the block. Returns their bytes. */
static size_t absorb_lanes(struct sponge *sponge, const uint8_t *data, size_t size) {
    size_t free_bytes = RATE_BYTES - sponge->filled;
    size_t bytes = (size < free_bytes ? size : free_bytes) / LANE_BYTES * LANE_BYTES;
    uint64_t *lanes = sponge->lanes + sponge->filled / LANE_BYTES;
    for (size_t i = 0; i < bytes / LANE_BYTES; i++) {
        lanes[i] ^= load_u64(data + i * LANE_BYTES);
    }
    sponge->filled += bytes;
    permute_when_full(sponge);
    return bytes;
}

static void absorb(struct sponge *sponge, const uint8_t *data, size_t size) {
    size_t done = 0;
    while (done < size) {
        if (sponge->filled % LANE_BYTES == 0 && size - done >= LANE_BYTES) {
            done += absorb_lanes(sponge, data + done, size - done);
        } else {
            absorb_byte(sponge, data[done]);
            done++;
        }
    }
}

static void squeeze(struct sponge *sponge, enum node node, uint8_t *digest, size_t size) {
    mix_in(sponge, sponge->filled, (uint8_t)node);
    mix_in(sponge, RATE_BYTES - 1, 0x80);
    for (size_t done = 0; done < size; done += RATE_BYTES) {
        permute(sponge->lanes);
        size_t bytes = size - done < RATE_BYTES ? size - done : RATE_BYTES;
        size_t at = 0;
        for (; at + LANE_BYTES <= bytes; at += LANE_BYTES) {
            store_u64(digest + done + at, sponge->lanes[at / LANE_BYTES]);
        }
        for (; at < bytes; at++) {
            digest[done + at] = (uint8_t)(sponge->lanes[at / LANE_BYTES] >> 8 * (at % LANE_BYTES));
        }
    }
}

/* The parts, then one byte: the encoded length of the empty customization string. */
struct stream {
    const struct k12_part *part;
    size_t parts_left;
    size_t at; /* bytes of the part that are taken */
};

static void take(struct stream *stream, struct sponge *sponge, size_t size) {
    while (size > 0 && stream->parts_left > 0) {
        size_t left = stream->part->size - stream->at;
        size_t bytes = size < left ? size : left;
        if (bytes > 0) {
            absorb(sponge, stream->part->data + stream->at, bytes);
        }
        size -= bytes;
        stream->at += bytes;
        if (stream->at == stream->part->size) {
            stream->part++;
            stream->parts_left--;
            stream->at = 0;
        }
    }
    if (size > 0) {
        absorb_byte(sponge, 0);
    }
}

static void absorb_leaf(struct stream *stream, struct sponge *root, size_t size) {
    struct sponge leaf = {{0}, 0};
    uint8_t chaining_value[CHAINING_VALUE_BYTES];
    take(stream, &leaf, size);
    squeeze(&leaf, LEAF_NODE, chaining_value, sizeof chaining_value);
    absorb(root, chaining_value, sizeof chaining_value);
}

/* Its bytes without leading zeros, then how many they are. */
static void absorb_count(struct sponge *root, uint64_t count) {
    uint8_t digits = 0;
    for (int shift = 56; shift >= 0; shift -= 8) {
        if (digits > 0 || count >> shift != 0) {
            absorb_byte(root, (uint8_t)(count >> shift));
            digits++;
        }
    }
    absorb_byte(root, digits);
}

void k12(const struct k12_part *parts, size_t part_count, uint8_t *digest, size_t digest_size) {
    size_t left = 1;
    for (size_t i = 0; i < part_count; i++) {
        left += parts[i].size;
    }
    struct stream stream = {parts, part_count, 0};
    struct sponge root = {{0}, 0};
    if (left <= CHUNK_BYTES) {
        take(&stream, &root, left);
        squeeze(&root, SINGLE_NODE, digest, digest_size);
        return;
    }
    take(&stream, &root, CHUNK_BYTES);
    left -= CHUNK_BYTES;
    absorb(&root, (const uint8_t[LANE_BYTES]){3}, LANE_BYTES);
    uint64_t leaves = 0;
    for (; left > 0; leaves++) {
        size_t bytes = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        absorb_leaf(&stream, &root, bytes);
        left -= bytes;
    }
    absorb_count(&root, leaves);
    absorb(&root, (const uint8_t[2]){0xFF, 0xFF}, 2);
    squeeze(&root, FINAL_NODE, digest, digest_size);
}
