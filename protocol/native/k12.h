/* KangarooTwelve with the empty customization string: Qubic's only hash. */
#ifndef REALTIME_K12_H
#define REALTIME_K12_H

#include <stddef.h>
#include <stdint.h>

/* A part of a message: what is hashed is often two or three things behind each other. */
struct k12_part {
    const uint8_t *data;
    size_t size;
};

/* Hash the parts, joined. The digest may have any size. Time depends on sizes only. */
void k12(const struct k12_part *parts, size_t part_count, uint8_t *digest, size_t digest_size);

/* A message that fits one block, with what K12 puts behind it. */
enum { K12_LANES = 8, K12_LANES_MESSAGE_BYTES_MAX = 166, K12_LANES_DIGEST_BYTES = 32 };

/* Hash eight messages of up to K12_LANES_MESSAGE_BYTES_MAX each at once; parts[l] are message l's,
 * which has part_count of them. In k12_ifma.c: only where the processor has AVX-512. */
void k12_lanes(const struct k12_part *const parts[K12_LANES], size_t part_count,
               uint8_t digests[K12_LANES][K12_LANES_DIGEST_BYTES]);

#endif
