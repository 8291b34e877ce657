/* The watches of a paged list: each is one item (by its id) that somebody subscribed to or asked for, whether it is in the list
 * or not, and its subscribers. Where a connection also follows a page, the page is told first. */
#ifndef SYNCGATE_GATEWAY_STATE_WATCH_H
#define SYNCGATE_GATEWAY_STATE_WATCH_H

#include "protocol/base/list.h"
#include "protocol/base/map.h"
#include "protocol/window.h"

struct conn;
struct topic;
struct paged;
struct request;
struct sub;
struct watch;

/* All watches of one list. */
struct watches {
    struct map _by_id;
    struct list _all;
    struct list _changed; /* those whose subscribers have to be told something */
    struct list _absent;  /* those that are known not to be in the list */
    size_t _unknown;      /* those whose item has to be read */
};

void watches_init(struct watches *ws);
/* watches_deinit: there must be none any more. */
void watches_deinit(struct watches *ws);
static inline bool watches_any(const struct watches *ws)
{
    return ws->_all.count > 0;
}

/* --- changes of the list --- */

/* watch_changed: the item changed at the current revision; e NULL: it left the list. */
void watch_changed(struct paged *p, struct slice id, struct entry *e);
/* watch_moved: it moved, which is told only when its value is another now. */
void watch_moved(struct paged *p, struct slice id, struct entry *e);
/* watches_forget: nothing is known any more. */
void watches_forget(struct watches *ws);
/* watches_drop: the list is empty at the current revision. */
void watches_drop(struct watches *ws);
/* watches_rewind: the list is read anew at revision `rev`; what anybody was told counts as older than that. */
void watches_rewind(struct watches *ws, int64_t rev);
/* watches_renew: whatever anybody was told has to be told again. */
void watches_renew(struct watches *ws);
/* watches_each_sub: whoever was answered. */
void watches_each_sub(const struct watches *ws, void (*each)(struct sub *s));
/* watches_settle, after all of the above and views_settle, tells what is new. */
void watches_settle(struct watches *ws);

/* --- reads --- */

/* watches_incomplete: watches_want has something to be read. */
static inline bool watches_incomplete(const struct watches *ws)
{
    return ws->_unknown > 0;
}
/* watches_want writes at most `max` ids to be read, borrowed: of what is not known, or all when `whole`. Returns how many. */
size_t watches_want(const struct watches *ws, bool whole, struct slice *ids, size_t max);
/* watch_fill: this is what Redis has of the item; NULL: it is not in the list. */
void watch_fill(struct paged *p, struct slice id, const struct slice *value);

/* --- what a page tells of the items in it, by view.c --- */

/* watches_told: the connection's page just told it this, which need not be told again by its item subscriptions (view_events). */
void watches_told(struct paged *p, struct conn *c, bool whole, const struct page *to);
/* watches_tell_gone: a peer that follows a page (it holds `from`) and, on its own, an item off that page is told by a `delete` when
 * that item leaves the list. Peers may or may not count that in their total, so after a true the total is said right behind it. */
bool watches_tell_gone(struct paged *p, struct conn *c, const struct page *from);

/* --- one watch --- */

/* watch_get finds or makes it. It must be held then, and is freed with the last release. */
struct watch *watch_get(struct paged *p, struct slice id);
/* watch_find: NULL when nobody is interested in the item (canonical id). */
struct watch *watch_find(const struct watches *ws, struct slice id);
struct slice watch_id(const struct watch *w);
void watch_hold(struct watch *w);
void watch_release(struct watch *w);
/* watch_serve answers a request for an item and frees it; false when it has to wait. */
bool watch_serve(struct request *q);

/* The next three are for a subscription of an item: it begins (pending); tell it the newest state; it ends. */
struct sub *watch_subscribe(struct conn *c, struct watch *w);
void watch_flush_sub(struct sub *s);
void watch_sub_gone(struct sub *s);

#endif
