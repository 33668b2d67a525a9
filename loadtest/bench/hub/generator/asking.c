/* Requests by the thousand, and what comes back. */
#include <stdlib.h>
#include <string.h>

#include "frame.h"
#include "world.h"

void ask_prepare(struct session *session, uint16_t depth)
{
    free(session->asks);
    session->asks = calloc(depth, sizeof *session->asks);
    if (!session->asks) {
        die("memory");
    }
    session->depth = depth;
    session->in_flight = 0;
}

static uint32_t next_wallet(void)
{
    world.random = world.random * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)world.random * world.wallet_count >> 32);
}

/* A multiple of DEPTH_MAX: an id's remainder is its slot. */
#define FIRST_ID (ASK_ID_MIN / DEPTH_MAX * DEPTH_MAX + DEPTH_MAX)
#define ASKED_MAX (1u << 24)

/* Put one request into *out*; the slot is part of its id, so that no two in flight share one. */
static size_t put_ask(struct session *session, uint16_t slot, uint64_t sent_ns, uint8_t *out)
{
    struct ask *ask = &session->asks[slot];
    uint8_t payload[ASK_BYTES];
    ask->wallet = next_wallet();
    ask->id = FIRST_ID + session->asked++ % ASKED_MAX * DEPTH_MAX + slot;
    ask->sent_ns = sent_ns;
    session->in_flight++;
    ask_encode(payload, ask->id, world.wallets[ask->wallet].key);
    return frame_encode(out, OPCODE_BINARY, payload, ASK_BYTES);
}

/* Fill all free places with requests, in one write. */
void ask_some(struct session *session)
{
    uint8_t out[DEPTH_MAX * (ASK_BYTES + FRAME_HEADER_BYTES_MAX)];
    size_t size = 0;
    uint64_t now = now_ns();
    for (uint16_t slot = 0; slot < session->depth && session->in_flight < session->depth; slot++) {
        if (!session->asks[slot].id) {
            size += put_ask(session, slot, now, out + size);
        }
    }
    if (size) {
        session_send_raw(session, out, size);
    }
}

/* Ask when it is time; who still waits for an answer is late, and the lateness counts. */
void pace_due(struct session *session, uint64_t now)
{
    struct group *group = &world.groups[session->group];
    if (session->due_ns > now || session->in_flight || !session->depth) {
        return;
    }
    uint8_t out[ASK_BYTES + FRAME_HEADER_BYTES_MAX];
    /* A turn of the loop late is the generator's own doing, more is the server's. */
    bool late = now - session->due_ns > group->period_ns;
    size_t size = put_ask(session, 0, late ? session->due_ns : now, out);
    session->due_ns += group->period_ns;
    session_send_raw(session, out, size);
}

static void take_trust_reply(struct session *session, uint32_t id, const uint8_t *data, size_t size)
{
    struct group *group = &world.groups[session->group];
    struct ask *ask = id % DEPTH_MAX < session->depth ? &session->asks[id % DEPTH_MAX] : NULL;
    if (!ask || ask->id != id) {
        group->wrong++;
        return;
    }
    group->wrong += !trust_reply_fits(data, size, &world.wallets[ask->wallet]);
    group->answers++;
    histogram_add(&group->latency, now_ns() - ask->sent_ns);
    ask->id = 0;
    session->in_flight--;
}

/* An ask that isn't answered, as a hub with too many does. */
static void take_refusal(struct session *session, uint32_t id)
{
    struct group *group = &world.groups[session->group];
    struct ask *ask = id % DEPTH_MAX < session->depth ? &session->asks[id % DEPTH_MAX] : NULL;
    if (!ask || ask->id != id) {
        group->wrong++;
        return;
    }
    group->refused++;
    ask->id = 0;
    session->in_flight--;
}

static void take_push(struct session *session, const uint8_t *data, size_t size)
{
    uint64_t offset = push_offset(data, size);
    if (offset && offset <= session->push_offset) {
        session->pushes_twice++;
    }
    session->push_offset = offset;
    session->pushes++;
    session->pushed_ns = now_ns();
}

void take_message(struct session *session, const uint8_t *data, size_t size)
{
    uint32_t id = reply_id(data, size, TYPE_TRUST_REPLY);
    if (id >= ASK_ID_MIN) {
        take_trust_reply(session, id, data, size);
        return;
    }
    id = reply_id(data, size, TYPE_ERROR_REPLY);
    if (id >= ASK_ID_MIN) {
        take_refusal(session, id);
        return;
    }
    switch (message_type(data, size)) {
    case TYPE_CHALLENGE:
        session->state = LOGGING_IN;
        signer_ask(session, data, size);
        break;
    case TYPE_LOGIN_REPLY:
    case TYPE_RESUME_REPLY:
        if (session->state < OPEN) {
            world.pending--;
            session->state = OPEN;
            session->opened_ns = now_ns();
        }
        signer_ask(session, data, size);
        break;
    case TYPE_SUBSCRIBE_REPLY:
        session->answered_others++;
        signer_ask(session, data, size);
        break;
    case TYPE_TRUST_CHANGED:
        take_push(session, data, size);
        break;
    case TYPE_ERROR_REPLY:
        session->refused++;
        session->refusal = error_code(data, size);
        if (session->state == LOGGING_IN) {
            session_end(session, TYPE_ERROR_REPLY);
        }
        break;
    default:
        session->answered_others += message_type(data, size) < TYPE_CHALLENGE;
    }
}
