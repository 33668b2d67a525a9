/* Clients that do harm, by malice or by a bad network. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "frame.h"
#include "world.h"

enum {
    RECEIVE_BUFFER_BYTES = 4096,
    TRICKLE_BYTES = 512, /* a turn, so 2 KiB/s */
    HUGE_BYTES = 1 << 20,
};
static const uint64_t STALLED_ASKS_EVERY_NS = 10000000;
static const uint64_t TRICKLE_EVERY_NS = 250000000;
static const uint64_t SLOWLORIS_EVERY_NS = 200000000;
static const char SLOW_UPGRADE[] = "GET /v1 HTTP/1.1\r\nHost: bench\r\nX-Slow: ";

static uint64_t period_ns(enum kind kind)
{
    switch (kind) {
    case STALLED:
        return STALLED_ASKS_EVERY_NS;
    case TRICKLING:
        return TRICKLE_EVERY_NS;
    case SLOWLORIS:
        return SLOWLORIS_EVERY_NS;
    default:
        return 0;
    }
}

/* Strangers don't keep time with each other, and all at once they would be a burst of this process,
 * which has to see the others' answers meanwhile: each begins at its own part of the period. */
void hostile_begin(struct session *session, enum kind kind, uint32_t number, uint32_t count)
{
    session->kind = kind;
    session->began_ns = now_ns();
    session->due_ns = session->began_ns + period_ns(kind) * number / count;
    session->kind_sent_bytes = 0;
    if (kind == STALLED || kind == TRICKLING) {
        int size = RECEIVE_BUFFER_BYTES;
        setsockopt(session->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (kind == DEAF) {
        epoll_ctl(world.epoll, EPOLL_CTL_DEL, session->fd, NULL);
        return;
    }
    session_watch(session);
}

/* Write *frame* again and again for as long as the system takes it. */
static void repeat(struct session *session, const uint8_t *frame, size_t size)
{
    for (int turn = 0; turn < 64; turn++) {
        size_t at = session->kind_sent_bytes % size;
        ssize_t sent = send(session->fd, frame + at, size - at, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) {
                session_end(session, 0);
            }
            return;
        }
        session->kind_sent_bytes += (size_t)sent;
    }
}

/* Ask for 64 wallets, unless an earlier request still waits to be taken. */
static void ask_much(struct session *session)
{
    enum { HEAD_BYTES = 6, WALLETS = 64, ITEM_BYTES = 2 + KEY_BYTES };
    static uint8_t payload[HEAD_BYTES + WALLETS * ITEM_BYTES] = {0x93, 0x12, 0x01, 0xdc, 0, WALLETS};
    static uint8_t frame[sizeof payload + FRAME_HEADER_BYTES_MAX];
    static size_t size;
    if (!size) {
        for (size_t item = 0; item < WALLETS; item++) {
            uint8_t *at = payload + HEAD_BYTES + item * ITEM_BYTES;
            at[0] = 0xc4;
            at[1] = KEY_BYTES;
            memcpy(at + 2, world.wallets[item % world.wallet_count].key, KEY_BYTES);
        }
        size = frame_encode(frame, OPCODE_BINARY, payload, sizeof payload);
    }
    if (!session->out_bytes) {
        session_send_raw(session, frame, size);
    }
}

static void stall(struct session *session, uint64_t now)
{
    if (session->due_ns <= now) {
        session->due_ns += STALLED_ASKS_EVERY_NS;
        ask_much(session);
    }
}

static void flood(struct session *session)
{
    uint8_t frame[CONTROL_BYTES_MAX + FRAME_HEADER_BYTES_MAX];
    uint8_t payload[CONTROL_BYTES_MAX] = {0};
    repeat(session, frame, frame_encode(frame, OPCODE_PING, payload, sizeof payload));
}

static void send_huge(struct session *session)
{
    static uint8_t frame[HUGE_BYTES + FRAME_HEADER_BYTES_MAX];
    static size_t size;
    if (!size) {
        size = frame_header(frame, OPCODE_BINARY, HUGE_BYTES) + HUGE_BYTES;
    }
    while (session->kind_sent_bytes < size) {
        ssize_t sent = send(session->fd, frame + session->kind_sent_bytes,
                            size - session->kind_sent_bytes, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) {
                session_end(session, 0);
            }
            return;
        }
        session->kind_sent_bytes += (size_t)sent;
    }
    session->kind = HONEST; /* All is said: wait for the answer. */
    session_watch(session);
}

static void trickle(struct session *session, uint64_t now)
{
    uint8_t drop[TRICKLE_BYTES];
    if (session->due_ns > now) {
        return;
    }
    session->due_ns += TRICKLE_EVERY_NS;
    ssize_t got = recv(session->fd, drop, sizeof drop, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        session_end(session, 0);
        return;
    }
    /* Four answers a second, of more than a kilobyte each: the queue grows. */
    ask_much(session);
}

static void slow_upgrade(struct session *session, uint64_t now)
{
    if (session->due_ns > now || session->state != UPGRADING) {
        return;
    }
    session->due_ns += SLOWLORIS_EVERY_NS;
    size_t at = session->kind_sent_bytes++;
    const char *byte = at < sizeof SLOW_UPGRADE - 1 ? SLOW_UPGRADE + at : "x";
    session_send_raw(session, (const uint8_t *)byte, 1);
}

void hostile_turn(struct session *session, uint64_t now)
{
    switch (session->kind) {
    case STALLED:
        stall(session, now);
        break;
    case TRICKLING:
        trickle(session, now);
        break;
    case FLOODING:
        flood(session);
        break;
    case HUGE:
        send_huge(session);
        break;
    case SLOWLORIS:
        slow_upgrade(session, now);
        break;
    case HONEST:
    case DEAF:
        break;
    }
}
