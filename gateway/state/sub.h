/* Subscriptions: who follows what, and what it was told.
 *
 * Words of this room:
 *   target    what a subscription follows: a topic, or a watch of one list item
 *   told      what the peer holds as far as we wrote it; a subscription's `told_rev` is the revision that is of
 *   pending   not answered yet: the name may turn out to be unknown; or answered without a word (quiet), and follows nothing
 *   waiting   the name is unknown, and the peer wants to be told when it is not any more
 *   dirty     missed something, and gets the newest state when there is room, or when its max_rate says so
 *   held      a request that waits for room in its connection's queue; or what a gateway knows of a name
 *   settle    to tell what changed, after everything that arrived together was applied
 *   untold    held back in this turn, to be told together with what else arrives in it
 *   void      subscribers were told that nobody knows what is true; the next good read tells them the whole state
 *   barred    a name whose answers cut the link to Redis
 *   gone      an item that left its list, not only the page; opaque: which ones did before some revision is not known
 *   window    a page of a list, kept current; view: the window and those who follow it; watch: the same of one item */
#ifndef SYNCGATE_GATEWAY_STATE_SUB_H
#define SYNCGATE_GATEWAY_STATE_SUB_H

#include "gateway/state/topic.h"

struct view;
struct watch;

#define SUB_UNKNOWN_TEXT "unknown name"

/* What a subscription follows decides who else is in its list: a variable, a view of a list, or one watched list item. */
struct sub {
    struct map_node by_key; /* in the registry, by `key` */
    struct {
        struct conn *conn;
        const void *target; /* the topic, or the watch for an item subscription */
    } key;
    struct list_node in_conn;
    struct list_node in_target; /* var.subs, view.subs or watch.subs; while pending: topic->waiting, or not linked */
    struct list_node in_dirty;  /* subscriber_of(conn)->dirty: missed updates */
    struct topic *topic;
    struct watch *watch;           /* NULL: of the whole variable or list */
    struct view *view;             /* list: the window that is followed */
    struct page *told;             /* list: what the peer holds */
    int64_t told_rev;              /* list and watch: as of which revision */
    struct rate *rate;             /* NULL: every change; otherwise how often it may be told (fanout.c) */
    uint32_t first_page;           /* list, while it waits: the page that is wanted first … */
    bool pending : 1;              /* not answered yet: the name may turn out to be unknown */
    bool wait : 1;                 /* then it is kept, pending */
    bool waiting : 1;              /* that has happened */
    bool quiet : 1;                /* answered without a word: pending until a page is asked for */
    uint32_t first_page_size : 28; /* … and its size; 0: as large as there is */
};

/* How somebody wants to be subscribed. */
struct sub_wish {
    int64_t interval_ms;     /* the least time between two updates, 0 for every change */
    int64_t page, page_size; /* of a list, as of `get`: what is told first */
    bool wait;               /* stay subscribed to a name that is unknown */
    bool silent;             /* the state is not told before it is asked for */
};

/* sub_new: pending. w: of that list item, NULL for the topic itself. */
struct sub *sub_new(struct conn *c, struct topic *t, struct watch *w);
/* sub_find: NULL when there is none. */
struct sub *sub_find(const struct conn *c, const struct topic *t, const void *target);
void sub_free(struct sub *s);
/* sub_wait: the name is unknown, and the subscription stays; the peer is told. sub_wait_no_more: it does not wait any longer. */
void sub_wait(struct sub *s);
void sub_wait_no_more(struct sub *s);
/* subs_wake: call it when the name may have become known: each subscription that waits for that asks again; the kind's `serve` follows. */
void subs_wake(struct topic *t);

#endif
