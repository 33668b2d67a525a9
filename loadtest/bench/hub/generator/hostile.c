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
    TRICKLE_BYTES = 1024, /* a turn, so 8 KiB/s */
    HUGE_BYTES = 1 << 20,
};
static const uint64_t TRICKLE_EVERY_NS = 125000000;
static const uint64_t SLOWLORIS_EVERY_NS = 200000000;
static const char SLOW_UPGRADE[] = "GET /v1 HTTP/1.1\r\nHost: bench\r\nX-Slow: ";

void hostile_begin(struct session *session, enum kind kind)
{
    session->kind = kind;
    session->began_ns = session->due_ns = now_ns();
    session->kind_sent_bytes = 0;
    if (kind == STALLED || kind == TRICKLING) {
        int size = RECEIVE_BUFFER_BYTES;
        setsockopt(session->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (kind == DEAF) {
        epoll_ctl(world.epoll, EPOLL_CTL_DEL, session->fd, NULL);
        return;
    }
    session_watch(session, kind == FLOODING || kind == HUGE);
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

static void ask_without_end(struct session *session)
{
    static uint8_t frame[ASK_BYTES + FRAME_HEADER_BYTES_MAX];
    static size_t size;
    if (!size) {
        uint8_t payload[ASK_BYTES];
        /* The same id each time: it is answered before the next is read. */
        ask_encode(payload, ASK_ID_MIN, world.wallets[0].key);
        size = frame_encode(frame, OPCODE_BINARY, payload, sizeof payload);
    }
    repeat(session, frame, size);
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
    session_watch(session, true);
}

static void trickle(struct session *session, uint64_t now)
{
    uint8_t drop[TRICKLE_BYTES];
    if (session->due_ns > now) {
        return;
    }
    session->due_ns = now + TRICKLE_EVERY_NS;
    ssize_t got = recv(session->fd, drop, sizeof drop, 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        session_end(session, 0);
        return;
    }
    ask_without_end(session);
}

static void slow_upgrade(struct session *session, uint64_t now)
{
    if (session->due_ns > now || session->state != UPGRADING) {
        return;
    }
    session->due_ns = now + SLOWLORIS_EVERY_NS;
    size_t at = session->kind_sent_bytes++;
    const char *byte = at < sizeof SLOW_UPGRADE - 1 ? SLOW_UPGRADE + at : "x";
    session_send_raw(session, (const uint8_t *)byte, 1);
}

void hostile_turn(struct session *session, uint64_t now)
{
    switch (session->kind) {
    case STALLED:
        ask_without_end(session);
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
