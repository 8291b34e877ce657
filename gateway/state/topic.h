/* Names that clients of this gateway are subscribed to: one `topic` per variable or list caches what Redis holds, follows its
 * changes, and serves any number of local subscribers from one subscription and one read. topic.c holds what both kinds share
 * (registry, life, subscriptions, requests that wait); topic_var.c and topic_list.c (with view.c and watch.c) hold the rest.
 *
 * Life: LOADING (nothing known; changes are ignored, the read will contain them) → READY (changes are applied by revision) →
 * STALE (something was missed: the old state is still served while it is read again) → READY … What Redis calls damaged is
 * LOADING again. A topic without users lingers for a while, subscribed, and is then freed. */
#ifndef SYNCGATE_GATEWAY_STATE_TOPIC_H
#define SYNCGATE_GATEWAY_STATE_TOPIC_H

#include "gateway/net/conn.h"
#include "gateway/state/reads.h"
#include "redis/change.h"

struct topics; /* the registry of one gateway */
struct view;
struct watch;

/* What clients are told of a name whose keys in Redis are not what the functions left there. */
#define TOPIC_DAMAGED_TEXT "damaged data"

enum topic_state { TOPIC_LOADING, TOPIC_READY, TOPIC_STALE };

/* Why Redis is asked for a name's state, in the order of the metrics. */
enum read_reason {
    READ_FIRST,     /* nothing is known */
    READ_CONTENT,   /* list: a window shows what is not known yet */
    READ_CONFIRM,   /* is it really not there? */
    READ_GAP,       /* a change was lost */
    READ_RECONNECT, /* changes may have been lost: the link, or its subscription, was away */
    READ_SWEEP,     /* revisions differ */
    READ_MALFORMED, /* a change could not be applied */
    READ_BACK       /* a change that is not newer than what is held: Redis went back */
};

struct topic {
    struct map_node by_key; /* in the registry: one byte of kind, then the name */
    struct gateway *gw;
    enum kind kind;
    enum topic_state state;
    bool exists;         /* in Redis, as of `rev` */
    bool reading;        /* a read is in flight and holds this topic */
    bool sweeping;       /* so does the sweep's question */
    bool damaged;        /* so Redis said */
    const char *refusal; /* while subscribers are told so */
    bool
        told_void; /* subscribers were told that what they hold is void: the next good read tells them all the whole state */
    bool barred;  /* its answers cut the link: not subscribed to, and asked for its size alone, until it is smaller */
    bool back;    /* Redis went back since `rev`: a revision of the next answer says nothing about what is held */
    bool confirm; /* somebody asks for a name that is not there as far as we know: read before that is said */
    enum read_reason missed; /* STALE: why */
    uint64_t reads;          /* begun; the one in flight has this number */
    uint64_t reads_done;     /* number of the last one that was answered */
    int64_t rev;
    int64_t changed_us; /* when Redis last told a change of it, by the monotonic clock; 0: not while it is held */
    int64_t retry_ms;   /* when a read that Redis refused may be tried again; 0: now */
    int64_t doubt_ms;   /* until then a change is no reason to read at once: too many were not; 0: no such time */
    unsigned in_vain;   /* reads in a row over a change that found nothing new */
    struct read read;
    size_t barred_bytes;                     /* which cut the link */
    int64_t barred_until_ms, barred_look_ms; /* the next try at all; how long it waits between two looks at its size */
    size_t users;                            /* subscriptions and requests */
    uint64_t held_pass; /* topics_answer_held: a request for it cannot be answered yet in this pass */
    int64_t idle_since_ms;
    struct hub_member member;
    struct list requests;     /* struct request, in order of arrival */
    struct list waiting;      /* struct sub: the name is unknown, and they want to be told when it is not any more */
    struct list_node all;     /* registry: every topic, in sweep order */
    struct list_node idle;    /* registry: no users */
    struct list_node refused; /* registry: to be read again after retry_ms */
    struct slice name;        /* points into the key */
};

/* What a subscription follows decides who else is in its list: a variable, a view of a list, or one watched list item. */
struct sub {
    struct map_node by_key; /* in the registry, by `key` */
    struct {
        struct conn *conn;
        const void *target; /* the topic, or the watch for an item subscription */
    } key;
    struct list_node in_conn;
    struct list_node in_target; /* var.subs, view.subs or watch.subs; while pending: topic->waiting, or not linked */
    struct list_node in_dirty;  /* conn->dirty: missed updates */
    struct topic *topic;
    struct watch *watch; /* NULL: of the whole variable or list */
    struct view *view;   /* list: the window that is followed */
    struct page *told;   /* list: what the peer holds */
    int64_t told_rev;    /* list and watch: as of which revision */
    struct rate *rate;   /* NULL: every change; otherwise how often it may be told (fanout.c) */
    bool pending;        /* not answered yet: the name may turn out to be unknown */
    bool wait;           /* then it is kept, pending */
    bool waiting;        /* that has happened */
};

/* Something a connection asked for that takes an answer from Redis first, or room for the answer. */
struct request {
    struct list_node in_item; /* or in conn->held: it waits for room, and is looked at when there is some */
    struct list_node in_conn;
    struct list_node in_deadlines; /* registry, oldest first; not while held */
    struct topic
        *topic; /* NULL: a ping, which waits for room behind others and has nothing below but `held` and `id` */
    struct conn *conn;
    struct slice id;     /* of a ping; ptr NULL: none */
    uint64_t reads;      /* of the topic, begun before this request */
    bool subscribe;      /* else: get */
    bool held;           /* in conn->held */
    uint32_t slots;      /* of its page's window, which is kept for it */
    struct view *view;   /* list page */
    struct watch *watch; /* list item */
    int64_t deadline_ms;
    char id_bytes[];
};

/* --- registry --- */

struct topics *topics_new(struct gateway *g);
/* topics_leave ends all channels while the link is still there; topics_free comes after link_free, when no read can come back.
 * Connections must be gone before both. */
void topics_leave(struct topics *r);
void topics_free(struct topics *r);
/* topics_tick: deadlines, lingering, the sweep. Call every TOPICS_TICK_MS. */
enum { TOPICS_TICK_MS = 100 };
void topics_tick(struct topics *r);
/* topics_link_down: every name may change unheard from now on. Call it after the reads that were in flight got their answer. */
void topics_link_down(struct topics *r);

/* topics_known: the name is known here. False: only Redis can tell, even if it did not have the name a moment ago. */
bool topics_known(struct topics *r, enum kind kind, struct slice name);

/* topics_map: all topics by kind and name (struct topic.by_key), to be looked at. */
const struct map *topics_map(const struct topics *r);
/* topics_held: the topic, if this gateway holds it. */
const struct topic *topics_held(struct topics *r, enum kind kind, struct slice name);
/* topics_find_used: what is held of a name that somebody here is subscribed to, when that is what Redis holds as far as we were told.
 * NULL otherwise. */
const struct topic *topics_find_used(struct topics *r, enum kind kind, struct slice name);

/* --- what sessions do; errors are answered inside --- */

/* topics_find_sub: id NULL for the variable or list itself. */
struct sub *topics_find_sub(struct conn *c, enum kind kind, struct slice name, const struct slice *id);
struct sub_wish {
    int64_t interval_ms; /* the least time between two updates, 0 for every change */
    bool wait;           /* stay subscribed to a name that is unknown */
};
void topics_subscribe(struct conn *c, enum kind kind, struct slice name, const struct slice *id,
                      const struct sub_wish *wish);
/* topics_get: the peer is subscribed (the dialect asked). page_size 0: the owner's maximum. */
void topics_get(struct conn *c, enum kind kind, struct slice name, const struct slice *id, int64_t page,
                int64_t page_size);
/* topics_hold_ping: when requests of this connection wait for room a ping waits behind them, and is answered in its place. False: there
 * are none. */
bool topics_hold_ping(struct conn *c, struct slice id);
void topics_unsubscribe(struct sub *s);
void topics_unsubscribe_all(struct conn *c);
/* topics_answer_held answers what waited for room, until the queue of this connection holds `limit` bytes. Only when it is not
 * congested. */
void topics_answer_held(struct conn *c, size_t limit);
/* topics_revoke ends the subscriptions that c->grants do not cover, each with an error 3 that counts as nobody's fault. */
void topics_revoke(struct conn *c);

/* --- between topic.c and the two kinds --- */

void topic_init(struct topic *t, struct gateway *g, enum kind kind, struct slice name);
/* topic_declared: the configuration declares the name, so it is known even when Redis does not have it. */
bool topic_declared(const struct topic *t);
/* topic_want_read reads from Redis again, when it is this topic's turn (reads.h), unless a read is in flight or the link is away (then
 * its return does). */
void topic_want_read(struct topic *t);
/* topic_read_begins, topic_read_ends: bookkeeping around a read. The answer may take topic_room bytes; larger: bytes that it had no room
 * for, 0: none. t->read.expect is the kind's to keep. False: there is nothing in it to be used; what has to follow is done. */
void topic_read_begins(struct topic *t);
size_t topic_room(const struct topic *t);
bool topic_read_ends(struct topic *t, const struct store_result *r, size_t larger);
/* topic_found: what the read says is of this revision; the topic is READY. True: Redis went back, so revisions that were told are of
 * another life. */
bool topic_found(struct topic *t, int64_t rev);
/* topic_unknown: not in Redis and not declared, as far as is known here. */
bool topic_unknown(const struct topic *t);
/* topic_healed: the state was read; true when it had been called void, so that all have to be told it whole. */
bool topic_healed(struct topic *t);
void topic_retry_later(struct topic *t);
/* topic_flush_sub queues the newest state for a subscription that missed something. */
void topic_flush_sub(struct sub *s);
/* topic_lose_sub: frames for it were thrown away; the next flush tells the whole state. */
void topic_lose_sub(struct sub *s);
/* topics_settle_untold tells subscribers what was held back to be told together with what else arrives in this turn (conn.h,
 * conn_settle). */
void topics_settle_untold(struct gateway *g);
/* topic_missed: a change was lost; serve the old state and read again: at once, unless that was in vain very often. */
void topic_missed(struct topic *t, enum read_reason why);
/* topic_bad_change: bytes from Redis were not what they should be. */
void topic_bad_change(const struct topic *t, const char *what);

struct request *request_new(struct topic *t, struct conn *c, bool subscribe, struct view *view, struct watch *watch);
void request_free(struct request *q);
/* request_fail answers an error and frees; a pending subscription that waited for it ends, unless it waits for the name. */
void request_fail(struct request *q, enum error_code code, const char *text);
/* request_fail_unknown answers error 3 (and keeps a subscription that wants to wait for the name), but only on the strength of a read that began after the request: somebody may have created
 * the name just before asking, and that change may be on its way still. Returns false when such a read has to come first. */
bool request_fail_unknown(struct request *q);

/* topic_wake: call it when the name may have become known: each subscription that waits for that asks again; serve follows. */
void topic_wake(struct topic *t);
/* request_hold: true when the connection has no room for an answer, or older requests of it wait for that: then the request costs
 * no more than itself, and gets the newest state as its answer later. It is no longer among its topic's. */
bool request_hold(struct request *q);

struct sub *sub_new(struct conn *c, struct topic *t, struct watch *w); /* pending */
struct sub *sub_find(const struct conn *c, const struct topic *t, const void *target);
void sub_free(struct sub *s);
/* topic_error answers an error about this topic (and list item id, ptr NULL: none). */
void topic_error(struct conn *c, const struct topic *t, enum error_code code, const char *text, struct slice id);

/* --- for those who look --- */

/* What one can see of a topic beyond struct topic itself. */
struct topic_look {
    int64_t size;   /* bytes of a variable's value; items of a list */
    size_t windows; /* of a list: those that are kept current */
};
void topic_look(const struct topic *t, struct topic_look *out);
/* topic_subscribers: clients of this process, a client once for each of its subscriptions. */
static inline size_t topic_subscribers(const struct topic *t)
{
    return t->users - t->requests.count;
}
/* sub_window: the page that the subscription follows, false when it follows none (yet). */
bool sub_window(const struct sub *s, int64_t *page, int64_t *size);
/* sub_interval_ms: the least time between two updates, 0 for every change. */
int64_t sub_interval_ms(const struct sub *s);

/* --- what each kind provides --- */

struct topic_kind {
    struct topic *(*create)(struct gateway *g, struct slice name);
    void (*destroy)(struct topic *t);
    void (*read)(struct topic *t); /* starts the read, if there is anything to be read; sets t->reading */
    void (*apply)(struct topic *t, const struct change *e); /* READY, and e->rev is newer */
    void (*subscribe)(struct conn *c, struct topic *t, const struct slice *id, bool wait);
    void (*ask_again)(struct sub *s); /* makes the request of `subscribe` again, and serves nothing */
    void (*get)(struct conn *c, struct topic *t, const struct slice *id, int64_t page, int64_t page_size);
    void (*sub_gone)(struct sub *s);                                /* unlink from its target */
    void (*request_gone)(struct request *q);                        /* drop what it held */
    void (*each_sub)(struct topic *t, void (*each)(struct sub *s)); /* those that are answered */
    void (*lose_sub)(struct sub *s);   /* what it was told last may never arrive: the next flush tells all */
    void (*flush_sub)(struct sub *s);  /* the newest state to a connection that can take it again */
    void (*settle)(struct topic *t);   /* NULL: nothing is ever held back */
    void (*serve)(struct topic *t);    /* try to answer what waits */
    bool (*answer)(struct request *q); /* and free; false: the state that it needs is not known yet */
    void (*tick)(struct topic *t, int64_t now_ms);       /* NULL: nothing to do */
    struct slice (*request_id)(const struct request *q); /* for errors; ptr NULL: none */
    void (*look)(const struct topic *t, struct topic_look *out);
};
/* topic_var_value: of a variable, borrowed; ptr NULL: null. */
struct slice topic_var_value(const struct topic *t);
extern const struct topic_kind topic_var_kind, topic_list_kind;

/* topic_list_find_watch: the watch of a list item (canonical id), if somebody is interested in it. */
const struct watch *topic_list_find_watch(const struct topic *t, struct slice id);

#endif
