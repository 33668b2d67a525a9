/* The few messages of the session protocol that are sent by the thousand: trust.get of one wallet,
 * and its reply, of which every byte is compared but the two times at its end. */
#ifndef MESSAGE_H
#define MESSAGE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    TYPE_LOGIN_REPLY = 0x42,
    TYPE_RESUME_REPLY = 0x43,
    TYPE_SUBSCRIBE_REPLY = 0x50,
    TYPE_TRUST_REPLY = 0x52,
    TYPE_ERROR_REPLY = 0x7f,
    TYPE_CHALLENGE = 0x80,
    TYPE_TRUST_CHANGED = 0x90,
};
enum { KEY_BYTES = 32, ASK_BYTES = 42, ASK_ID_AT = 3 };
/* From here on an id takes five bytes in its shortest form, as all of ours do. */
#define ASK_ID_MIN 70000u
enum { TRUST_BYTES_MAX = 32, WALLET_BYTES = KEY_BYTES + 1 + TRUST_BYTES_MAX };

/* One wallet: its key, and what every reply about it must begin with behind the id. */
struct wallet {
    uint8_t key[KEY_BYTES];
    uint8_t trust_size;
    uint8_t trust[TRUST_BYTES_MAX];
};

static inline void put_u32(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 24);
    out[1] = (uint8_t)(value >> 16);
    out[2] = (uint8_t)(value >> 8);
    out[3] = (uint8_t)value;
}

static inline uint32_t get_u32(const uint8_t *data)
{
    return (uint32_t)data[0] << 24 | (uint32_t)data[1] << 16 | (uint32_t)data[2] << 8 | data[3];
}

/* [0x12, id, [key]] */
static inline void ask_encode(uint8_t out[ASK_BYTES], uint32_t id, const uint8_t *key)
{
    static const uint8_t head[] = {0x93, 0x12, 0xce};
    memcpy(out, head, sizeof head);
    put_u32(out + ASK_ID_AT, id);
    out[7] = 0x91;
    out[8] = 0xc4;
    out[9] = KEY_BYTES;
    memcpy(out + 10, key, KEY_BYTES);
}

/* Read a msgpack unsigned integer; return its size, 0 for anything else. msgpackr writes a long one
 * as signed, which is the same number in as many bytes. */
static inline size_t uint_size(const uint8_t *data, size_t size)
{
    static const uint8_t sizes[] = {2, 3, 5, 9};
    if (!size) {
        return 0;
    }
    size_t found = 0;
    if (data[0] < 0x80) {
        found = 1;
    } else if (data[0] >= 0xcc && data[0] <= 0xcf) {
        found = sizes[data[0] - 0xcc];
    } else if (data[0] == 0xd3) {
        found = 9;
    }
    return found <= size ? found : 0;
}

/* The id of [type, id, ...] with one of our ids, else 0. */
static inline uint32_t reply_id(const uint8_t *data, size_t size, uint8_t type)
{
    if (size > 8 && data[0] == 0x93 && data[1] == type && data[2] == 0xce) {
        return get_u32(data + 3);
    }
    return 0;
}

/* Tell whether a reply is the one for this wallet: all of it but age and use_until is compared. */
static inline int trust_reply_fits(const uint8_t *data, size_t size, const struct wallet *wallet)
{
    size_t at = 8;
    if (size < at + wallet->trust_size || data[7] != 0x91 || memcmp(data + at, wallet->trust, wallet->trust_size)) {
        return 0;
    }
    at += wallet->trust_size;
    for (int times = 0; times < 2; times++) {
        size_t found = uint_size(data + at, size - at);
        if (!found) {
            return 0;
        }
        at += found;
    }
    return at == size;
}

/* The type of [type, ...]; 0 when it isn't a message. */
static inline uint8_t message_type(const uint8_t *data, size_t size)
{
    if (size < 3 || (data[0] & 0xf0) != 0x90) {
        return 0;
    }
    return data[1] == 0xcc ? data[2] : data[1] < 0x80 ? data[1] : 0;
}

/* The code in [0x7f, id, [code, ...]]; 0 when there is none. */
static inline uint32_t error_code(const uint8_t *data, size_t size)
{
    size_t at = 2;
    size_t id = size > at ? uint_size(data + at, size - at) : 0;
    at += id + 1;
    if (!id || at + 2 > size) {
        return 0;
    }
    if (data[at] < 0x80) {
        return data[at];
    }
    return data[at] == 0xcc ? data[at + 1] : at + 3 > size ? 0 : (uint32_t)data[at + 1] << 8 | data[at + 2];
}

/* The offset of a push [type, sub, offset, ...]; 0 when there is none. */
static inline uint64_t push_offset(const uint8_t *data, size_t size)
{
    size_t at = 1;
    for (int skipped = 0; skipped < 2; skipped++) {
        size_t found = uint_size(data + at, size - at);
        if (!found) {
            return 0;
        }
        at += found;
    }
    size_t width = uint_size(data + at, size - at);
    if (width <= 1) {
        return width ? data[at] : 0;
    }
    uint64_t value = 0;
    for (size_t byte = 1; byte < width; byte++) {
        value = value << 8 | data[at + byte];
    }
    return value;
}

#endif
