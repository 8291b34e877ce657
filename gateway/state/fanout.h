/* Frames to subscribers: at once to those who can take them, as a mark to those who cannot; and the newest state, once, when
 * they can again. */
#ifndef SYNCGATE_GATEWAY_STATE_FANOUT_H
#define SYNCGATE_GATEWAY_STATE_FANOUT_H

#include "gateway/state/sub.h"

/* fanout_ready: may this subscription be told this many changes right now? When not (its connection is congested, or its
 * max_rate says later), it is marked, and gets the newest state in time. One with a max_rate may be told the last one only. */
bool fanout_ready_unusual(struct sub *s, uint32_t changes);
static inline bool fanout_ready(struct sub *s, uint32_t changes)
{
    bool usual = !s->key.conn->congested && !s->rate && !list_linked(&s->in_dirty);
    return usual || fanout_ready_unusual(s, changes);
}
/* fanout_limit sets the least time between two updates; 0: none. */
void fanout_limit(struct sub *s, int64_t interval_ms);
/* fanout_interval_ms: what fanout_limit set; only while there is one. */
int64_t fanout_interval_ms(const struct sub *s);
/* sub_interval_ms: the same of any, 0 for every change. */
int64_t sub_interval_ms(const struct sub *s);
/* fanout_shed throws away the changes that are queued for a connection that stopped reading; it gets the newest state instead. */
void fanout_shed(struct conn *c);
/* fanout_missed marks the subscription of a congested connection: it gets the newest state later. */
void fanout_missed(struct sub *s, uint32_t changes);
/* fanout_wait: the same for a connection that could take it, but whose page has to be told first; that asks for the flush. */
void fanout_wait(struct sub *s);
/* fanout_flush queues the newest state of what this connection missed, until its queue holds `limit` bytes. Only when it is not
 * congested. */
void fanout_flush(struct conn *c, size_t limit);
/* fanout_forget: the subscription ends. */
void fanout_forget(struct sub *s);

#endif
