/* Checks of the load generator's parts that need no server. Prints what failed; 0 when nothing. */
#include <stdio.h>

#include "frame.h"
#include "histogram.h"
#include "message.h"

static int failed;

#define CHECK(fact)                                                                                 \
    do {                                                                                            \
        if (!(fact)) {                                                                              \
            printf("line %d: %s\n", __LINE__, #fact);                                               \
            failed = 1;                                                                             \
        }                                                                                           \
    } while (0)

static void frames_of_clients_are_masked_and_sized(void)
{
    static uint8_t payload[70000];
    static uint8_t out[sizeof payload + FRAME_HEADER_BYTES_MAX];
    const struct {
        size_t size, header;
    } cases[] = {{0, 6}, {125, 6}, {126, 8}, {65535, 8}, {65536, 14}};
    for (size_t at = 0; at < sizeof cases / sizeof *cases; at++) {
        memset(payload, 0x5a, sizeof payload);
        CHECK(frame_encode(out, OPCODE_BINARY, payload, cases[at].size) ==
              cases[at].header + cases[at].size);
        CHECK(out[0] == 0x82 && out[1] & 0x80);
        frame_apply_mask(out + cases[at].header, cases[at].size);
        CHECK(!memcmp(out + cases[at].header, payload, cases[at].size));
    }
}

static void frames_of_servers_are_read_when_whole(void)
{
    uint8_t data[400] = {0x82, 0x7e, 0x01, 0x00};
    struct frame frame;
    for (size_t size = 0; size < 4 + 256; size++) {
        CHECK(frame_parse(data, size, &frame) == FRAME_INCOMPLETE);
    }
    CHECK(frame_parse(data, 4 + 256, &frame) == 4 + 256);
    CHECK(frame_parse(data, sizeof data, &frame) == 4 + 256);
    CHECK(frame.opcode == OPCODE_BINARY && frame.size == 256 && frame.payload == data + 4);
}

static void frames_that_no_server_sends_are_broken(void)
{
    const uint8_t masked[] = {0x82, 0x80, 0, 0, 0, 0};
    const uint8_t fragment[] = {0x02, 0x00};
    const uint8_t reserved[] = {0xc2, 0x00};
    const uint8_t long_close[] = {0x88, 0x7e, 0x00, 0x7e};
    struct frame frame;
    CHECK(frame_parse(masked, sizeof masked, &frame) == FRAME_BROKEN);
    CHECK(frame_parse(fragment, sizeof fragment, &frame) == FRAME_BROKEN);
    CHECK(frame_parse(reserved, sizeof reserved, &frame) == FRAME_BROKEN);
    CHECK(frame_parse(long_close, sizeof long_close, &frame) == FRAME_BROKEN);
}

static void buckets_hold_a_value_within_two_percent(void)
{
    for (uint64_t value = 1; value < 1ull << 40; value = value * 33 / 32 + 1) {
        uint64_t upper = histogram_upper(histogram_bucket(value));
        CHECK(upper >= value && upper - value <= value / 50 + 1);
        CHECK(histogram_bucket(upper) == histogram_bucket(value));
        CHECK(histogram_bucket(upper + 1) == histogram_bucket(value) + 1);
    }
}

static void quantiles_are_those_of_all_values(void)
{
    static struct histogram histogram;
    for (uint64_t value = 1; value <= 1000; value++) {
        histogram_add(&histogram, value * 1000);
    }
    uint64_t median = histogram_quantile(&histogram, 500);
    CHECK(median >= 500000 && median <= 510000);
    CHECK(histogram_quantile(&histogram, 1000) == 1000000);
    histogram_clear(&histogram);
    CHECK(histogram_quantile(&histogram, 500) == 0);
}

/* A reply [0x52, 70016, [[1, 80, 0, 0, 1, age 300, use_until]]]. */
static size_t put_reply(uint8_t *out)
{
    static const uint8_t reply[] = {0x93, 0x52, 0xce, 0x00, 0x01, 0x11, 0x80, 0x91, 0x97, 1, 80, 0, 0, 1,
                                    0xcd, 0x01, 0x2c, 0xcf, 0, 0, 1, 0x92, 0, 0, 0, 0};
    memcpy(out, reply, sizeof reply);
    return sizeof reply;
}

static void replies_are_compared_to_the_byte_but_for_the_times(void)
{
    const struct wallet wallet = {.trust_size = 6, .trust = {0x97, 1, 80, 0, 0, 1}};
    uint8_t reply[64];
    size_t size = put_reply(reply);
    CHECK(reply_id(reply, size, TYPE_TRUST_REPLY) == 70016);
    CHECK(reply_id(reply, size, TYPE_ERROR_REPLY) == 0);
    CHECK(trust_reply_fits(reply, size, &wallet));
    CHECK(!trust_reply_fits(reply, size - 1, &wallet));
    reply[size] = 0;
    CHECK(!trust_reply_fits(reply, size + 1, &wallet));
    reply[15] ^= 0xff; /* in the age */
    reply[size - 1] ^= 0xff; /* in use_until */
    CHECK(trust_reply_fits(reply, size, &wallet));
    for (size_t at = 7; at < 14; at++) {
        put_reply(reply);
        reply[at] ^= 1;
        CHECK(!trust_reply_fits(reply, size, &wallet));
    }
}

static void requests_carry_their_id_and_key(void)
{
    uint8_t out[ASK_BYTES];
    uint8_t key[KEY_BYTES];
    memset(key, 7, sizeof key);
    ask_encode(out, 0x12345678, key);
    CHECK(get_u32(out + ASK_ID_AT) == 0x12345678);
    CHECK(message_type(out, sizeof out) == 0x12);
    CHECK(!memcmp(out + ASK_BYTES - KEY_BYTES, key, KEY_BYTES));
}

static void pushes_have_a_type_and_an_offset(void)
{
    const uint8_t near[] = {0x94, 0xcc, 0x90, 0x01, 0x05, 0xc0};
    const uint8_t far[] = {0x94, 0xcc, 0x90, 0xcd, 0x01, 0x00, 0xce, 0x00, 0x01, 0x00, 0x00, 0xc0};
    CHECK(message_type(near, sizeof near) == TYPE_TRUST_CHANGED);
    CHECK(push_offset(near, sizeof near) == 5);
    CHECK(push_offset(far, sizeof far) == 65536);
    CHECK(message_type((const uint8_t *)"\x01\x02\x03", 3) == 0);
}

static void a_refusal_has_a_code(void)
{
    const uint8_t small[] = {0x93, 0x7f, 0x03, 0x93, 0x6a, 0xc0, 0xc0};
    const uint8_t large[] = {0x93, 0x7f, 0xcd, 0x01, 0x00, 0x93, 0xcd, 0x01, 0x32, 0xc0, 0xc0};
    CHECK(error_code(small, sizeof small) == 106);
    CHECK(error_code(large, sizeof large) == 306);
    CHECK(error_code(small, 3) == 0);
}

int main(void)
{
    a_refusal_has_a_code();
    frames_of_clients_are_masked_and_sized();
    frames_of_servers_are_read_when_whole();
    frames_that_no_server_sends_are_broken();
    buckets_hold_a_value_within_two_percent();
    quantiles_are_those_of_all_values();
    replies_are_compared_to_the_byte_but_for_the_times();
    requests_carry_their_id_and_key();
    pushes_have_a_type_and_an_offset();
    return failed;
}
