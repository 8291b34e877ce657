/* The views of a paged list: each is a window (page number and size), the version of it that its subscribers were told, and
 * these subscribers. A view without holes is compared with what they were told, once, and the steps are shared. */
#ifndef SYNCGATE_GATEWAY_STATE_VIEW_H
#define SYNCGATE_GATEWAY_STATE_VIEW_H

#include "protocol/base/list.h"
#include "protocol/base/map.h"
#include "protocol/window.h"

struct conn;
struct topic;
struct paged;
struct request;
struct store_range;
struct sub;
struct view;

/* What a page tells is of interest to the item subscriptions of the same connection. Only called for connections that have some. */
struct view_events {
    /* The connection, which holds `from`, is going to be told a newer page. True: its count of the list is not sure any more, so the
     * total has to be said. */
    bool (*before_tell)(struct paged *p, struct conn *c, const struct page *from);
    /* It was told; whole: all of `to`, otherwise the steps of the last comparison (views._steps). */
    void (*told)(struct paged *p, struct conn *c, bool whole, const struct page *to);
};

/* All views of one list. */
struct views {
    struct map _by_key;
    struct list _all;
    size_t _idle; /* of them: nobody uses it */
    struct page_steps _steps;
};

void views_init(struct views *vs);
/* views_deinit: nobody uses any of them any more. */
void views_deinit(struct views *vs);
/* views_trim frees the views that nobody used since `since_ms`, and whatever is idle beyond a maximum. */
void views_trim(struct views *vs, int64_t since_ms);
/* views_trim_crowd: only the latter, and only when there are far too many. */
void views_trim_crowd(struct views *vs);

/* --- changes of the list; see protocol/window.h --- */

void views_insert(struct views *vs, int64_t index, struct entry *e, int64_t total);
void views_set(struct views *vs, int64_t index, struct entry *e, int64_t total);
void views_delete(struct views *vs, int64_t index, int64_t total);
/* views_move: a view that holds the item with this very value keeps what it holds, so that only the move is told. */
void views_move(struct views *vs, int64_t from, int64_t to, struct entry *e, int64_t total);
/* views_reset: nothing is known but the length. */
void views_reset(struct views *vs, int64_t total);
/* views_rewind: the list is read anew at revision `rev`; what anybody was told counts as older than that. */
void views_rewind(struct views *vs, int64_t rev);
/* views_each_sub: whoever follows a page. */
void views_each_sub(const struct views *vs, void (*each)(struct sub *s));
/* views_settle, after all of the above: whose page vanished goes to the last one, and views without holes tell what is new. */
void views_settle(struct views *vs);

/* --- reads --- */

/* views_want writes at most `max` ranges to be read (of bounded length together): what has holes, or all when `whole`. Returns how
 * many; the rest comes with the next read. */
size_t views_want(struct views *vs, bool whole, struct store_range *ranges, size_t max);
/* views_fill: these entries stand at start … in the list. */
void views_fill(struct views *vs, int64_t start, struct entry *const *entries, size_t count);
/* views_read_ends: everything that views_want wanted was filled in; cut: as far as it fitted into the answer. */
void views_read_ends(struct views *vs, bool cut);
/* views_incomplete: views_want has something to be read. */
bool views_incomplete(const struct views *vs);

/* --- one view --- */

/* view_get finds or makes it. It stays while somebody holds it, and for a while after. */
struct view *view_get(struct paged *p, int64_t number, int64_t size);
/* view_window: which page it is, and of what size. */
void view_window(const struct view *v, int64_t *page, int64_t *size);
/* sub_window: the page that the subscription follows, false when it follows none (yet). */
bool sub_window(const struct sub *s, int64_t *page, int64_t *size);
/* view_slots: what its window has room for, 8 bytes each. */
uint32_t view_slots(const struct view *v);
void view_hold(struct view *v);
void view_release(struct view *v);
/* view_current: this connection was told everything about the list that the gateway knows, or follows no page of it. */
bool view_current(const struct conn *c, const struct topic *t);
/* view_serve answers a request for a page and frees it; false when it has to wait. */
bool view_serve(struct request *q);

/* The next three are for a subscription of the list itself: tell it the newest state; forget what it was told, so that the next
 * flush sends the page whole; it ends. */
void view_flush_sub(struct sub *s);
void view_lose_sub(struct sub *s);
void view_sub_gone(struct sub *s);

#endif
