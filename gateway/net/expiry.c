/* One timer for each connection whose token ends. Tokens count by the clock on the wall, which may be set: it is asked again when the
 * timer fires. */
#include "gateway/net/expiry.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <time.h>

#include "gateway/access/identity.h"
#include "gateway/base/timer.h"
#include "gateway/net/conn.h"
#include "protocol/base/alloc.h"

enum { LONGEST_MS = 24 * 3600 * 1000 }; /* of one wait */

struct expiry {
    struct event timer;
    expired_fn *on_expired;
};

static void wait_for_it(struct conn *c)
{
    const struct options *opt = c->gw->opt;
    int64_t left_s = c->grants->identity->claims.expires_s - (int64_t)time(NULL);
    int64_t left_ms = left_s < LONGEST_MS / 1000 ? left_s * 1000 + opt->token_grace_ms : LONGEST_MS;
    timer_start(&c->expiry->timer, left_ms > 0 ? left_ms < LONGEST_MS ? left_ms : LONGEST_MS : 0);
}

static void on_time(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    (void)fd;
    (void)what;
    if (c->grants->identity->claims.expires_s + c->gw->opt->token_grace_ms / 1000 > (int64_t)time(NULL))
        wait_for_it(c);
    else
        c->expiry->on_expired(c);
}

void expiry_forget(struct conn *c)
{
    if (!c->expiry)
        return;
    event_del(&c->expiry->timer);
    free(c->expiry);
    c->expiry = NULL;
}

void expiry_watch(struct conn *c, expired_fn *on_expired)
{
    if (!c->grants->identity) {
        expiry_forget(c);
        return;
    }
    if (!c->expiry) {
        c->expiry = sg_calloc(1, sizeof(*c->expiry));
        c->expiry->on_expired = on_expired;
        evtimer_assign(&c->expiry->timer, c->gw->base, on_time, c);
    }
    wait_for_it(c);
}
