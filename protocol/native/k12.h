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

#endif
