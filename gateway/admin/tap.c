/* Each frame that passes the filter becomes one server-sent event. Formatting stops at the tap's limits, so that a tap on a
 * busy gateway costs what it may cost, and no more. */
#include "gateway/admin/tap.h"

#include <stdio.h>

#include "gateway/base/clock.h"
#include "gateway/base/jsonw.h"
#include "gateway/base/text.h"
#include "gateway/net/http_reply.h"
#include "gateway/observe/log.h"
#include "protocol/base/alloc.h"

enum {
    GLOB_BYTES = 512,
    NAME_BYTES = 512,
    SECONDS_MAX = 300 /* then a tap ends: libwebsockets would cut it a minute later, and a forgotten one goes */
};
/* The most one event takes: each byte of its text and its name may become three. */
enum { EVENT_BYTES_MAX = 3 * (TAP_TEXT_BYTES + NAME_BYTES) + 512 };

struct tap {
    struct list_node node; /* taps->all */
    struct gateway *gw;
    struct http_stream stream;
    uint64_t conn; /* 0: any */
    char glob[GLOB_BYTES + 1];
    int64_t shown, dropped;
    int64_t this_second; /* frames shown since tap_second */
    int seconds;         /* how long it lasts */
};

/* Those of one process. While there is none nobody looks at the messages of connections. */
struct taps {
    struct gateway *gw;
    struct list all; /* struct tap */
};

/* --- what is shown --- */

struct shown {
    const struct conn *conn;
    const char *direction;
    struct slice text;
    struct slice name; /* decoded; ptr NULL: none */
    bool binary;
};

static bool passes(const struct tap *t, const struct shown *s)
{
    if (t->stream.ended || (t->conn && t->conn != s->conn->id))
        return false;
    return !t->glob[0] || (s->name.ptr && glob_match(t->glob, s->name));
}

/* Bytes as pairs of digits; valid until the next call. */
static struct slice hex(struct slice bytes)
{
    static char digits[TAP_TEXT_BYTES];
    size_t len = bytes.len < sizeof(digits) / 2 ? bytes.len : sizeof(digits) / 2;
    for (size_t i = 0; i < len; i++) {
        digits[2 * i] = "0123456789abcdef"[(unsigned char)bytes.ptr[i] >> 4];
        digits[2 * i + 1] = "0123456789abcdef"[bytes.ptr[i] & 15];
    }
    return slice_of(digits, 2 * len);
}

static void show(struct tap *t, const struct shown *s)
{
    struct buf *out = &t->stream.out;
    if (t->this_second >= TAP_FRAMES_PER_SECOND || out->max - out->len < EVENT_BYTES_MAX) {
        t->dropped++;
        return;
    }
    struct jsonw w = {.out = out};
    struct slice text = s->binary ? hex(s->text) : text_cut(s->text, TAP_TEXT_BYTES);
    buf_put_lit(out, "data: ");
    jsonw_open(&w, NULL, '{');
    jsonw_i64(&w, "time_ms", clock_wall_ms());
    jsonw_str(&w, "direction", s->direction);
    jsonw_i64(&w, "conn", (int64_t)s->conn->id);
    jsonw_str(&w, "dialect", s->conn->dialect->name);
    if (s->name.ptr)
        jsonw_text(&w, "name", s->name);
    jsonw_i64(&w, "bytes", (int64_t)s->text.len);
    jsonw_bool(&w, "binary", s->binary);
    jsonw_bool(&w, "cut", text.len < (s->binary ? 2 : 1) * s->text.len);
    jsonw_text(&w, "text", text);
    jsonw_close(&w, '}');
    buf_put_lit(out, "\n\n");
    t->shown++;
    t->this_second++;
    http_stream_wake(&t->stream);
}

static void show_all(struct shown *s, bool ours)
{
    static char room[NAME_BYTES];
    struct buf scratch = {
        .ptr = room, .cap = sizeof(room), .max = sizeof(room)}; /* never grows: it is full at its cap */
    const struct dialect *d = s->conn->dialect;
    s->name = d->about ? d->about(s->text, ours, &scratch) : SLICE_NONE;
    list_each(&s->conn->gw->taps->all, n)
    {
        struct tap *t = container_of(n, struct tap, node);
        if (passes(t, s))
            show(t, s);
    }
}

static void on_received(const struct conn *c, struct slice bytes, bool binary)
{
    struct shown s = {.conn = c, .direction = "in", .text = bytes, .binary = binary};
    show_all(&s, false);
}

/* One WebSocket message off the front of a frame of ours: not masked, whole. */
static bool next_message(struct slice *rest, struct slice *payload, int *opcode)
{
    const unsigned char *p = (const unsigned char *)rest->ptr;
    if (rest->len < 2)
        return false;
    size_t head = p[1] == 126 ? 4 : p[1] == 127 ? 10 : 2;
    if (rest->len < head)
        return false;
    size_t len = p[1] & 0x7F;
    if (head > 2) {
        len = 0;
        for (size_t i = 2; i < head; i++)
            len = len << 8 | p[i];
    }
    if (len > rest->len - head)
        return false;
    *opcode = p[0] & 0x0F;
    *payload = slice_of(rest->ptr + head, len);
    *rest = slice_of(rest->ptr + head + len, rest->len - head - len);
    return true;
}

static void on_sent(const struct conn *c, const struct frame *f)
{
    struct slice rest = slice_of(f->bytes, f->len), payload;
    for (int opcode; next_message(&rest, &payload, &opcode);) {
        if (opcode != 1 && opcode != 2) /* text, binary */
            continue;
        struct shown s = {.conn = c, .direction = "out", .text = payload, .binary = opcode == 2};
        show_all(&s, true);
    }
}

/* --- life --- */

struct taps *taps_new(struct gateway *g)
{
    struct taps *ts = sg_calloc(1, sizeof(*ts));
    ts->gw = g;
    list_init(&ts->all);
    return ts;
}

void taps_free(struct taps *ts)
{
    free(ts);
}

size_t taps_open(const struct taps *ts)
{
    return ts->all.count;
}

static void look_or_not(const struct taps *ts)
{
    static const struct conn_watcher watcher = {.in = on_received, .out = on_sent};
    ts->gw->conn_watcher = ts->all.count ? &watcher : NULL;
}

static void write_state(struct tap *t, const char *event)
{
    struct jsonw w = {.out = &t->stream.out};
    buf_put_lit(w.out, "event: ");
    buf_put_slice(w.out, slice_str(event));
    buf_put_lit(w.out, "\ndata: ");
    jsonw_open(&w, NULL, '{');
    jsonw_i64(&w, "time_ms", clock_wall_ms());
    jsonw_i64(&w, "shown", t->shown);
    jsonw_i64(&w, "dropped", t->dropped);
    jsonw_i64(&w, "worker", t->gw->worker < 0 ? 0 : t->gw->worker);
    jsonw_i64(&w, "workers", t->gw->opt->workers);
    jsonw_close(&w, '}');
    buf_put_lit(w.out, "\n\n");
    http_stream_wake(&t->stream);
}

static void on_closed(struct http_stream *s)
{
    struct tap *t = container_of(s, struct tap, stream);
    list_remove(&t->gw->taps->all, &t->node);
    look_or_not(t->gw->taps);
    buf_deinit(&t->stream.out);
    free(t);
}

static const char *read_filter(struct lws *wsi, struct tap *t)
{
    char text[32];
    int64_t id = 0;
    enum http_argument name = http_argument(wsi, "name", t->glob, sizeof(t->glob));
    enum http_argument conn = http_argument(wsi, "conn", text, sizeof(text));
    if (name == HTTP_ARGUMENT_TOO_LONG)
        return "name is too long";
    if (name == HTTP_ARGUMENT_ABSENT)
        t->glob[0] = '\0';
    if (conn == HTTP_ARGUMENT_ABSENT || (conn == HTTP_ARGUMENT_THERE && !text[0]))
        return NULL;
    if (conn == HTTP_ARGUMENT_TOO_LONG || !slice_i64(slice_str(text), &id) || id < 1)
        return "conn is the id of a connection";
    t->conn = (uint64_t)id;
    return NULL;
}

int tap_answer(const struct http_request *r)
{
    if (http_is_head(r->wsi))
        return http_reply_text(r->wsi, 405, "GET only");
    if (r->g->taps->all.count >= TAPS_MAX)
        return http_reply_text(r->wsi, 503, "too many taps");
    struct tap *t = sg_calloc(1, sizeof(*t));
    t->gw = r->g;
    const char *wrong = read_filter(r->wsi, t);
    if (wrong) {
        free(t);
        return http_reply_text(r->wsi, 400, wrong);
    }
    buf_init(&t->stream.out, TAP_BUFFER_BYTES);
    t->stream.on_closed = on_closed;
    list_append(&r->g->taps->all, &t->node);
    look_or_not(r->g->taps);
    struct remote client = http_client(r->wsi, r->g->opt);
    log_info("tap opened remote=%s name=%s conn=%lld", remote_text(&client), log_value(slice_str(t->glob)),
             (long long)t->conn);
    write_state(t, "open");
    return http_stream(r->wsi, "text/event-stream", &t->stream);
}

void taps_end(struct gateway *g)
{
    list_each(&g->taps->all, n) http_stream_end(&container_of(n, struct tap, node)->stream);
}

void tap_second(struct gateway *g)
{
    list_each(&g->taps->all, n)
    {
        struct tap *t = container_of(n, struct tap, node);
        t->this_second = 0;
        if (++t->seconds == SECONDS_MAX)
            http_stream_end(&t->stream);
        if (!t->stream.ended && t->stream.out.max - t->stream.out.len >= EVENT_BYTES_MAX)
            write_state(t, "alive");
    }
}
