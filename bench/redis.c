/* Replies are counted, and only looked at when they are errors or waited for. */
#include "bench/redis.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_BYTES = 64 * 1024, VALUES_MAX = 16 };

static _Noreturn void lost(const char *why)
{
    bench_die("Redis: %s", why);
}

static void note(struct redis *r, const struct resp_value *v)
{
    r->unanswered--;
    if (v->type == '-' && r->errors++ == 0)
        snprintf(r->error, sizeof(r->error), "%.*s", (int)(v->len < 250 ? v->len : 250), v->ptr);
}

/* False when there is nothing to read now. */
static bool fill(struct redis *r)
{
    char buffer[READ_BYTES];
    ssize_t n = stream_read(&r->stream, buffer, sizeof(buffer));
    if (n < 0 && errno == EAGAIN)
        return false;
    if (n <= 0)
        lost(n == 0 ? "closed the connection" : strerror(errno));
    bytes_put(&r->in, buffer, (size_t)n);
    return true;
}

static void on_event(struct watch *w, uint32_t events)
{
    struct redis *r = container_of(w, struct redis, watch);
    if (events & EPOLLOUT)
        redis_flush(r);
    if (!(events & ~(uint32_t)EPOLLOUT) || !fill(r))
        return;
    struct resp_value v[VALUES_MAX];
    size_t count, used = 0;
    ssize_t n;
    while (used < r->in.len && (n = resp_parse(r->in.ptr + used, r->in.len - used, v, VALUES_MAX, &count)) != 0) {
        if (n < 0)
            lost("answered what is no reply");
        note(r, &v[0]);
        used += (size_t)n;
    }
    bytes_consume(&r->in, used);
}

void redis_flush(struct redis *r)
{
    while (r->out.len > 0) {
        ssize_t n = stream_write(&r->stream, r->out.ptr, r->out.len);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0)
            lost(strerror(errno));
        bytes_consume(&r->out, (size_t)n);
    }
    loop_change(r->loop, &r->watch, (uint32_t)EPOLLIN | (r->out.len ? (uint32_t)EPOLLOUT : 0U));
}

static void wait_for(struct redis *r, short events)
{
    struct pollfd p = {.fd = r->stream.fd, .events = events};
    if (poll(&p, 1, 60000) == 0)
        lost("does not answer");
}

size_t redis_wait(struct redis *r, struct resp_value *values, size_t max)
{
    size_t count = 0, used = 0;
    while (r->unanswered > 0) {
        redis_flush(r);
        ssize_t n = used < r->in.len ? resp_parse(r->in.ptr + used, r->in.len - used, values, max, &count) : 0;
        if (n < 0)
            lost("answered what is no reply");
        if (n > 0) {
            note(r, &values[0]);
            used += (size_t)n;
            continue;
        }
        bytes_consume(&r->in, used);
        used = 0;
        if (!fill(r))
            wait_for(r, r->out.len ? POLLIN | POLLOUT : POLLIN);
    }
    r->in.len = 0; /* its bytes stay until the next read */
    return count;
}

static void greet(struct redis *r, const struct url *to)
{
    struct resp_value v[4];
    const char *db = to->path + 1;
    if (to->password[0]) {
        resp_command(&r->out, to->user[0] ? 3 : 2);
        resp_text(&r->out, "AUTH");
        if (to->user[0])
            resp_text(&r->out, to->user);
        resp_text(&r->out, to->password);
        r->unanswered++;
    }
    if (to->port[0] && *db) {
        resp_command(&r->out, 2);
        resp_text(&r->out, "SELECT");
        resp_text(&r->out, db);
        r->unanswered++;
    }
    resp_command(&r->out, 1);
    resp_text(&r->out, "PING");
    r->unanswered++;
    redis_wait(r, v, 4);
    if (r->errors)
        lost(r->error);
}

void redis_init(struct redis *r, struct loop *loop, const struct url *to)
{
    enum stream_state state = STREAM_BUSY;
    *r = (struct redis){.loop = loop, .watch = {.fd = -1}};
    if (!stream_connect(&r->stream, to, 0))
        lost(strerror(errno));
    wait_for(r, POLLOUT);
    while ((state = stream_open(&r->stream, to)) == STREAM_BUSY)
        wait_for(r, POLLIN);
    if (state == STREAM_FAILED)
        lost(strerror(errno));
    loop_add(loop, &r->watch, r->stream.fd, EPOLLIN, on_event);
    greet(r, to);
}

void redis_deinit(struct redis *r)
{
    loop_remove(r->loop, &r->watch);
    stream_close(&r->stream);
    bytes_deinit(&r->in);
    bytes_deinit(&r->out);
}

int64_t redis_calls(struct redis *r, const char *command)
{
    struct resp_value v[2];
    resp_command(&r->out, 2);
    resp_text(&r->out, "INFO");
    resp_text(&r->out, "commandstats");
    r->unanswered++;
    if (redis_wait(r, v, 2) == 0 || v[0].type != '$' || !v[0].ptr)
        return -1;
    int64_t calls = 0;
    const char *end = v[0].ptr + v[0].len;
    for (const char *p = v[0].ptr; p < end; p++) {
        static const char key[] = "cmdstat_", field[] = ":calls=";
        const char *line_end = memchr(p, '\n', (size_t)(end - p));
        size_t len = line_end ? (size_t)(line_end - p) : (size_t)(end - p);
        const char *calls_at = memmem(p, len, field, sizeof(field) - 1);
        if (len > sizeof(key) && memcmp(p, key, sizeof(key) - 1) == 0 && calls_at) {
            size_t name = (size_t)(calls_at - p) - (sizeof(key) - 1);
            if (!*command || (strlen(command) == name && memcmp(p + sizeof(key) - 1, command, name) == 0))
                calls += strtoll(calls_at + sizeof(field) - 1, NULL, 10);
        }
        p += len;
    }
    return calls;
}
