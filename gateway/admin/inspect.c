/* Nothing is kept for being looked at: a row about a connection is made from what the connection needs for its work and its
 * line in the log, and from what the kernel knows of its socket. */
#include "gateway/admin/inspect.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "gateway/admin/tap.h"
#include "gateway/base/clock.h"
#include "gateway/base/largest.h"
#include "gateway/calls/calls.h"
#include "gateway/lifecycle/ready.h"
#include "gateway/net/conns.h"
#include "gateway/net/http_reply.h"
#include "gateway/net/socket.h"
#include "gateway/net/ws.h"
#include "gateway/observe/history.h"
#include "gateway/observe/kernel.h"
#include "gateway/observe/rejects.h"
#include "gateway/state/subscriber.h"

enum {
    ANSWER_BYTES_MAX = 1024 * 1024,
    LIMIT_DEFAULT = 50,
    LOOKED_AT_MAX = 50000 /* connections of one answer in order of trouble: a few milliseconds */
};

const char *inspect_state(const struct gateway *g)
{
    const char *unready = ready_refusal(g);
    return unready ? unready : "ready";
}

void inspect_head(struct jsonw *w, const struct gateway *g)
{
    jsonw_open(w, NULL, '{');
    jsonw_str(w, "id", g->id);
    jsonw_str(w, "version", options_version());
    jsonw_i64(w, "worker", g->worker < 0 ? 0 : g->worker);
    jsonw_i64(w, "workers", g->opt->workers);
    jsonw_i64(w, "now_ms", clock_wall_ms());
}

int inspect_reply(const struct http_request *r, struct jsonw *w)
{
    jsonw_close(w, '}');
    buf_put_char(w->out, '\n');
    return http_reply(r->wsi, 200, "application/json", w->out);
}

bool inspect_number(const struct http_request *r, const char *name, int64_t *out)
{
    char text[24];
    enum http_argument there = http_argument(r->wsi, name, text, sizeof(text));
    if (there == HTTP_ARGUMENT_ABSENT || (there == HTTP_ARGUMENT_THERE && !text[0]))
        return true;
    return there == HTTP_ARGUMENT_THERE && slice_i64(slice_str(text), out) && *out >= 0;
}

/* --- figures --- */

int inspect_stats(const struct http_request *r)
{
    int64_t since_ms = 0;
    char span[8];
    enum http_argument spanned = http_argument(r->wsi, "span", span, sizeof(span));
    bool hour = spanned == HTTP_ARGUMENT_THERE && strcmp(span, "hour") == 0;
    if (spanned != HTTP_ARGUMENT_ABSENT && !hour && strcmp(span, "minutes") != 0)
        return http_reply_text(r->wsi, 400, "span is minutes or hour");
    if (!inspect_number(r, "since", &since_ms))
        return http_reply_text(r->wsi, 400, "since is a time in ms since 1970");
    struct buf out;
    buf_init(&out, ANSWER_BYTES_MAX);
    struct jsonw w = {.out = &out};
    inspect_head(&w, r->g);
    jsonw_str(&w, "address", ws_address(r->g->ws));
    jsonw_str(&w, "state", inspect_state(r->g));
    jsonw_i64(&w, "pid", getpid());
    jsonw_str(&w, "redis", r->g->redis_url);
    jsonw_str(&w, "prefix", r->g->opt->prefix);
    jsonw_i64(&w, "started_ms", r->g->started_ms);
    jsonw_i64(&w, "taps", (int64_t)taps_open(r->g->taps));
    history_write(r->g->history, &w, hour ? HISTORY_HOUR : HISTORY_MINUTES, since_ms);
    return inspect_reply(r, &w);
}

/* --- connections --- */

/* How long the socket has not taken what we have for it. */
static int64_t congested_ms(const struct conn *c)
{
    return c->congested ? (uint32_t)((uint32_t)clock_now_ms() - c->congested_since_ms) : 0;
}

/* Larger is worse; 0 is a connection that nobody has to look at. */
static int64_t trouble(const struct conn *c)
{
    int64_t n =
        (int64_t)(subscriber_of(c)->dirty.count * 100 + subscriber_of(c)->requests.count * 10 + c->out.bytes / 1024);
    n += c->congested ? 1000000000 + congested_ms(c) : 0;
    n += c->reading_held ? 500000000 : 0;
    n += c->state == CONN_OPEN ? 0 : 100000000;
    n += c->missed_pongs > 1 ? 10000000 : 0;
    return n;
}

__attribute__((format(printf, 2, 3))) static void say(struct jsonw *w, const char *format, ...)
{
    char text[160];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    jsonw_str(w, NULL, text);
}

static const char *many(size_t n)
{
    return n == 1 ? "" : "s";
}

static void write_why(struct jsonw *w, const struct conn *c)
{
    jsonw_open(w, "why", '[');
    if (c->state != CONN_OPEN)
        say(w, "closing with %d, %s", c->close_code, c->close_why);
    if (c->congested)
        say(w, "congested for %lld.%lld s: it reads too slowly, or not at all", (long long)(congested_ms(c) / 1000),
            (long long)(congested_ms(c) % 1000 / 100));
    if (subscriber_of(c)->dirty.count)
        say(w, "%zu subscription%s will get the newest state when it reads again", subscriber_of(c)->dirty.count,
            many(subscriber_of(c)->dirty.count));
    if (subscriber_of(c)->held.count)
        say(w, "%zu request%s of it wait%s for room", subscriber_of(c)->held.count, many(subscriber_of(c)->held.count),
            subscriber_of(c)->held.count == 1 ? "s" : "");
    if (c->reading_held & HOLD_ANSWERS)
        say(w, "not read from: it has to take its answers first");
    if (c->reading_held & HOLD_WRITES)
        say(w, "not read from: %u writes of it wait for Redis", c->writes_in_flight);
    if (c->reading_held & HOLD_UNPACKING)
        say(w, "not read from: its compressed messages become too large for its share");
    if (c->reading_held & HOLD_REQUESTS)
        say(w, "not read from: too many requests of it wait for Redis");
    for (int what = 0; what < ALLOWANCES && c->reading_held & HOLD_RATE; what++)
        if (allowance_over(c, (enum allowance)what))
            say(w, "not read from: it is over %s", allowance_key((enum allowance)what));
    if (c->reading_held & HOLD_REDIS)
        say(w, "not read from: Redis has too much to do for all clients together");
    size_t asked = subscriber_of(c)->requests.count - subscriber_of(c)->held.count;
    if (asked)
        say(w, "%zu request%s wait%s for Redis", asked, many(asked), asked == 1 ? "s" : "");
    if (c->missed_pongs > 1)
        say(w, "did not answer the last ping");
    jsonw_close(w, ']');
}

static void write_kernel(struct jsonw *w, const struct conn *c)
{
    struct kernel_view k;
    if (!kernel_look(socket_descriptor(c), &k))
        return;
    jsonw_i64(w, "unsent_bytes", k.unsent);
    if (!k.tcp)
        return;
    jsonw_i64(w, "rtt_us", k.rtt_us);
    jsonw_i64(w, "retransmits", k.lost);
}

/* The members of an open object. */
static void write_conn(struct jsonw *w, const struct conn *c)
{
    jsonw_i64(w, "id", (int64_t)c->id);
    jsonw_str(w, "remote", remote_text(&c->remote));
    jsonw_str(w, "protocol", c->dialect->name);
    jsonw_str(w, "token", c->grants->name);
    jsonw_i64(w, "age_ms", clock_now_ms() - c->opened_ms);
    jsonw_i64(w, "received", c->messages_in);
    jsonw_i64(w, "received_bytes", (int64_t)c->bytes_in);
    jsonw_i64(w, "sent", c->messages_out);
    jsonw_i64(w, "sent_bytes", (int64_t)c->bytes_out);
    jsonw_i64(w, "subscriptions", (int64_t)subscriber_of(c)->subs.count);
    jsonw_i64(w, "calls", (int64_t)caller_of(c)->calls.count);
    jsonw_i64(w, "waiting", (int64_t)subscriber_of(c)->requests.count);
    jsonw_i64(w, "writes", c->writes_in_flight);
    jsonw_i64(w, "dirty", (int64_t)subscriber_of(c)->dirty.count);
    jsonw_i64(w, "queued_bytes", (int64_t)c->out.bytes);
    jsonw_i64(w, "queued_frames", c->out.len);
    jsonw_bool(w, "congested", c->congested);
    jsonw_i64(w, "congested_ms", congested_ms(c));
    jsonw_bool(w, "deflate", c->deflate);
    write_kernel(w, c);
    jsonw_i64(w, "trouble", trouble(c));
    write_why(w, c);
}

void inspect_conn(struct jsonw *w, const struct conn *c)
{
    jsonw_open(w, NULL, '{');
    write_conn(w, c);
    jsonw_close(w, '}');
}

/* The ones that come after `id`, as they were accepted. */
static const struct list_node *first_after(const struct gateway *g, uint64_t id)
{
    struct map_node *n = map_find(&g->conns->by_id, slice_of((const char *)&id, sizeof(id)));
    if (n)
        return container_of(n, struct conn, by_id)->node.next;
    list_each(&g->conns->open, at) if (container_of(at, struct conn, node)->id > id) return at;
    return &g->conns->open.head;
}

static void write_page(struct jsonw *w, const struct gateway *g, uint64_t after, size_t limit)
{
    const struct list_node *n = first_after(g, after), *end = &g->conns->open.head;
    uint64_t last = 0;
    jsonw_open(w, "connections", '[');
    for (size_t left = limit; left > 0 && n != end; left--, n = n->next) {
        const struct conn *c = container_of(n, struct conn, node);
        inspect_conn(w, c);
        last = c->id;
    }
    jsonw_close(w, ']');
    if (n != end)
        jsonw_i64(w, "next", (int64_t)last);
}

static void write_worst(struct jsonw *w, const struct gateway *g, size_t limit)
{
    struct largest worst = {.limit = limit};
    size_t looked_at = 0;
    for (const struct list_node *n = g->conns->open.head.next; n != &g->conns->open.head && looked_at < LOOKED_AT_MAX;
         n = n->next) {
        const struct conn *c = container_of(n, struct conn, node);
        largest_consider(&worst, c, trouble(c));
        looked_at++;
    }
    jsonw_i64(w, "looked_at", (int64_t)looked_at);
    jsonw_open(w, "connections", '[');
    for (size_t i = 0; i < worst.len; i++)
        inspect_conn(w, worst.what[i]);
    jsonw_close(w, ']');
}

int inspect_connections(const struct http_request *r)
{
    char order[16];
    int64_t limit = LIMIT_DEFAULT, after = 0;
    enum http_argument ordered = http_argument(r->wsi, "order", order, sizeof(order));
    bool by_trouble = ordered == HTTP_ARGUMENT_THERE && strcmp(order, "trouble") == 0;
    if (!inspect_number(r, "limit", &limit) || limit < 1 || limit > INSPECT_CONNECTIONS_MAX)
        return http_reply_text(r->wsi, 400, "limit is 1 to 200");
    if (!inspect_number(r, "after", &after))
        return http_reply_text(r->wsi, 400, "after is the id of a connection");
    if (ordered != HTTP_ARGUMENT_ABSENT && !by_trouble && strcmp(order, "id") != 0)
        return http_reply_text(r->wsi, 400, "order is id or trouble");
    if (by_trouble && after)
        return http_reply_text(r->wsi, 400, "pages are by id: after goes without order=trouble");
    struct buf out;
    buf_init(&out, ANSWER_BYTES_MAX);
    struct jsonw w = {.out = &out};
    inspect_head(&w, r->g);
    jsonw_i64(&w, "total", (int64_t)r->g->conns->open.count);
    if (by_trouble)
        write_worst(&w, r->g, (size_t)limit);
    else
        write_page(&w, r->g, (uint64_t)after, (size_t)limit);
    return inspect_reply(r, &w);
}

/* --- refusals --- */

int inspect_refusals(const struct http_request *r)
{
    struct buf out;
    buf_init(&out, ANSWER_BYTES_MAX);
    struct jsonw w = {.out = &out};
    inspect_head(&w, r->g);
    jsonw_i64(&w, "kept", REFUSALS_KEPT);
    rejects_write(r->g->rejects, &w);
    return inspect_reply(r, &w);
}
