/* From connect to close. Bytes are parsed where they were read; only the rest of a frame that is not whole is kept. */
#include "bench/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/inflater.h"
#include "bench/payload.h"

enum { READ_BYTES = 256 * 1024, SLOW_RECEIVE_BYTES = 4096, MESSAGE_BYTES_MAX = 64 * 1024 * 1024 };

void clients_init(struct clients *all, struct loop *loop, const struct options *opt, const struct dialect *dialect,
                  const struct client_events *events, void *user)
{
    *all = (struct clients){.loop = loop, .opt = opt, .dialect = dialect, .events = *events, .user = user};
    if (opt->deflate)
        all->inflater = inflater_new();
}

void clients_deinit(struct clients *all)
{
    inflater_free(all->inflater);
}

/* --- the end --- */

void client_stop(struct client *c)
{
    loop_remove(c->all->loop, &c->watch);
    stream_close(&c->stream);
    c->state = CLIENT_DEAD;
}

static void die(struct client *c, const char *why)
{
    if (c->state == CLIENT_DEAD)
        return;
    client_stop(c);
    c->all->events.dead(c, why);
}

void client_fail(struct client *c, const char *why, const char *text, size_t len)
{
    char line[512];
    snprintf(line, sizeof(line), "%s: %.*s", why, (int)(len < 300 ? len : 300), text);
    die(c, line);
}

void client_error(struct client *c, const char *text, size_t len)
{
    if (c->all->errors++ == 0)
        snprintf(c->all->error, sizeof(c->all->error), "%.*s", (int)(len < 250 ? len : 250), text);
}

/* --- sending --- */

static void listen_for(struct client *c)
{
    loop_change(c->all->loop, &c->watch,
                (c->reading ? (uint32_t)EPOLLIN : 0U) | (c->out.len ? (uint32_t)EPOLLOUT : 0U));
}

void client_flush(struct client *c)
{
    while (c->out.len > 0 && c->state != CLIENT_DEAD) {
        ssize_t n = stream_write(&c->stream, c->out.ptr, c->out.len);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            client_fail(c, "write", strerror(errno), strlen(strerror(errno)));
            return;
        }
        bytes_consume(&c->out, (size_t)n);
    }
    listen_for(c);
}

void client_send(struct client *c, enum ws_opcode opcode, const char *payload, size_t len)
{
    wsframe_put_masked(&c->out, opcode, payload, len);
    client_flush(c);
}

/* --- messages --- */

size_t client_mark(struct client *c, const char *p, size_t len, int64_t now_ns)
{
    int64_t seq, time_ns;
    if (c->hint >= len || !payload_at(p + c->hint, len - c->hint, &seq, &time_ns)) {
        const char *found = memmem(p, len, PAYLOAD_MARK, PAYLOAD_MARK_BYTES);
        if (!found || !payload_at(found, len - (size_t)(found - p), &seq, &time_ns))
            return 0;
        c->hint = (uint32_t)(found - p);
    }
    c->all->events.delivered(c, seq, time_ns, now_ns);
    return 1;
}

size_t client_marks(struct client *c, const char *p, size_t len, int64_t now_ns)
{
    size_t count = 0;
    const char *end = p + len;
    while (p < end && (p = memmem(p, (size_t)(end - p), PAYLOAD_MARK, PAYLOAD_MARK_BYTES))) {
        int64_t seq, time_ns;
        if (payload_at(p, (size_t)(end - p), &seq, &time_ns)) {
            c->all->events.delivered(c, seq, time_ns, now_ns);
            count++;
        }
        p += PAYLOAD_MARK_BYTES;
    }
    return count;
}

void client_is_ready(struct client *c)
{
    if (c->state != CLIENT_SUBSCRIBING)
        return;
    c->state = CLIENT_READY;
    c->was_ready = true;
    c->all->events.ready(c);
}

static void on_close_frame(struct client *c, const char *p, size_t len)
{
    char why[256];
    unsigned code = len >= 2 ? (unsigned)(unsigned char)p[0] << 8 | (unsigned char)p[1] : 1005;
    snprintf(why, sizeof(why), "closed with %u", code);
    client_fail(c, why, len > 2 ? p + 2 : "", len > 2 ? len - 2 : 0);
}

static void on_frame(struct client *c, const struct wsframe *f, const char *p, int64_t now_ns)
{
    size_t len = f->payload;
    switch (f->opcode) {
    case WS_PING:
        client_send(c, WS_PONG, p, len);
        return;
    case WS_PONG:
        return;
    case WS_CLOSE:
        on_close_frame(c, p, len);
        return;
    default:
        break;
    }
    if (f->compressed && (!c->all->inflater || !inflater_message(c->all->inflater, p, len, &p, &len))) {
        client_fail(c, "a message", "cannot be decompressed", 22);
        return;
    }
    c->messages++;
    if (c->state == CLIENT_READY)
        c->all->messages++;
    c->all->dialect->message(c, p, len, now_ns);
}

/* How many bytes were used. */
static size_t on_frames(struct client *c, const char *p, size_t len, int64_t now_ns)
{
    size_t used = 0;
    struct wsframe f;
    while (c->state != CLIENT_DEAD && wsframe_head(p + used, len - used, &f)) {
        if (f.payload > MESSAGE_BYTES_MAX) {
            client_fail(c, "a frame", "is too large", 12);
            break;
        }
        if (len - used < f.head + f.payload)
            break;
        on_frame(c, &f, p + used + f.head, now_ns);
        used += f.head + f.payload;
    }
    return used;
}

/* --- the upgrade --- */

static void ask_for_upgrade(struct client *c, const struct url *u)
{
    const struct dialect *d = c->all->dialect;
    char path[2 * NAME_BYTES_MAX], name[NAME_BYTES_MAX];
    options_name(c->all->opt, c->name, name);
    if (!url_path(u, name, path, sizeof(path)))
        bench_die("the path is too long");
    bytes_format(&c->out, "GET %s HTTP/1.1\r\n", strcmp(path, "/") == 0 ? d->path : path);
    bytes_format(&c->out, "Host: %s%s%s\r\n", u->port[0] ? u->host : "localhost", u->port[0] ? ":" : "", u->port);
    bytes_text(&c->out, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: c3luY2dhdGUtYmVuY2ghIQ==\r\n");
    if (d->subprotocol)
        bytes_format(&c->out, "Sec-WebSocket-Protocol: %s\r\n", d->subprotocol);
    if (c->all->inflater)
        bytes_text(&c->out, "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                            "client_no_context_takeover\r\n");
    bytes_text(&c->out, "\r\n");
}

static bool upgrade_fits(struct client *c, const char *p, size_t head)
{
    static const char accepted[] = "HTTP/1.1 101";
    if (head < sizeof(accepted) - 1 || memcmp(p, accepted, sizeof(accepted) - 1) != 0) {
        const char *end = memchr(p, '\r', head);
        client_fail(c, "no upgrade", p, end ? (size_t)(end - p) : head);
        return false;
    }
    if (c->all->inflater && !memmem(p, head, "server_no_context_takeover", 26)) {
        client_fail(c, "permessage-deflate", "was not agreed on", 17);
        return false;
    }
    return true;
}

static size_t on_upgrade(struct client *c, const char *p, size_t len)
{
    const char *end = memmem(p, len, "\r\n\r\n", 4);
    if (!end) {
        if (len > 16384)
            client_fail(c, "no upgrade", "endless header", 14);
        return 0;
    }
    if (!upgrade_fits(c, p, (size_t)(end - p)))
        return len;
    struct bytes first = {0};
    char name[NAME_BYTES_MAX];
    options_name(c->all->opt, c->name, name);
    c->state = CLIENT_SUBSCRIBING;
    c->all->dialect->open(c, name, &first);
    if (first.len > 0)
        client_send(c, c->all->dialect->opcode, first.ptr, first.len);
    bytes_deinit(&first);
    return (size_t)(end - p) + 4;
}

/* --- receiving --- */

static size_t parse(struct client *c, const char *p, size_t len, int64_t now_ns)
{
    size_t used = 0;
    if (c->state == CLIENT_UPGRADING)
        used = on_upgrade(c, p, len);
    if (c->state == CLIENT_SUBSCRIBING || c->state == CLIENT_READY)
        used += on_frames(c, p + used, len - used, now_ns);
    return used;
}

static void take(struct client *c, const char *p, size_t len)
{
    int64_t now_ns = bench_now_ns();
    c->bytes += (int64_t)len;
    c->all->bytes += (int64_t)len;
    if (c->in.len == 0) {
        size_t used = parse(c, p, len, now_ns);
        bytes_put(&c->in, p + used, len - used);
    } else {
        bytes_put(&c->in, p, len);
        bytes_consume(&c->in, parse(c, c->in.ptr, c->in.len, now_ns));
    }
    if (c->state == CLIENT_DEAD || c->in.len == 0)
        bytes_deinit(&c->in);
}

static void receive(struct client *c)
{
    static char buffer[READ_BYTES];
    do {
        ssize_t n = stream_read(&c->stream, buffer, READ_BYTES);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            die(c, n == 0 ? "closed by the server" : strerror(errno));
            return;
        }
        take(c, buffer, (size_t)n);
    } while (c->state != CLIENT_DEAD && stream_pending(&c->stream));
}

static const struct url *server_of(const struct client *c)
{
    const struct options *o = c->all->opt;
    return &o->urls[(size_t)c->number % o->urls_len];
}

static void go_on_connecting(struct client *c)
{
    const struct url *to = server_of(c);
    switch (stream_open(&c->stream, to)) {
    case STREAM_FAILED:
        client_fail(c, "connect", strerror(errno), strlen(strerror(errno)));
        return;
    case STREAM_BUSY:
        loop_change(c->all->loop, &c->watch, EPOLLIN);
        return;
    case STREAM_OPEN:
        c->state = CLIENT_UPGRADING;
        ask_for_upgrade(c, to);
        client_flush(c);
        return;
    }
}

static void on_event(struct watch *w, uint32_t events)
{
    struct client *c = container_of(w, struct client, watch);
    if (c->state == CLIENT_CONNECTING) {
        go_on_connecting(c);
        return;
    }
    if (!c->reading && (events & (EPOLLERR | EPOLLHUP))) {
        die(c, "closed by the server");
        return;
    }
    if (events & EPOLLOUT)
        client_flush(c);
    if (c->state != CLIENT_DEAD && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        receive(c);
}

void client_start(struct client *c, struct clients *all, int64_t number, int64_t name)
{
    *c = (struct client){.all = all,
                         .number = number,
                         .name = name,
                         .reading = true,
                         .state = CLIENT_CONNECTING,
                         .slow = c->slow,
                         .publisher = c->publisher,
                         .watch = {.fd = -1},
                         .begun_ns = bench_now_ns()};
    if (stream_connect(&c->stream, server_of(c), c->slow ? SLOW_RECEIVE_BYTES : 0))
        loop_add(all->loop, &c->watch, c->stream.fd, EPOLLOUT, on_event);
    else
        client_fail(c, "connect", strerror(errno), strlen(strerror(errno)));
}

void client_pause(struct client *c)
{
    c->reading = false;
    listen_for(c);
}

void client_resume(struct client *c)
{
    c->reading = true;
    listen_for(c);
}
