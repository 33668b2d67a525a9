/* The life of one connection: TCP, upgrade, challenge, login, frames, end. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "world.h"

/* The key and its answer are RFC 6455's example: any server must answer it so. */
static const char UPGRADE[] =
    "GET /v1 HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: realtime.qubic.v1.msgpack\r\n\r\n";
static const char ACCEPTED[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

struct session *session_new(uint8_t group)
{
    for (uint32_t at = 0; at < world.session_count; at++) {
        if (world.sessions[at].state == FREE) {
            memset(&world.sessions[at], 0, sizeof world.sessions[at]);
            world.sessions[at].group = group;
            return &world.sessions[at];
        }
    }
    if (world.session_count == SESSIONS_MAX) {
        die("too many sessions");
    }
    struct session *session = &world.sessions[world.session_count++];
    memset(session, 0, sizeof *session);
    session->group = group;
    return session;
}

/* Whether what comes is read as it comes. */
static bool reads(const struct session *session)
{
    return session->kind != STALLED && session->kind != TRICKLING && session->kind != DEAF;
}

void session_watch(struct session *session)
{
    bool reading = reads(session);
    bool writing = session->state == CONNECTING || session->out_bytes || session->kind == FLOODING ||
                   session->kind == HUGE;
    struct epoll_event event = {
        .events = (reading ? EPOLLIN : 0u) | (writing ? EPOLLOUT : 0u) | EPOLLRDHUP,
        .data.u32 = (uint32_t)(session - world.sessions),
    };
    epoll_ctl(world.epoll, EPOLL_CTL_MOD, session->fd, &event);
}

void session_connect(struct session *session, bool resuming)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        die("socket");
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    session->fd = fd;
    session->state = CONNECTING;
    session->resuming = resuming;
    session->close_code = 0;
    session->refusal = 0;
    session->in_flight = 0;
    session->rest_bytes = session->out_bytes = session->out_at = 0;
    session->began_ns = now_ns();
    session->opened_ns = session->ended_ns = 0;
    world.pending += session->kind != SLOWLORIS;
    struct epoll_event event = {
        .events = EPOLLOUT | EPOLLRDHUP, .data.u32 = (uint32_t)(session - world.sessions)};
    epoll_ctl(world.epoll, EPOLL_CTL_ADD, fd, &event);
    if (connect(fd, (struct sockaddr *)&world.server, sizeof world.server) && errno != EINPROGRESS) {
        session_end(session, 0);
    }
}

void session_end(struct session *session, uint16_t code)
{
    if (session->state == CLOSED || session->state == FREE) {
        return;
    }
    if (session->state < OPEN) {
        world.pending -= session->kind != SLOWLORIS;
    }
    if (!session->close_code) {
        session->close_code = code;
    }
    session->state = CLOSED;
    session->ended_ns = now_ns();
    close(session->fd);
    free(session->rest);
    free(session->out);
    session->rest = session->out = NULL;
    session->rest_bytes = session->out_bytes = session->out_at = 0;
}

void session_flush(struct session *session)
{
    while (session->out_bytes > session->out_at) {
        ssize_t sent = send(session->fd, session->out + session->out_at,
                            session->out_bytes - session->out_at, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN) {
                session_end(session, 0);
            }
            return;
        }
        session->out_at += (size_t)sent;
    }
    session->out_bytes = session->out_at = 0;
    session_watch(session);
}

void session_send_raw(struct session *session, const uint8_t *data, size_t size)
{
    size_t sent = 0;
    if (!session->out_bytes) {
        ssize_t taken = send(session->fd, data, size, MSG_NOSIGNAL);
        if (taken < 0 && errno != EAGAIN) {
            session_end(session, 0);
            return;
        }
        sent = taken < 0 ? 0 : (size_t)taken;
    }
    if (sent == size) {
        return;
    }
    session->out = realloc(session->out, session->out_bytes + size - sent);
    if (!session->out) {
        die("memory");
    }
    memcpy(session->out + session->out_bytes, data + sent, size - sent);
    session->out_bytes += size - sent;
    session_watch(session);
}

void session_send(struct session *session, uint8_t opcode, const uint8_t *payload, size_t size)
{
    static uint8_t frame[1 << 16];
    if (size + FRAME_HEADER_BYTES_MAX > sizeof frame) {
        die("a payload that is too long");
    }
    session_send_raw(session, frame, frame_encode(frame, opcode, payload, size));
}

static void take_frame(struct session *session, const struct frame *frame)
{
    switch (frame->opcode) {
    case OPCODE_BINARY:
        take_message(session, frame->payload, frame->size);
        break;
    case OPCODE_PING:
        session_send(session, OPCODE_PONG, frame->payload, frame->size);
        break;
    case OPCODE_CLOSE:
        session->close_code = frame->size < 2 ? 1005 : (uint16_t)(frame->payload[0] << 8 | frame->payload[1]);
        session_send(session, OPCODE_CLOSE, frame->payload, frame->size < 2 ? 0 : 2);
        session_end(session, session->close_code);
        break;
    case OPCODE_PONG:
        break;
    default:
        session_end(session, 1002);
    }
}

/* Take the answer to the upgrade; return its size, 0 while it isn't whole. */
static size_t take_upgrade(struct session *session, const uint8_t *data, size_t size)
{
    const uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) {
        return 0;
    }
    size_t head = (size_t)(end - data) + 4;
    int status = size > 12 ? atoi((const char *)data + 9) : 0;
    if (status != 101 || !memmem(data, head, ACCEPTED, sizeof ACCEPTED - 1)) {
        session_end(session, (uint16_t)status);
        return head;
    }
    session->state = GREETED;
    return head;
}

static void take_bytes(struct session *session, const uint8_t *data, size_t size)
{
    size_t at = 0;
    while (at < size && session->state != CLOSED) {
        if (session->state == UPGRADING) {
            size_t used = take_upgrade(session, data + at, size - at);
            if (!used) {
                break;
            }
            at += used;
            continue;
        }
        struct frame frame;
        long used = frame_parse(data + at, size - at, &frame);
        if (used == FRAME_BROKEN) {
            session_end(session, 1002);
            return;
        }
        if (used == FRAME_INCOMPLETE) {
            break;
        }
        at += (size_t)used;
        take_frame(session, &frame);
    }
    if (session->state == CLOSED) {
        return;
    }
    size_t left = size - at;
    if (left) {
        uint8_t *rest = malloc(left);
        if (!rest) {
            die("memory");
        }
        memcpy(rest, data + at, left);
        free(session->rest);
        session->rest = rest;
    }
    session->rest_bytes = left;
    if (world.groups[session->group].looping && session->state == OPEN) {
        ask_some(session);
    }
}

static void receive(struct session *session)
{
    memcpy(world.read_buffer, session->rest, session->rest_bytes);
    ssize_t got = recv(session->fd, world.read_buffer + session->rest_bytes,
                       READ_BYTES - session->rest_bytes, 0);
    if (got > 0) {
        take_bytes(session, world.read_buffer, session->rest_bytes + (size_t)got);
    } else if (got == 0 || errno != EAGAIN) {
        session_end(session, 0);
    }
}

static void connected(struct session *session)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(session->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        session_end(session, 0);
        return;
    }
    session->state = UPGRADING;
    session_watch(session);
    if (session->kind == SLOWLORIS) {
        return;
    }
    session_send_raw(session, (const uint8_t *)UPGRADE, sizeof UPGRADE - 1);
}

void session_on_event(struct session *session, uint32_t events)
{
    if (session->state == CLOSED || session->state == FREE) {
        return;
    }
    if (session->state == CONNECTING) {
        connected(session);
        return;
    }
    if (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLIN)) {
        session_end(session, 0);
        return;
    }
    if (events & EPOLLRDHUP && !reads(session)) {
        session_end(session, 0);
        return;
    }
    if ((session->kind == FLOODING || session->kind == HUGE) && session->state == OPEN) {
        hostile_turn(session, now_ns());
    } else if (events & EPOLLOUT) {
        session_flush(session);
    }
    if (events & (EPOLLIN | EPOLLRDHUP) && session->state != CLOSED && reads(session)) {
        receive(session);
    }
}
