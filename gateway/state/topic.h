/* A name that clients of this gateway are subscribed to: one `topic` per variable or list caches what Redis holds, follows its
 * changes, and serves any number of local subscribers from one subscription and one read. topic.c holds its life, topic_read.c what it
 * asks Redis; what it holds, and how that is told, is its kind's: topic_var.c and topic_list.c (with view.c and watch.c).
 *
 * Life: LOADING (nothing known; changes are ignored, the read will contain them) → READY (changes are applied by revision) →
 * STALE (something was missed: the old state is still served while it is read again) → READY … What Redis calls damaged is
 * LOADING again. A topic without users lingers for a while, subscribed, and is then freed. */
#ifndef SYNCGATE_GATEWAY_STATE_TOPIC_H
#define SYNCGATE_GATEWAY_STATE_TOPIC_H

#include "gateway/state/subscriber.h"
#include "gateway/state/reads.h"
#include "redis/change.h"

struct request;
struct sub;
struct sub_wish;
struct topic_kind;

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
    const struct topic_kind *ops;
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

/* topic_init: for the kind's `create`. */
void topic_init(struct topic *t, struct gateway *g, const struct topic_kind *ops, struct slice name);
/* topic_free: nobody uses it, and nothing about it is in flight. */
void topic_free(struct topic *t);
/* topic_join subscribes to its channel. */
void topic_join(struct topic *t);
/* topic_use, topic_release: subscriptions and requests are its users. The last one leaves it among the idle ones. */
void topic_use(struct topic *t);
void topic_release(struct topic *t);
void topic_set_state(struct topic *t, enum topic_state state);

/* topic_frame: a frame of the messages in the gateway's scratch, which tell something of this topic's state. */
struct frame *topic_frame(const struct topic *t, uint32_t messages);

/* topic_declared: the configuration declares the name, so it is known even when Redis does not have it. */
bool topic_declared(const struct topic *t);
/* topic_unknown: not in Redis and not declared, as far as is known here. */
bool topic_unknown(const struct topic *t);
/* topic_bad_change: bytes from Redis were not what they should be. */
void topic_bad_change(const struct topic *t, const char *what);
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
/* --- what each kind provides --- */

struct topic_kind {
    enum kind kind;
    struct topic *(*create)(struct gateway *g, struct slice name); /* by topic_init */
    void (*destroy)(struct topic *t);
    void (*read)(struct topic *t); /* starts the read, if there is anything to be read; sets t->reading */
    void (*apply)(struct topic *t, const struct change *e); /* READY, and e->rev is newer */
    void (*subscribe)(struct conn *c, struct topic *t, const struct slice *id, const struct sub_wish *wish);
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
    struct slice (*sub_id)(const struct sub *s);         /* likewise */
    /* What a subscription follows: the topic, or of it the item with that id; NULL: nobody is interested in that. */
    const void *(*target)(const struct topic *t, const struct slice *id);
    void (*look)(const struct topic *t, struct topic_look *out);
};
#endif
