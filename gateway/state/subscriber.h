/* What this room keeps of a connection. */
#ifndef SYNCGATE_GATEWAY_STATE_SUBSCRIBER_H
#define SYNCGATE_GATEWAY_STATE_SUBSCRIBER_H

#include "gateway/net/conn.h"

struct subscriber {
    struct conn conn;
    struct list subs;     /* struct sub */
    struct list dirty;    /* struct sub that missed updates while congested */
    struct list requests; /* struct request that wait, for Redis or for room */
    struct list held;     /* struct request, of them, that wait for room, oldest first */
    uint64_t held_pass;   /* topic_list.c: its answers have to wait in this pass */
    uint32_t slots;       /* of the windows that its requests keep (struct request) */
    uint32_t watching;    /* item subscriptions among subs */
};

static inline struct subscriber *subscriber_of(const struct conn *c)
{
    return container_of((struct conn *)(uintptr_t)c, struct subscriber, conn);
}

static inline void subscriber_init(struct subscriber *s)
{
    list_init(&s->subs);
    list_init(&s->dirty);
    list_init(&s->requests);
    list_init(&s->held);
}

#endif
