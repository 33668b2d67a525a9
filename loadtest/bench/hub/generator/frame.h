/* WebSocket frames as a client sends and receives them (RFC 6455, section 5). */
#ifndef FRAME_H
#define FRAME_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { OPCODE_BINARY = 2, OPCODE_CLOSE = 8, OPCODE_PING = 9, OPCODE_PONG = 10 };
enum { FRAME_HEADER_BYTES_MAX = 14, CONTROL_BYTES_MAX = 125 };
enum { FRAME_INCOMPLETE = 0, FRAME_BROKEN = -1 };

struct frame {
    uint8_t opcode;
    const uint8_t *payload;
    size_t size;
};

/* Any mask but zero makes the server do the work; unpredictability guards proxies, not servers. */
static const uint8_t FRAME_MASK[4] = {0x37, 0xfa, 0x21, 0x3d};

static inline void frame_apply_mask(uint8_t *data, size_t size)
{
    for (size_t at = 0; at < size; at++) {
        data[at] ^= FRAME_MASK[at & 3];
    }
}

/* Write the header of a masked, whole frame; return its size. */
static inline size_t frame_header(uint8_t *out, uint8_t opcode, size_t size)
{
    size_t at = 2;
    out[0] = 0x80 | opcode;
    if (size < 126) {
        out[1] = 0x80 | (uint8_t)size;
    } else if (size < 65536) {
        out[1] = 0x80 | 126;
        out[at++] = (uint8_t)(size >> 8);
        out[at++] = (uint8_t)size;
    } else {
        out[1] = 0x80 | 127;
        for (int shift = 56; shift >= 0; shift -= 8) {
            out[at++] = (uint8_t)((uint64_t)size >> shift);
        }
    }
    memcpy(out + at, FRAME_MASK, 4);
    return at + 4;
}

/* Write a masked frame; *out* holds FRAME_HEADER_BYTES_MAX more than the payload. */
static inline size_t frame_encode(uint8_t *out, uint8_t opcode, const uint8_t *payload, size_t size)
{
    size_t at = frame_header(out, opcode, size);
    if (size) {
        memcpy(out + at, payload, size);
        frame_apply_mask(out + at, size);
    }
    return at + size;
}

/* Read the first frame of a server; return its whole size, FRAME_INCOMPLETE or FRAME_BROKEN.
 * A server neither masks nor, here, fragments. */
static inline long frame_parse(const uint8_t *data, size_t size, struct frame *found)
{
    if (size < 2) {
        return FRAME_INCOMPLETE;
    }
    uint64_t length = data[1];
    size_t at = 2;
    if ((data[0] & 0xf0) != 0x80 || length > 127) {
        return FRAME_BROKEN;
    }
    if (length >= 126) {
        size_t extra = length == 126 ? 2 : 8;
        if (size < 2 + extra) {
            return FRAME_INCOMPLETE;
        }
        for (length = 0; at < 2 + extra; at++) {
            length = length << 8 | data[at];
        }
    }
    found->opcode = data[0] & 0x0f;
    if (length > 1 << 24 || (found->opcode >= OPCODE_CLOSE && length > CONTROL_BYTES_MAX)) {
        return FRAME_BROKEN;
    }
    if (size - at < length) {
        return FRAME_INCOMPLETE;
    }
    found->payload = data + at;
    found->size = length;
    return (long)(at + length);
}

#endif
