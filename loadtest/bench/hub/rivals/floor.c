/* The floor: an epoll loop that does the same work with nothing around it.
 *
 *     floor PORT WORK_FILE
 *
 * It reads exactly what the generator sends and trusts it: a bound for what any server can reach. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FDS_MAX = 20000, BUFFER = 1 << 17, SLOTS = 1 << 15, KEY = 32, FRAME_MAX = 4096, NUMBERS = 5 };
enum { LOGIN = 0x02, SUBSCRIBE = 0x10, TRUST_GET = 0x12, TRUST_SET = 0x38 };
static const uint64_t TTL_MS = 86400000;

struct canned {
    uint8_t data[FRAME_MAX];
    size_t size;
};

struct wallet {
    uint8_t key[KEY];
    uint8_t trust[32];
    size_t trust_size; /* 0: free */
};

struct connection {
    uint8_t *rest;
    size_t rest_size;
    int open;
    int watches;
};

static struct canned challenge, login, subscribed, published, push;
static struct wallet wallets[SLOTS];
static struct connection connections[FDS_MAX];
static uint64_t read_ms;
static uint32_t push_offset = 1;

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static size_t put_uint(uint8_t *out, uint64_t value)
{
    int bytes = value < 0x80 ? 0 : value < 0x100 ? 1 : value < 0x10000 ? 2 : value <= UINT32_MAX ? 4 : 8;
    if (!bytes) {
        out[0] = (uint8_t)value;
        return 1;
    }
    out[0] = (uint8_t)(bytes == 1 ? 0xcc : bytes == 2 ? 0xcd : bytes == 4 ? 0xce : 0xcf);
    for (int at = 0; at < bytes; at++) {
        out[1 + at] = (uint8_t)(value >> 8 * (bytes - 1 - at));
    }
    return 1 + (size_t)bytes;
}

static struct wallet *find(const uint8_t *key)
{
    uint32_t slot;
    memcpy(&slot, key, sizeof slot);
    for (;; slot++) {
        struct wallet *wallet = &wallets[slot % SLOTS];
        if (!wallet->trust_size || !memcmp(wallet->key, key, KEY)) {
            return wallet;
        }
    }
}

static size_t unhex(const char *text, uint8_t *out, size_t max)
{
    size_t size = 0;
    for (unsigned byte; size < max && sscanf(text + 2 * size, "%2x", &byte) == 1; size++) {
        out[size] = (uint8_t)byte;
    }
    return size;
}

static void read_wallet(char *words)
{
    uint8_t key[KEY];
    unhex(strtok(words, " "), key, KEY);
    struct wallet *wallet = find(key);
    memcpy(wallet->key, key, KEY);
    wallet->trust[wallet->trust_size++] = 0x97;
    for (int at = 0; at < NUMBERS; at++) {
        wallet->trust_size += put_uint(wallet->trust + wallet->trust_size, strtoull(strtok(NULL, " \n"), NULL, 10));
    }
}

static void read_work(const char *path)
{
    static char line[4 * FRAME_MAX];
    static const struct {
        const char *name;
        struct canned *frame;
    } frames[] = {{"challenge", &challenge}, {"login", &login}, {"subscribed", &subscribed},
                  {"published", &published}, {"push", &push}};
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file)) {
        char *words = strchr(line, ' ');
        *words++ = '\0';
        if (!strcmp(line, "wallet")) {
            read_wallet(words);
        }
        for (size_t at = 0; at < sizeof frames / sizeof *frames; at++) {
            if (!strcmp(line, frames[at].name)) {
                frames[at].frame->size = unhex(words, frames[at].frame->data, FRAME_MAX);
            }
        }
    }
    fclose(file);
}

static size_t put_frame(uint8_t *out, const uint8_t *payload, size_t size)
{
    size_t at = 2;
    out[0] = 0x82;
    out[1] = (uint8_t)(size < 126 ? size : 126);
    if (size >= 126) {
        out[at++] = (uint8_t)(size >> 8);
        out[at++] = (uint8_t)size;
    }
    memcpy(out + at, payload, size);
    return at + size;
}

static void fan_out(void)
{
    /* [0x90, sub, offset, body]: the offset is written anew, the body taken as it is. */
    static uint8_t payload[FRAME_MAX];
    static uint8_t frame[FRAME_MAX];
    size_t old = push.data[4] < 0x80 ? 1 : push.data[4] == 0xcc ? 2 : push.data[4] == 0xcd ? 3 : 5;
    memcpy(payload, push.data, 4);
    size_t size = 4 + put_uint(payload + 4, ++push_offset + 1000);
    memcpy(payload + size, push.data + 4 + old, push.size - 4 - old);
    size_t whole = put_frame(frame, payload, size + push.size - 4 - old);
    for (int fd = 0; fd < FDS_MAX; fd++) {
        if (connections[fd].watches && send(fd, frame, whole, MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
            connections[fd].watches = 0;
        }
    }
}

static size_t answer_trust(const uint8_t *request, size_t id_end, uint8_t *out)
{
    uint8_t payload[FRAME_MAX] = {0x93, TRUST_GET | 0x40};
    size_t size = 2 + id_end - 2;
    uint64_t age = now_ms() - read_ms;
    size_t at = id_end;
    memcpy(payload + 2, request + 2, id_end - 2);
    size_t count = request[at] == 0xdc ? (size_t)request[at + 2] : request[at] & 0x0fu;
    size_t head = request[at] == 0xdc ? 3 : 1;
    memcpy(payload + size, request + at, head);
    size += head;
    at += head;
    for (; count; count--, at += 2 + KEY) {
        const struct wallet *wallet = find(request + at + 2);
        memcpy(payload + size, wallet->trust, wallet->trust_size);
        size += wallet->trust_size;
        size += put_uint(payload + size, age);
        size += put_uint(payload + size, read_ms + TTL_MS);
    }
    return put_frame(out, payload, size);
}

static size_t answer(int fd, const uint8_t *request, uint8_t *out)
{
    size_t id_end = request[2] < 0x80 ? 3 : request[2] == 0xcc ? 4 : request[2] == 0xcd ? 5 : 7;
    switch (request[1]) {
    case LOGIN:
        return put_frame(out, login.data, login.size);
    case SUBSCRIBE:
        connections[fd].watches = 1;
        return put_frame(out, subscribed.data, subscribed.size);
    case TRUST_SET:
        fan_out();
        return put_frame(out, published.data, published.size);
    default:
        return answer_trust(request, id_end, out);
    }
}

static size_t upgrade(int fd, uint8_t *out)
{
    /* The generator's key never changes. */
    static const char head[] =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: %s\r\nSec-WebSocket-Protocol: realtime.qubic.v1.msgpack\r\n\r\n";
    connections[fd].open = 1;
    size_t size = (size_t)sprintf((char *)out, head, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    return size + put_frame(out + size, challenge.data, challenge.size);
}

/* Take one frame; return its size, 0 while it isn't whole. */
static size_t take(int fd, uint8_t *data, size_t size, uint8_t *out, size_t *out_size)
{
    if (!connections[fd].open) {
        uint8_t *end = memmem(data, size, "\r\n\r\n", 4);
        *out_size = end ? upgrade(fd, out) : 0;
        return end ? (size_t)(end - data) + 4 : 0;
    }
    size_t head = size > 3 && (data[1] & 0x7f) == 126 ? 4 : 2;
    size_t length = head == 2 ? data[1] & 0x7fu : (size_t)(data[2] << 8 | data[3]);
    if (size < head + 4 + length) {
        return 0;
    }
    for (size_t at = 0; at < length; at++) {
        data[head + 4 + at] ^= data[head + (at & 3)];
    }
    *out_size = (data[0] & 0x0f) == 2 ? answer(fd, data + head + 4, out) : 0;
    return head + 4 + length;
}

static void drop(int fd)
{
    free(connections[fd].rest);
    memset(&connections[fd], 0, sizeof connections[fd]);
    close(fd);
}

static void receive(int fd)
{
    static uint8_t in[BUFFER];
    static uint8_t out[2 * BUFFER];
    struct connection *connection = &connections[fd];
    size_t size = connection->rest_size;
    memcpy(in, connection->rest, size);
    ssize_t got = recv(fd, in + size, sizeof in - size, 0);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            drop(fd);
        }
        return;
    }
    size += (size_t)got;
    size_t at = 0;
    size_t out_size = 0;
    for (size_t used = 1; used && at < size; at += used) {
        size_t written = 0;
        used = take(fd, in + at, size - at, out + out_size, &written);
        out_size += written;
    }
    free(connection->rest);
    connection->rest = NULL;
    connection->rest_size = size - at;
    if (at < size) {
        connection->rest = malloc(size - at);
        memcpy(connection->rest, in + at, size - at);
    }
    if (out_size && send(fd, out, out_size, MSG_NOSIGNAL) < 0 && errno != EAGAIN) {
        drop(fd);
    }
}

int main(int argc, char **argv)
{
    static struct epoll_event events[512];
    if (argc != 3) {
        return 2;
    }
    read_work(argv[2]);
    read_ms = now_ms();
    int on = 1;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror("floor");
        return 1;
    }
    int epoll = epoll_create1(0);
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &wanted);
    puts("ready");
    fflush(stdout);
    for (;;) {
        int count = epoll_wait(epoll, events, 512, -1);
        for (int at = 0; at < count; at++) {
            int fd = events[at].data.fd;
            if (fd != listener) {
                receive(fd);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0 && fd < FDS_MAX) {
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
                wanted.data.fd = fd;
                epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted);
            }
        }
    }
}
