/* All that the generator has: one server, one event loop, sessions in groups. Single-threaded. */
#ifndef WORLD_H
#define WORLD_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "histogram.h"
#include "message.h"

enum { SESSIONS_MAX = 16384, GROUPS_MAX = 16, DEPTH_MAX = 64, READ_BYTES = 1 << 18 };
/* What an event belongs to when it is no session. */
enum { SIGNER_EVENT = SESSIONS_MAX, TIMER_EVENT, COMMAND_EVENT };

enum state { FREE, CONNECTING, UPGRADING, GREETED, LOGGING_IN, OPEN, CLOSED };
enum kind {
    HONEST,
    STALLED,   /* asks on and on, reads nothing */
    TRICKLING, /* asks for more than it reads, a little at a time */
    FLOODING,  /* sends pings as fast as they are taken */
    SLOWLORIS, /* sends its upgrade request byte by byte */
    HUGE,      /* sends a frame of a megabyte */
    DEAF,      /* says and reads nothing, as a phone without network */
};

struct ask {
    uint64_t sent_ns;
    uint32_t id; /* 0: free */
    uint32_t wallet;
};

struct session {
    int fd;
    enum state state;
    enum kind kind;
    uint8_t group;
    bool resuming;
    uint16_t close_code; /* what the server said, or an HTTP status */
    uint16_t in_flight;
    uint16_t depth;
    uint32_t asked; /* counts requests, for ids and wallets */
    uint32_t answered_others; /* replies to requests that are not trust.get */
    uint32_t refused; /* error replies */
    uint32_t refusal; /* code of the newest one */
    uint32_t pushes;
    uint32_t pushes_twice;
    uint64_t push_offset;
    uint64_t pushed_ns;
    uint64_t due_ns;
    uint64_t began_ns;
    uint64_t opened_ns; /* 0: the server has not let it in */
    uint64_t ended_ns;
    size_t kind_sent_bytes;
    uint8_t *rest; /* received, not whole yet */
    size_t rest_bytes;
    uint8_t *out; /* to send, not taken yet */
    size_t out_bytes;
    size_t out_at;
    struct ask *asks;
};

struct group {
    uint64_t period_ns; /* 0: not paced */
    bool looping; /* each answer is followed by the next request */
    uint64_t answers;
    uint64_t refused;
    uint64_t wrong; /* answers that were not, to the byte, what they should be */
    struct histogram latency;
};

struct world {
    int epoll;
    int timer;
    int signer;
    pid_t server_pid;
    struct sockaddr_in server;
    const struct wallet *wallets;
    uint32_t wallet_count;
    uint32_t session_count;
    uint32_t pending; /* sessions between connect and open */
    uint32_t random;
    struct session sessions[SESSIONS_MAX];
    struct group groups[GROUPS_MAX];
    uint8_t read_buffer[READ_BYTES];
};

extern struct world world;

uint64_t now_ns(void);
_Noreturn void die(const char *what);

/* session.c: the life of one connection */
struct session *session_new(uint8_t group);
void session_connect(struct session *session, bool resuming);
void session_on_event(struct session *session, uint32_t events);
void session_send(struct session *session, uint8_t opcode, const uint8_t *payload, size_t size);
void session_send_raw(struct session *session, const uint8_t *data, size_t size);
void session_flush(struct session *session);
void session_end(struct session *session, uint16_t code);
void session_watch(struct session *session);

/* asking.c: requests and what comes back */
void ask_prepare(struct session *session, uint16_t depth);
void ask_some(struct session *session);
void take_message(struct session *session, const uint8_t *data, size_t size);
void pace_due(struct session *session, uint64_t now);

/* hostile.c */
void hostile_begin(struct session *session, enum kind kind, uint32_t number, uint32_t count);
void hostile_turn(struct session *session, uint64_t now);

/* signer.c: the process that signs for wallets */
void signer_ask(struct session *session, const uint8_t *data, size_t size);
void signer_on_event(uint32_t events);

/* loop.c */
void loop_open(void);
void loop_turn(int timeout_ms);
void loop_clock(void);
void loop_commands(void);
bool loop_has_command(void);

#endif
