/* The link as others see it. Commands are encoded into one outbox that is written once per turn; replies go to the callbacks in the
 * order in which the commands were sent. */
#include "redis/link.h"

#include <assert.h>
#include <stdlib.h>

#include "protocol/base/alloc.h"
#include "redis/link_parts.h"

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct link *l = arg;
    (void)fd;
    (void)what;
    link_enter(l);
    switch (l->state) {
    case LINK_WAITING:
        link_attempt(l);
        break;
    case LINK_CONNECTING:
        link_lose(l, resolver_busy(l->resolver) ? "the host's name is not resolved in time"
                                                : "it does not accept in time");
        break;
    case LINK_GREETING:
        link_lose(l, "it does not greet in time");
        break;
    case LINK_UP:
        link_look_at_pings(l);
        break;
    case LINK_CLOSED:
        break;
    }
    link_leave(l);
}

/* --- life --- */

static char *copy_text(const char *text)
{
    return text ? sg_text(text) : NULL;
}

static void copy_config(struct link_config *to, const struct link_config *from)
{
    *to = *from;
    to->host = copy_text(from->host);
    to->unix_path = copy_text(from->unix_path);
    to->user = copy_text(from->user);
    to->password = copy_text(from->password);
    to->tls_ca_file = copy_text(from->tls_ca_file);
    if (!to->ping_interval_ms)
        to->ping_interval_ms = PING_INTERVAL_MS;
    if (!to->ping_timeout_ms)
        to->ping_timeout_ms = PING_TIMEOUT_MS;
    if (!to->backoff_max_ms)
        to->backoff_max_ms = BACKOFF_MAX_MS;
    if (!to->young_max_ms)
        to->young_max_ms = YOUNG_MAX_MS;
    if (!to->pending_max)
        to->pending_max = PENDING_MAX;
}

struct link *link_new(struct event_base *base, const struct link_config *config, const struct link_events *events,
                      void *arg)
{
    assert(!config->host != !config->unix_path);
    struct link *l = sg_calloc(1, sizeof *l);
    copy_config(&l->config, config);
    l->events = *events;
    l->arg = arg;
    l->base = base;
    l->state = LINK_WAITING;
    l->greet = link_greet;
    wire_init(&l->wire);
    buf_init(&l->outbox, 2 * (size_t)OUTBOX_MAX); /* what is written counts until it is cut off, see put */
    l->timer = evtimer_new(base, on_timer, l);
    l->flush = evtimer_new(base, link_on_flush, l);
    l->again = evtimer_new(base, link_on_ready, l);
    l->resolver = resolver_new(base, link_on_addresses, l);
    return l;
}

void link_start(struct link *l)
{
    assert(l->state == LINK_WAITING);
    link_enter(l);
    link_attempt(l);
    link_leave(l);
}

void link_rebuild(struct link *l, const char *why)
{
    if (l->state != LINK_UP)
        return;
    l->doomed = why;
    event_active(l->flush, EV_TIMEOUT, 0);
}

void link_free(struct link *l)
{
    if (!l)
        return;
    assert(l->state != LINK_CLOSED);
    link_enter(l);
    link_disconnect(l);
    l->state = LINK_CLOSED;
    link_fail_pending(l);
    link_leave(l);
}

enum link_state link_state(const struct link *l)
{
    return l->state;
}

const struct link_stats *link_stats(const struct link *l)
{
    return &l->stats;
}

int64_t link_heard_us(const struct link *l)
{
    return l->heard_us;
}

size_t link_outbox_bytes(const struct link *l)
{
    return l->outbox.len - l->written;
}

/* --- commands --- */

void link_command(struct link *l, link_reply_fn *cb, void *arg, size_t argc, const struct slice *argv)
{
    bool accepted = l->state == LINK_UP && l->commands_pending < l->config.pending_max &&
                    link_put(l, (struct awaited){.cb = cb, .arg = arg}, argc, argv);
    if (!accepted && cb)
        cb(arg, NULL);
}

/* A subscription that is not made would be missed silently; a new connection makes all of them. */
static bool subscription(struct link *l, struct slice verb, struct awaited a)
{
    if (l->state != LINK_UP)
        return false;
    if (link_put(l, a, 2, (struct slice[]){verb, a.channel}))
        return true;
    l->doomed = "its outbox is full";
    event_active(l->flush, EV_TIMEOUT, 0);
    return false;
}

bool link_subscribe(struct link *l, struct slice channel, link_reply_fn *cb, void *arg)
{
    return subscription(l, SLICE_LIT("SSUBSCRIBE"),
                        (struct awaited){.cb = cb, .arg = arg, .channel = channel, .awaits = AWAITS_SUBSCRIBED});
}

bool link_unsubscribe(struct link *l, struct slice channel, link_reply_fn *cb, void *arg)
{
    return subscription(
        l, SLICE_LIT("SUNSUBSCRIBE"),
        (struct awaited){
            .cb = cb, .arg = arg, .channel = channel, .awaits = AWAITS_UNSUBSCRIBED, .echoed = l->is_cluster});
}
