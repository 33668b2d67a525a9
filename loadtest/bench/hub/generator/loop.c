/* The event loop: sessions, the signer, the clock, and commands while nobody executes one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "world.h"

enum { EVENTS_AT_ONCE = 512, TICK_NS = 250000 };

struct world world;
static bool command_waits;
static struct session *clocked[SESSIONS_MAX];
static uint32_t clocked_count;

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

_Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static void add(int fd, uint32_t mark, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u32 = mark};
    if (epoll_ctl(world.epoll, EPOLL_CTL_ADD, fd, &event)) {
        die("epoll_ctl");
    }
}

void loop_open(void)
{
    world.epoll = epoll_create1(EPOLL_CLOEXEC);
    world.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (world.epoll < 0 || world.timer < 0) {
        die("epoll or timer");
    }
    add(STDIN_FILENO, COMMAND_EVENT, EPOLLIN | EPOLLONESHOT);
    add(world.timer, TIMER_EVENT, EPOLLIN);
    add(world.signer, SIGNER_EVENT, EPOLLIN);
}

static bool goes_by_the_clock(const struct session *session)
{
    if (session->state == FREE || session->state == CLOSED) {
        return false;
    }
    return session->kind == STALLED || session->kind == TRICKLING || session->kind == SLOWLORIS ||
           (session->kind == HONEST && world.groups[session->group].period_ns);
}

/* Find the sessions that do something by the clock; tick only while there are some. */
void loop_clock(void)
{
    clocked_count = 0;
    for (uint32_t at = 0; at < world.session_count; at++) {
        if (goes_by_the_clock(&world.sessions[at])) {
            clocked[clocked_count++] = &world.sessions[at];
        }
    }
    long every_ns = clocked_count ? TICK_NS : 0;
    struct itimerspec every = {{0, every_ns}, {0, every_ns}};
    timerfd_settime(world.timer, 0, &every, NULL);
}

/* Let commands in again; one that came meanwhile shows at once. */
void loop_commands(void)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT, .data.u32 = COMMAND_EVENT};
    command_waits = false;
    epoll_ctl(world.epoll, EPOLL_CTL_MOD, STDIN_FILENO, &event);
}

bool loop_has_command(void)
{
    return command_waits;
}

static void on_tick(void)
{
    uint64_t ticks;
    if (read(world.timer, &ticks, sizeof ticks) < 0 && errno != EAGAIN) {
        die("timer");
    }
    uint64_t now = now_ns();
    for (uint32_t at = 0; at < clocked_count; at++) {
        struct session *session = clocked[at];
        if (session->kind != HONEST && session->state >= UPGRADING && session->state <= OPEN) {
            hostile_turn(session, now);
        } else if (session->state == OPEN && world.groups[session->group].period_ns) {
            pace_due(session, now);
        }
    }
}

void loop_turn(int timeout_ms)
{
    struct epoll_event events[EVENTS_AT_ONCE];
    int count = epoll_wait(world.epoll, events, EVENTS_AT_ONCE, timeout_ms);
    if (count < 0 && errno != EINTR) {
        die("epoll_wait");
    }
    for (int at = 0; at < count; at++) {
        uint32_t mark = events[at].data.u32;
        if (mark < SESSIONS_MAX) {
            session_on_event(&world.sessions[mark], events[at].events);
        } else if (mark == SIGNER_EVENT) {
            signer_on_event(events[at].events);
        } else if (mark == TIMER_EVENT) {
            on_tick();
        } else {
            command_waits = true;
        }
    }
}
