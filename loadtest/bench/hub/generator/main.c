/* A load generator for the session protocol: commands on stdin, one JSON line for each on stdout.
 *
 *     generator PORT SIGNER_FD WALLETS_FILE
 *
 * Sessions are in numbered groups. While a command is executed all groups go on with what they do.
 * README.md beside this file lists the commands. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "frame.h"
#include "world.h"

/* Close codes and refusals of the session protocol, by what they tell a client to do. */
enum { STAY_AWAY_MIN = 4500, STAY_AWAY_MAX = 4999, TRY_AGAIN_MIN = 106, TRY_AGAIN_MAX = 108 };
enum { LINE_BYTES_MAX = 1 << 16, PAYLOAD_BYTES_MAX = LINE_BYTES_MAX / 2, STATES = CLOSED + 1 };

#define EACH(session, of_group)                                                                     \
    for (struct session *session = world.sessions; session < world.sessions + world.session_count;  \
         session++)                                                                                 \
        if (session->group == (of_group) && session->state != FREE)

static uint8_t group_number(const char *text)
{
    int number = text ? atoi(text) : -1;
    if (number < 0 || number >= GROUPS_MAX) {
        die("a group that isn't there");
    }
    return (uint8_t)number;
}

static uint64_t number(const char *text)
{
    return text ? strtoull(text, NULL, 10) : 0;
}

static size_t unhex(const char *text, uint8_t *out)
{
    size_t size = 0;
    unsigned byte;
    while (text && size < PAYLOAD_BYTES_MAX && sscanf(text + 2 * size, "%2x", &byte) == 1) {
        out[size++] = (uint8_t)byte;
    }
    return size;
}

/* CPU time of the server in microseconds: user and system, all threads, to the nanosecond (the
 * figures in /proc come in hundredths of a second). */
static uint64_t server_cpu_us(void)
{
    clockid_t clock;
    struct timespec used = {0, 0};
    if (!clock_getcpuclockid(world.server_pid, &clock)) {
        clock_gettime(clock, &used);
    }
    return (uint64_t)used.tv_sec * 1000000 + (uint64_t)used.tv_nsec / 1000;
}

static uint64_t own_cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

static double ms_between(uint64_t from_ns, uint64_t to_ns)
{
    return to_ns > from_ns ? (double)(to_ns - from_ns) / 1e6 : 0;
}

static int compare_u64(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static void print_latency(const struct group *group)
{
    const struct histogram *histogram = &group->latency;
    printf("\"answers\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"wrong\": %" PRIu64
           ", \"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f",
           group->answers, group->refused, group->wrong, (double)histogram_quantile(histogram, 500) / 1e3,
           (double)histogram_quantile(histogram, 990) / 1e3,
           (double)histogram_quantile(histogram, 999) / 1e3, (double)histogram->max_ns / 1e3);
}

static void clear_stats(struct group *group)
{
    group->answers = group->refused = group->wrong = 0;
    histogram_clear(&group->latency);
}

/* Turn until *until_ns*. */
static void run_until(uint64_t until_ns)
{
    for (uint64_t now = now_ns(); now < until_ns; now = now_ns()) {
        loop_turn((int)((until_ns - now) / 1000000) + 1);
    }
}

/* The commands --------------------------------------------------------------------------------- */

struct opened {
    uint32_t count;
    uint32_t refused;
    uint64_t last_ns;
};

/* Count what became of the connections that were begun since *began_ns*. */
static struct opened count_opened(uint8_t group, uint64_t began_ns)
{
    struct opened found = {0, 0, began_ns};
    EACH(session, group)
    {
        if (session->began_ns < began_ns) {
            continue;
        }
        if (session->state == OPEN) {
            found.count++;
            found.last_ns = session->opened_ns > found.last_ns ? session->opened_ns : found.last_ns;
        } else if (session->state == CLOSED) {
            found.refused++;
        }
    }
    return found;
}

/* open GROUP COUNT PARALLEL TIMEOUT_MS */
static void do_open(char **words)
{
    uint8_t group = group_number(words[1]);
    uint32_t count = (uint32_t)number(words[2]);
    uint64_t began = now_ns();
    uint64_t cpu = server_cpu_us();
    uint64_t end = began + number(words[4]) * 1000000;
    uint32_t started = 0;
    while ((started < count || world.pending) && now_ns() < end) {
        while (started < count && world.pending < number(words[3])) {
            session_connect(session_new(group), false);
            started++;
        }
        loop_turn(10);
    }
    struct opened opened = count_opened(group, began);
    printf("{\"wanted\": %u, \"opened\": %u, \"refused\": %u, \"last_ms\": %.1f, "
           "\"server_cpu_us\": %" PRIu64 "}\n",
           count, opened.count, opened.refused, ms_between(began, opened.last_ns),
           server_cpu_us() - cpu);
}

/* load GROUP DEPTH WARM_MS MS: each answer is followed by the next request */
static void do_load(char **words)
{
    uint8_t number_of = group_number(words[1]);
    struct group *group = &world.groups[number_of];
    uint64_t depth = number(words[2]);
    if (depth < 1 || depth > DEPTH_MAX) {
        die("a depth that isn't possible");
    }
    group->looping = true;
    EACH(session, number_of)
    {
        if (session->state == OPEN) {
            ask_prepare(session, (uint16_t)depth);
            ask_some(session);
        }
    }
    run_until(now_ns() + number(words[3]) * 1000000);
    clear_stats(group);
    uint64_t began = now_ns();
    uint64_t cpu = server_cpu_us();
    uint64_t own = own_cpu_us();
    run_until(began + number(words[4]) * 1000000);
    cpu = server_cpu_us() - cpu;
    own = own_cpu_us() - own;
    printf("{\"seconds\": %.6f, \"server_cpu_us\": %" PRIu64 ", \"generator_cpu_us\": %" PRIu64 ", ",
           ms_between(began, now_ns()) / 1e3, cpu, own);
    print_latency(group);
    printf("}\n");
    group->looping = false;
    uint64_t end = now_ns() + 2000000000u;
    for (uint32_t in_flight = 1; in_flight && now_ns() < end;) {
        loop_turn(10);
        in_flight = 0;
        EACH(session, number_of)
        {
            in_flight += session->state == OPEN ? session->in_flight : 0;
        }
    }
}

/* pace GROUP PERIOD_US: each session asks that often, from now on; 0 stops */
static void do_pace(char **words)
{
    uint8_t number_of = group_number(words[1]);
    struct group *group = &world.groups[number_of];
    group->period_ns = number(words[2]) * 1000;
    uint64_t now = now_ns();
    uint32_t at = 0;
    EACH(session, number_of)
    {
        if (session->state == OPEN && group->period_ns) {
            ask_prepare(session, 1);
            /* Spread over the period, so that they don't all ask at once. */
            session->due_ns = now + at++ * 7919000u % group->period_ns;
        }
    }
    loop_clock();
    clear_stats(group);
    printf("{}\n");
}

/* stats GROUP: what its answers took since the last time */
static void do_stats(char **words)
{
    struct group *group = &world.groups[group_number(words[1])];
    printf("{");
    print_latency(group);
    printf("}\n");
    clear_stats(group);
}

static uint32_t answered_others(uint8_t group)
{
    uint32_t answered = 0;
    EACH(session, group)
    {
        answered += session->answered_others + session->refused;
    }
    return answered;
}

/* send GROUP HEX TIMEOUT_MS: one request from each session, and wait for the answers */
static void do_send(char **words)
{
    static uint8_t payload[PAYLOAD_BYTES_MAX];
    uint8_t group = group_number(words[1]);
    size_t size = unhex(words[2], payload);
    uint64_t began = now_ns();
    uint64_t end = began + number(words[3]) * 1000000;
    uint32_t before = answered_others(group);
    uint32_t sent = 0;
    uint32_t refused = 0;
    EACH(session, group)
    {
        if (session->state == OPEN) {
            session->refused = 0;
            session_send(session, OPCODE_BINARY, payload, size);
            if (++sent % 64 == 0) {
                loop_turn(0);
            }
        }
    }
    while (answered_others(group) - before < sent && now_ns() < end) {
        loop_turn(10);
    }
    EACH(session, group)
    {
        refused += session->refused;
    }
    printf("{\"sent\": %u, \"answered\": %u, \"refused\": %u, \"ms\": %.1f}\n", sent,
           answered_others(group) - before, refused, ms_between(began, now_ns()));
}

static uint64_t deliveries_ns[SESSIONS_MAX];

/* Write the rest of a line's object: *refusal* is the code with which the publisher was refused. */
static void print_delivered(uint8_t watchers, uint64_t began, uint64_t cpu, uint32_t refusal)
{
    uint32_t delivered = 0;
    uint32_t missing = 0;
    uint32_t twice = 0;
    EACH(session, watchers)
    {
        twice += session->pushes_twice + (session->pushes > 1 ? session->pushes - 1 : 0);
        if (session->pushes) {
            deliveries_ns[delivered++] = session->pushed_ns;
        } else {
            missing++;
        }
    }
    qsort(deliveries_ns, delivered, sizeof *deliveries_ns, compare_u64);
    printf("\"delivered\": %u, \"missing\": %u, \"twice\": %u", delivered, missing, twice);
    if (delivered) {
        printf(", \"first_ms\": %.3f, \"median_ms\": %.3f, \"last_ms\": %.3f",
               ms_between(began, deliveries_ns[0]), ms_between(began, deliveries_ns[delivered / 2]),
               ms_between(began, deliveries_ns[delivered - 1]));
    }
    printf(", \"refusal\": %u, \"server_cpu_us\": %" PRIu64 "}\n", refusal, server_cpu_us() - cpu);
}

/* Send a request from a group's first session, and return the session. */
static const struct session *publish(uint8_t group, const uint8_t *payload, size_t size)
{
    EACH(session, group)
    {
        session->refusal = 0;
        session_send(session, OPCODE_BINARY, payload, size);
        return session;
    }
    die("nobody to publish");
}

static void wait_delivered(uint8_t watchers, uint32_t wanted, uint64_t end_ns)
{
    for (uint32_t got = 0; got < wanted && now_ns() < end_ns;) {
        loop_turn(10);
        got = 0;
        EACH(session, watchers)
        {
            got += session->pushes > 0;
        }
    }
}

/* publish GROUP HEX WATCHERS TIMEOUT_MS: the group's first session sends; a push to each watcher */
static void do_publish(char **words)
{
    static uint8_t payload[PAYLOAD_BYTES_MAX];
    uint8_t watchers = group_number(words[3]);
    size_t size = unhex(words[2], payload);
    uint32_t wanted = 0;
    EACH(session, watchers)
    {
        session->pushes = session->pushes_twice = 0;
        wanted++;
    }
    uint64_t cpu = server_cpu_us();
    uint64_t began = now_ns();
    const struct session *publisher = publish(group_number(words[1]), payload, size);
    wait_delivered(watchers, wanted, began + number(words[4]) * 1000000);
    printf("{");
    print_delivered(watchers, began, cpu, publisher->refusal);
}

/* Cut all of a group at once, without a word; return how many. */
static uint32_t cut(uint8_t group)
{
    uint32_t count = 0;
    EACH(session, group)
    {
        struct linger reset = {1, 0};
        if (session->state != CLOSED) {
            setsockopt(session->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        }
        session_end(session, 0);
        session->pushes = session->pushes_twice = 0;
        session->opened_ns = session->close_code = session->refusal = 0;
        count++;
    }
    return count;
}

/* Whether a client would come back: it was cut off or turned away, not let in and ended, and
 * neither a close code nor the code of a refusal told it to stay away. */
static bool comes_back(const struct session *session)
{
    uint16_t closed = session->close_code;
    uint32_t refused = session->refusal;
    return session->state == CLOSED && !session->opened_ns &&
           !(closed >= STAY_AWAY_MIN && closed <= STAY_AWAY_MAX) &&
           (!refused || (refused >= TRY_AGAIN_MIN && refused <= TRY_AGAIN_MAX));
}

/* Connect those of a group that come back, a few at a time, until each is in or refused. */
static struct opened come_back(uint8_t group, uint64_t parallel, uint64_t end_ns, bool resuming)
{
    uint64_t began = now_ns();
    struct session *next = world.sessions;
    struct session *last = world.sessions + world.session_count;
    while ((next < last || world.pending) && now_ns() < end_ns) {
        for (; next < last && world.pending < parallel; next++) {
            if (next->group == group && comes_back(next)) {
                session_connect(next, resuming);
            }
        }
        loop_turn(10);
    }
    return count_opened(group, began);
}

/* resume GROUP PARALLEL TIMEOUT_MS PUBLISHERS HEX: cut all of a group at once, publish while they
 * are away, bring them back, and see that each has that one push */
static void do_resume(char **words)
{
    static uint8_t payload[PAYLOAD_BYTES_MAX];
    uint8_t group = group_number(words[1]);
    uint8_t publishers = group_number(words[4]);
    size_t size = unhex(words[5], payload);
    uint32_t wanted = cut(group);
    const struct session *publisher = publish(publishers, payload, size);
    uint64_t began = now_ns();
    uint64_t cpu = server_cpu_us();
    uint64_t end = began + number(words[3]) * 1000000;
    struct opened opened = come_back(group, number(words[2]), end, true);
    wait_delivered(group, opened.count, end);
    printf("{\"wanted\": %u, \"opened\": %u, \"back_ms\": %.1f, ", wanted, opened.count,
           ms_between(began, opened.last_ns));
    print_delivered(group, began, cpu, publisher->refusal);
}

/* cut GROUP: without a word; its sessions can come back */
static void do_cut(char **words)
{
    printf("{\"cut\": %u}\n", cut(group_number(words[1])));
}

/* back GROUP PARALLEL TIMEOUT_MS HOW: bring back those that were cut; HOW is resume or login */
static void do_back(char **words)
{
    bool resuming = !strcmp(words[4], "resume");
    if (!resuming && strcmp(words[4], "login")) {
        die("a way back that isn't there");
    }
    uint64_t began = now_ns();
    uint64_t end = began + number(words[3]) * 1000000;
    struct opened opened = come_back(group_number(words[1]), number(words[2]), end, resuming);
    printf("{\"opened\": %u, \"refused\": %u, \"ms\": %.1f}\n", opened.count, opened.refused,
           ms_between(began, now_ns()));
}

/* sessions GROUP: what became of each at its newest connection, times in ns of the system's
 * monotonic clock: [number, began, let in (0: never), ended (0: alive), close code, refusal] */
static void do_sessions(char **words)
{
    const char *comma = "";
    printf("{\"sessions\": [");
    EACH(session, group_number(words[1]))
    {
        printf("%s[%u, %" PRIu64 ", %" PRIu64 ", %" PRIu64 ", %u, %u]", comma,
               (unsigned)(session - world.sessions), session->began_ns, session->opened_ns,
               session->ended_ns, session->close_code, session->refusal);
        comma = ", ";
    }
    printf("]}\n");
}

/* port PORT: where connections go from now on, on this machine */
static void do_port(char **words)
{
    world.server.sin_port = htons((uint16_t)number(words[1]));
    printf("{}\n");
}

/* become GROUP KIND: stalled, trickling, flooding, huge, deaf */
static void do_become(char **words)
{
    static const char *const names[] = {"honest",    "stalled", "trickling", "flooding",
                                        "slowloris", "huge",    "deaf"};
    uint8_t group = group_number(words[1]);
    for (unsigned kind = STALLED; kind <= DEAF; kind++) {
        if (words[2] && !strcmp(words[2], names[kind])) {
            uint32_t count = 0;
            uint32_t begun = 0;
            EACH(session, group)
            {
                count += session->state == OPEN;
            }
            EACH(session, group)
            {
                if (session->state == OPEN) {
                    hostile_begin(session, (enum kind)kind, begun++, count);
                }
            }
            loop_clock();
            printf("{}\n");
            return;
        }
    }
    die("a kind of client that isn't there");
}

/* slowloris GROUP COUNT: connections that never end their upgrade request */
static void do_slowloris(char **words)
{
    uint8_t group = group_number(words[1]);
    uint32_t count = (uint32_t)number(words[2]);
    for (uint32_t begun = 0; begun < count; begun++) {
        struct session *session = session_new(group);
        session->kind = SLOWLORIS;
        session_connect(session, false);
        hostile_begin(session, SLOWLORIS, begun, count);
    }
    loop_clock();
    printf("{}\n");
}

/* ended GROUP TIMEOUT_MS: wait until all of a group are closed, and tell how */
static void do_ended(char **words)
{
    uint8_t group = group_number(words[1]);
    uint64_t began = now_ns();
    uint64_t end = began + number(words[2]) * 1000000;
    uint32_t alive = 1;
    while (alive && now_ns() < end) {
        loop_turn(10);
        alive = 0;
        EACH(session, group)
        {
            alive += session->state != CLOSED;
        }
    }
    uint32_t closed = 0;
    double first_ms = 1e12;
    double last_ms = 0;
    static uint32_t codes[65536];
    memset(codes, 0, sizeof codes);
    alive = 0;
    EACH(session, group)
    {
        if (session->state != CLOSED) {
            alive++;
            continue;
        }
        double took = ms_between(session->began_ns, session->ended_ns);
        closed++;
        codes[session->close_code]++;
        first_ms = took < first_ms ? took : first_ms;
        last_ms = took > last_ms ? took : last_ms;
    }
    printf("{\"closed\": %u, \"alive\": %u, \"waited_ms\": %.1f, \"first_ms\": %.1f, \"last_ms\": %.1f, "
           "\"codes\": {",
           closed, alive, ms_between(began, now_ns()), closed ? first_ms : 0, last_ms);
    const char *comma = "";
    for (unsigned code = 0; code < 65536; code++) {
        if (codes[code]) {
            printf("%s\"%u\": %u", comma, code, codes[code]);
            comma = ", ";
        }
    }
    printf("}}\n");
}

/* wait MS */
static void do_wait(char **words)
{
    run_until(now_ns() + number(words[1]) * 1000000);
    printf("{}\n");
}

/* close GROUP: with a reset, so that nothing of it lingers */
static void do_close(char **words)
{
    uint8_t group = group_number(words[1]);
    cut(group);
    EACH(session, group)
    {
        free(session->asks);
        session->asks = NULL;
        session->state = FREE;
    }
    printf("{}\n");
}

/* server PID: whose CPU time is meant */
static void do_server(char **words)
{
    world.server_pid = (pid_t)number(words[1]);
    printf("{\"cpu_us\": %" PRIu64 "}\n", server_cpu_us());
}

static const struct {
    const char *name;
    void (*run)(char **words);
    int words;
} COMMANDS[] = {
    {"server", do_server, 2},   {"open", do_open, 5},     {"load", do_load, 5},
    {"pace", do_pace, 3},       {"stats", do_stats, 2},   {"send", do_send, 4},
    {"publish", do_publish, 5}, {"become", do_become, 3}, {"slowloris", do_slowloris, 3},
    {"ended", do_ended, 3},     {"wait", do_wait, 2},     {"resume", do_resume, 6},
    {"close", do_close, 2},     {"cut", do_cut, 2},       {"back", do_back, 5},
    {"sessions", do_sessions, 2}, {"port", do_port, 2},
};

static void execute(char *line)
{
    char *words[8] = {NULL};
    int count = 0;
    for (char *word = strtok(line, " \n"); word && count < 7; word = strtok(NULL, " \n")) {
        words[count++] = word;
    }
    for (size_t at = 0; at < sizeof COMMANDS / sizeof *COMMANDS; at++) {
        if (count == COMMANDS[at].words && !strcmp(words[0], COMMANDS[at].name)) {
            COMMANDS[at].run(words);
            fflush(stdout);
            return;
        }
    }
    fprintf(stderr, "unknown command: %s of %d words\n", count ? words[0] : "(none)", count);
    exit(2);
}

static void read_wallets(const char *path)
{
    struct stat found;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) || found.st_size < (off_t)sizeof(struct wallet)) {
        die(path);
    }
    void *data = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED) {
        die(path);
    }
    close(fd);
    world.wallets = data;
    world.wallet_count = (uint32_t)((size_t)found.st_size / sizeof(struct wallet));
}

int main(int argc, char **argv)
{
    static char line[LINE_BYTES_MAX];
    if (argc != 4) {
        fprintf(stderr, "usage: generator PORT SIGNER_FD WALLETS_FILE < commands\n");
        return 2;
    }
    world.server.sin_family = AF_INET;
    world.server.sin_port = htons((uint16_t)atoi(argv[1]));
    world.server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    world.signer = atoi(argv[2]);
    read_wallets(argv[3]);
    loop_open();
    setvbuf(stdin, NULL, _IONBF, 0);
    for (;;) {
        while (!loop_has_command()) {
            loop_turn(1000);
        }
        if (!fgets(line, sizeof line, stdin)) {
            return 0;
        }
        execute(line);
        loop_commands();
    }
}
