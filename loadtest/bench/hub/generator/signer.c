/* The process that signs for the wallets, at the other end of a socket.
 *
 * It is sent each challenge and the replies that a resumption needs (login, subscribe) as
 * [size u32][session u32][group u8][resuming u8][push offset u64][message], and answers a challenge with [size u32][session u32][message], in its own time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "frame.h"
#include "world.h"

enum { HEAD_BYTES = 8, FACTS_BYTES = 10, ANSWERS_BYTES_MAX = 1 << 20 };

static uint8_t *unsent;
static size_t unsent_bytes;
static uint8_t answers[ANSWERS_BYTES_MAX];
static size_t answers_bytes;

static void flush(void)
{
    size_t at = 0;
    while (at < unsent_bytes) {
        ssize_t sent = send(world.signer, unsent + at, unsent_bytes - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno != EAGAIN) {
                die("the signer is gone");
            }
            break;
        }
        at += (size_t)sent;
    }
    memmove(unsent, unsent + at, unsent_bytes - at);
    unsent_bytes -= at;
    struct epoll_event event = {
        .events = EPOLLIN | (unsent_bytes ? EPOLLOUT : 0u), .data.u32 = SIGNER_EVENT};
    epoll_ctl(world.epoll, EPOLL_CTL_MOD, world.signer, &event);
}

void signer_ask(struct session *session, const uint8_t *data, size_t size)
{
    unsent = realloc(unsent, unsent_bytes + HEAD_BYTES + FACTS_BYTES + size);
    if (!unsent) {
        die("memory");
    }
    uint8_t *out = unsent + unsent_bytes;
    put_u32(out, (uint32_t)size + 4 + FACTS_BYTES);
    put_u32(out + 4, (uint32_t)(session - world.sessions));
    out[HEAD_BYTES] = session->group;
    out[HEAD_BYTES + 1] = session->resuming;
    put_u32(out + HEAD_BYTES + 2, (uint32_t)(session->push_offset >> 32));
    put_u32(out + HEAD_BYTES + 6, (uint32_t)session->push_offset);
    memcpy(out + HEAD_BYTES + FACTS_BYTES, data, size);
    bool idle = !unsent_bytes;
    unsent_bytes += HEAD_BYTES + FACTS_BYTES + size;
    if (idle) {
        flush();
    }
}

static void take_answers(void)
{
    ssize_t got = recv(world.signer, answers + answers_bytes, sizeof answers - answers_bytes, MSG_DONTWAIT);
    if (got == 0 || (got < 0 && errno != EAGAIN)) {
        die("the signer is gone");
    }
    answers_bytes += got < 0 ? 0 : (size_t)got;
    size_t at = 0;
    while (answers_bytes - at >= HEAD_BYTES) {
        size_t size = get_u32(answers + at);
        if (answers_bytes - at < 4 + size) {
            break;
        }
        struct session *session = &world.sessions[get_u32(answers + at + 4) % SESSIONS_MAX];
        if (session->state == LOGGING_IN) {
            session_send(session, OPCODE_BINARY, answers + at + HEAD_BYTES, size - 4);
        }
        at += 4 + size;
    }
    memmove(answers, answers + at, answers_bytes - at);
    answers_bytes -= at;
}

void signer_on_event(uint32_t events)
{
    if (events & EPOLLOUT) {
        flush();
    }
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        take_answers();
    }
}
