/* A paged list, shared by the three files that make it up: topic_list.c knows what the list is (changes, reads, what clients ask),
 * view.c its windows and who follows them, watch.c its single items and who watches those.
 *
 * topic_list.c writes the fields here; the other two read them. What lies in `views` and `watches` is touched by the file of
 * that name alone. */
#ifndef SYNCGATE_GATEWAY_STATE_TOPIC_LIST_H
#define SYNCGATE_GATEWAY_STATE_TOPIC_LIST_H

#include "gateway/state/gone.h"
#include "gateway/state/topic.h"
#include "gateway/state/view.h"
#include "gateway/state/watch.h"

struct paged {
    struct topic base;
    const struct view_events *view_events;
    int64_t total;
    int64_t replaced_rev; /* the last set_all or drop: whoever was told an older state gets its page whole */
    struct gone gone;     /* left the list and did not come back */
    struct views views;
    struct watches watches;
};

extern const struct topic_kind topic_list_kind;

#endif
