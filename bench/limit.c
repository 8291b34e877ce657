/* The physical limit: a WebSocket server that does nothing but hand on what Redis publishes, with bare epoll and write().
 *
 *   limit --listen PORT --redis URL [--merge]
 *
 * A client gets the channel that its path names. Without --merge every message is one write() per client; with it, all messages
 * of a turn leave in one write() per client. It keeps no state, checks nothing, and trusts everybody: for comparison only. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/loop.h"
#include "bench/resp.h"
#include "bench/stream.h"
#include "bench/wsframe.h"

enum { READ_BYTES = 256 * 1024, HEAD_BYTES_MAX = 4096, BUCKETS = 1 << 16 };

/* Everybody who asked for one name. */
struct channel {
    struct channel *next_in_bucket, *next_in_turn;
    struct peer **peers;
    size_t len, cap;
    struct bytes turn; /* --merge: the frames of this turn */
    bool in_turn;
    char name[];
};

struct peer {
    struct watch watch;
    struct channel *channel; /* NULL: not upgraded yet */
    size_t place;            /* in channel->peers */
    struct bytes rest;       /* what the socket did not take, and before the upgrade the request */
    struct peer *next_dead;
};

struct server {
    struct loop loop;
    struct watch listener, redis_watch;
    struct stream redis;
    struct bytes in, frame;
    struct channel *buckets[BUCKETS];
    struct channel *turn; /* channels with something to write */
    struct peer *dead;    /* freed at the end of the turn */
    bool merge;
};

static struct server server;

/* --- channels --- */

static struct channel **bucket_of(const char *name, size_t len)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)name[i]) * 16777619U;
    return &server.buckets[hash & (BUCKETS - 1)];
}

static struct channel *find(const char *name, size_t len)
{
    for (struct channel *c = *bucket_of(name, len); c; c = c->next_in_bucket)
        if (strlen(c->name) == len && memcmp(c->name, name, len) == 0)
            return c;
    return NULL;
}

static void send_to_redis(const struct bytes *out)
{
    for (size_t done = 0; done < out->len;) {
        ssize_t n = stream_write(&server.redis, out->ptr + done, out->len - done);
        if (n < 0 && errno != EAGAIN)
            bench_die("Redis: %s", strerror(errno));
        done += n > 0 ? (size_t)n : 0;
    }
}

static struct channel *open_channel(const char *name, size_t len)
{
    struct channel *c = find(name, len), **bucket = bucket_of(name, len);
    if (c)
        return c;
    c = bench_alloc(1, sizeof(*c) + len + 1);
    memcpy(c->name, name, len);
    c->next_in_bucket = *bucket;
    *bucket = c;
    struct bytes out = {0};
    resp_command(&out, 2);
    resp_text(&out, "SUBSCRIBE");
    resp_word(&out, name, len);
    send_to_redis(&out);
    bytes_deinit(&out);
    return c;
}

/* --- peers --- */

static void drop(struct peer *p)
{
    int fd = p->watch.fd;
    if (fd < 0)
        return;
    loop_remove(&server.loop, &p->watch);
    close(fd);
    if (p->channel) {
        struct peer *last = p->channel->peers[--p->channel->len];
        p->channel->peers[p->place] = last;
        last->place = p->place;
    }
    p->next_dead = server.dead;
    server.dead = p;
}

static void join(struct peer *p, struct channel *c)
{
    if (c->len == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 1;
        c->peers = realloc(c->peers, c->cap * sizeof(struct peer *));
        if (!c->peers)
            bench_die("out of memory");
    }
    p->channel = c;
    p->place = c->len;
    c->peers[c->len++] = p;
}

/* What does not fit into the socket waits. */
static void send_bytes(struct peer *p, const char *bytes, size_t len)
{
    ssize_t n = p->rest.len ? 0 : write(p->watch.fd, bytes, len);
    if (n < 0 && errno != EAGAIN)
        return; /* the next read ends it */
    size_t sent = n > 0 ? (size_t)n : 0;
    if (sent == len)
        return;
    bytes_put(&p->rest, bytes + sent, len - sent);
    loop_change(&server.loop, &p->watch, EPOLLIN | EPOLLOUT);
}

static void send_rest(struct peer *p)
{
    ssize_t n = write(p->watch.fd, p->rest.ptr, p->rest.len);
    bytes_consume(&p->rest, n > 0 ? (size_t)n : 0);
    if (p->rest.len > 0)
        return;
    bytes_deinit(&p->rest);
    loop_change(&server.loop, &p->watch, EPOLLIN);
}

static void accept_key(const char *key, size_t len, char out[32])
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[128];
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned digest_len;
    int size = snprintf(text, sizeof(text), "%.*s%s", (int)len, key, magic);
    EVP_Digest(text, (size_t)size, digest, &digest_len, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)out, digest, (int)digest_len);
}

/* GET /NAME …: true when the peer is upgraded or gone. */
static void upgrade(struct peer *p)
{
    static const char key[] = "Sec-WebSocket-Key: ";
    const char *end = memmem(p->rest.ptr, p->rest.len, "\r\n\r\n", 4);
    if (!end && p->rest.len < HEAD_BYTES_MAX)
        return;
    const char *found = end ? memmem(p->rest.ptr, p->rest.len, key, sizeof(key) - 1) : NULL;
    const char *path = p->rest.len > 5 ? p->rest.ptr + 5 : NULL;
    const char *path_end = path ? memchr(path, ' ', p->rest.len - 5) : NULL;
    if (!found || !path_end) {
        drop(p);
        return;
    }
    char accept[32], answer[256];
    const char *value = found + sizeof(key) - 1;
    accept_key(value, strcspn(value, "\r") < 64 ? strcspn(value, "\r") : 64, accept);
    struct channel *c = open_channel(path, (size_t)(path_end - path));
    bytes_deinit(&p->rest);
    join(p, c);
    int len = snprintf(answer, sizeof(answer),
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Accept: %s\r\n\r\n",
                       accept);
    send_bytes(p, answer, (size_t)len);
}

static void on_peer(struct watch *w, uint32_t events)
{
    static char buffer[READ_BYTES];
    struct peer *p = container_of(w, struct peer, watch);
    if ((events & EPOLLOUT) && p->channel && p->rest.len > 0)
        send_rest(p);
    if (!(events & ~(uint32_t)EPOLLOUT))
        return;
    ssize_t n = read(w->fd, buffer, sizeof(buffer));
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        drop(p);
        return;
    }
    if (p->channel)
        return; /* clients have nothing to say */
    bytes_put(&p->rest, buffer, (size_t)n);
    upgrade(p);
}

static void on_listener(struct watch *w, uint32_t events)
{
    int one = 1, fd;
    (void)events;
    while ((fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct peer *p = bench_alloc(1, sizeof(*p));
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        loop_add(&server.loop, &p->watch, fd, EPOLLIN, on_peer);
    }
}

/* --- messages --- */

static void on_message(const struct resp_value *channel, const struct resp_value *message)
{
    struct channel *c = find(channel->ptr, channel->len);
    if (!c)
        return;
    if (server.merge) {
        wsframe_put_head(&c->turn, WS_TEXT, message->len);
        bytes_put(&c->turn, message->ptr, message->len);
        if (c->in_turn)
            return;
        c->in_turn = true;
        c->next_in_turn = server.turn;
        server.turn = c;
        return;
    }
    server.frame.len = 0;
    wsframe_put_head(&server.frame, WS_TEXT, message->len);
    bytes_put(&server.frame, message->ptr, message->len);
    for (size_t i = 0; i < c->len; i++)
        send_bytes(c->peers[i], server.frame.ptr, server.frame.len);
}

static void end_turn(void)
{
    for (struct channel *c = server.turn; c; c = c->next_in_turn) {
        for (size_t i = 0; i < c->len; i++)
            send_bytes(c->peers[i], c->turn.ptr, c->turn.len);
        c->turn.len = 0;
        c->in_turn = false;
    }
    server.turn = NULL;
    while (server.dead) {
        struct peer *p = server.dead;
        server.dead = p->next_dead;
        bytes_deinit(&p->rest);
        free(p);
    }
}

static void on_redis(struct watch *w, uint32_t events)
{
    static char buffer[READ_BYTES];
    (void)w;
    (void)events;
    ssize_t n = stream_read(&server.redis, buffer, sizeof(buffer));
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        bench_die("Redis closed the connection");
    bytes_put(&server.in, buffer, (size_t)n);
    size_t used = 0, count;
    struct resp_value v[4];
    while (used < server.in.len && (n = resp_parse(server.in.ptr + used, server.in.len - used, v, 4, &count)) > 0) {
        if (count == 4 && v[1].len == 7 && v[2].ptr && v[3].ptr) /* message, channel, payload */
            on_message(&v[2], &v[3]);
        used += (size_t)n;
    }
    if (n < 0)
        bench_die("Redis sent what is no reply");
    bytes_consume(&server.in, used);
}

/* --- the program --- */

static void listen_on(const char *port)
{
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, 4096) != 0)
        bench_die("port %s: %s", port, strerror(errno));
    loop_add(&server.loop, &server.listener, fd, EPOLLIN, on_listener);
}

static void connect_redis(const char *text)
{
    struct url u;
    const char *wrong = url_parse(text, &u);
    if (wrong || u.tls)
        bench_die("--redis %s: %s", text, wrong ? wrong : "no TLS here");
    if (!stream_connect(&server.redis, &u, 0) || stream_open(&server.redis, &u) != STREAM_OPEN)
        bench_die("Redis: %s", strerror(errno));
    loop_add(&server.loop, &server.redis_watch, server.redis.fd, EPOLLIN, on_redis);
}

int main(int argc, char **argv)
{
    const char *port = NULL, *redis = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--merge") == 0)
            server.merge = true;
        else if (strcmp(argv[i], "--listen") == 0 && i + 1 < argc)
            port = argv[++i];
        else if (strcmp(argv[i], "--redis") == 0 && i + 1 < argc)
            redis = argv[++i];
        else
            bench_die("usage: limit --listen PORT --redis URL [--merge]");
    }
    if (!port || !redis)
        bench_die("usage: limit --listen PORT --redis URL [--merge]");
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    loop_init(&server.loop);
    connect_redis(redis);
    listen_on(port);
    for (;;) {
        loop_turn(&server.loop);
        end_turn();
    }
}
