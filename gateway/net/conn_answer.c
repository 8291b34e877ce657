/* Answers and errors: what must arrive, and is bounded. */
#include "gateway/net/conn.h"

#include "gateway/base/clock.h"
#include "gateway/net/deflate.h"
#include "gateway/net/pace.h"
#include "gateway/observe/metrics.h"

enum { ERROR_WINDOW_MS = 60 * 1000 };

void conn_answer_frame(struct conn *c, struct frame *f)
{
    if (c->state != CONN_OPEN)
        return;
    if (c->gw->conn_watcher)
        c->gw->conn_watcher->out(c, f);
    f = conn_wire_form(c, f);
    if (c->congested && c->out.answers && c->out.answers + f->len > conn_waiting_max(c)) {
        conn_close(c, 1013, "far too many answers wait");
        return;
    }
    conn_queue(c, f, OUTQ_ANSWER);
    pace_answer(c, f->len);
    if (c->congested)
        conn_weigh(c);
}

void conn_answer(struct conn *c, struct slice wire, uint32_t messages)
{
    struct frame *f = frame_new(wire, messages);
    conn_answer_frame(c, f);
    frame_unref(f);
}

/* Error 8 is what the peer cannot help: Redis is away, a bound of ours is reached. */
static bool errs_too_often(struct conn *c, enum error_code code)
{
    int64_t now = clock_now_ms();
    if (code == ERROR_OTHER)
        return false;
    if ((uint32_t)now - c->errors_since_ms >= ERROR_WINDOW_MS) {
        c->errors_since_ms = (uint32_t)now;
        c->errors = 0;
    }
    return (int64_t)++c->errors > c->gw->opt->errors_per_minute;
}

void conn_error(struct conn *c, enum error_code code, struct slice text, enum kind kind, struct slice name,
                struct slice id)
{
    if (errs_too_often(c, code)) {
        conn_close(c, 1008, "too many errors");
        return;
    }
    metric_add((enum metric)(METRIC_ERRORS_1 + (int)code - 1), 1);
    struct buf *out = &c->gw->scratch;
    buf_reset(out);
    uint32_t messages = c->dialect->error(out, code, text, kind, name, id);
    if (messages)
        conn_answer(c, buf_slice(out), messages);
    int close_code = c->dialect->closes ? c->dialect->closes(code) : 0;
    if (close_code)
        conn_close(c, close_code, "an error that ends it");
}
