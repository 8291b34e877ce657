/* First everything that can fail, then everything that changes. */
#include "gateway/lifecycle/reload.h"

#include <stdlib.h>

#include "gateway/lifecycle/notify.h"
#include "gateway/net/conn.h"
#include "gateway/net/deflate.h"
#include "gateway/net/ws.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"

struct reload {
    struct gateway *g;
    struct options *own; /* what g->opt points to after the first one; NULL: still the caller's */
    const struct reload_events *on;
    void *arg;
};

struct reload *reload_new(struct gateway *g, const struct reload_events *on, void *arg)
{
    struct reload *r = sg_calloc(1, sizeof(*r));
    *r = (struct reload){.g = g, .on = on, .arg = arg};
    return r;
}

void reload_free(struct reload *r)
{
    if (r->own)
        options_retire(r->own);
    free(r);
}

static void on_fixed(const char *name)
{
    log_warn("--%s cannot change while the gateway runs and keeps its value", name);
}

static void log_complaints(const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        log_error("configuration refused why=%s", log_value(slice_of(text, len)));
        text += len + (text[len] == '\n');
    }
}

struct options *reload_options(const struct options *now)
{
    char *text = NULL;
    size_t len = 0;
    FILE *err = open_memstream(&text, &len); /* bounded: the loader stops complaining at some point */
    if (!err)
        abort(); /* out of memory */
    struct options *next = options_again(now, err, on_fixed);
    fclose(err);
    if (!next)
        log_complaints(text);
    free(text);
    return next;
}

static void regrant(struct gateway *g)
{
    list_each(&g->conns->open, n)
    {
        struct conn *c = container_of(n, struct conn, node);
        const struct grants *next = options_renew(g->opt, c->grants);
        conn_regrant(c, next);
        if (next)
            options_release(next);
    }
}

static void adopt(struct reload *r, struct options *next)
{
    struct gateway *g = r->g;
    struct options *old = r->own;
    g->opt = r->own = next;
    log_init(next->log_level, g->worker);
    log_set_format(next->log_format);
    if (g->deflate)
        deflate_set_message_max(g->deflate, (size_t)next->max_message);
    r->on->changed(r->arg);
    regrant(g);
    r->on->regranted(r->arg);
    if (old)
        options_retire(old);
}

static void read_again(struct reload *r)
{
    struct options *next = reload_options(r->g->opt);
    if (next && !ws_read_certificates(r->g->ws)) {
        log_error("configuration refused why=\"the certificate or its key is not good\" tls_cert=%s",
                  log_value(slice_str(next->tls_cert)));
        options_retire(next);
        next = NULL;
    }
    metric_add(next ? METRIC_RELOADS_OK : METRIC_RELOADS_FAILED, 1);
    if (!next)
        return;
    adopt(r, next);
    log_info("configuration read again tokens=%zu names=%zu connections=%zu", next->tokens_len, next->names_len,
             r->g->conns->open.count);
}

void reload_now(struct reload *r)
{
    notify_reloading();
    read_again(r);
    notify_ready();
}
