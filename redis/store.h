/* The Redis functions as typed asynchronous calls. Callbacks get borrowed data, valid during the call; a callback runs exactly
 * once, possibly from inside the call that asked (when the link is away). Nothing is logged here. */
#ifndef SYNCGATE_REDIS_STORE_H
#define SYNCGATE_REDIS_STORE_H

#include "protocol/base/slice.h"
#include "redis/link.h"

struct store;

enum store_status {
    STORE_OK,
    STORE_AWAY,    /* the link was or went down: a write may or may not have happened */
    STORE_REFUSED, /* the function refused: see `refusal` */
    STORE_BROKEN /* the answer has not the promised shape, or Redis said something else (OOM, NOPERM, …): see `text` */
};

enum store_refusal {
    REFUSAL_NONE,
    REFUSAL_NAME,
    REFUSAL_JSON,
    REFUSAL_ID,
    REFUSAL_ARG,
    REFUSAL_REV,
    REFUSAL_DATA, /* what Redis holds under this name is not what the functions left there */
    REFUSAL_AWAY  /* who serves the function does not listen at the moment */
};

struct store_result {
    enum store_status status;
    enum store_refusal refusal;
    struct slice text; /* the error reply, borrowed; empty when STORE_OK */
};

/* store_new: in database `db`, which is in the names of the channels; prefix copied. */
struct store *store_new(struct link *l, const char *prefix, int db);
void store_free(struct store *s); /* after link_free, so that no callback is pending */

/* store_channel writes the channel of a name, e.g. "sg:{price}" or "sg:{price}@3", into out (size >= prefix + 530) and returns
 * its length; 0 when the name cannot be one (see redis/keys.h) or the room is too small. */
size_t store_channel(const struct store *s, struct slice name, char *out, size_t size);
/* store_probe_channel writes the channel on which this gateway hears itself, e.g. "sg:@{probe:0123abcd}"; returns its length, 0 when
 * the room is too small. */
size_t store_probe_channel(const struct store *s, struct slice gw, char *out, size_t size);
/* store_census_channel: likewise where all gateways hear what they are asked ("sg:@{census}", gw SLICE_NONE), and where one hears the
 * answers ("sg:@{census:0123abcd}"). */
size_t store_census_channel(const struct store *s, struct slice gw, char *out, size_t size);
/* The channel of the calls, "sg:@{calls}" or "sg:@{calls}@3", borrowed for the life of the store. */
struct slice store_calls_channel(const struct store *s);

/* --- variables --- */
struct store_var {
    int64_t rev; /* 0: never existed (or gone for more than a day) */
    bool exists;
    struct slice value; /* when it exists; not checked yet */
    size_t larger;      /* the value has so many bytes, more than there was room for, and is not here; 0: it is */
};
typedef void store_var_fn(void *arg, const struct store_result *r, const struct store_var *v);
/* room: bytes that the value may take in the answer. */
void store_var_read(struct store *s, struct slice name, size_t room, store_var_fn *cb, void *arg);

/* --- lists --- */
struct store_range {
    int64_t start, count;
};
struct store_item {
    struct slice id, value; /* not checked yet; id.ptr NULL = no such item */
    int64_t index;          /* absolute; -1 = no such item, STORE_NOT_READ = there was no room for it */
};
enum { STORE_NOT_READ = -2 };
struct store_list {
    int64_t rev;
    bool exists;
    int64_t total;
    size_t nranges;
    const struct store_range *ranges; /* as asked, counts cut to what there was, and was room for */
    const struct store_item *items;   /* of all ranges, one after the other */
    size_t nids;
    const struct store_item *ids; /* one per asked id, in order */
    size_t larger; /* bytes of the first item that there was no room left for, the others behind it; 0: all is here */
};
typedef void store_list_fn(void *arg, const struct store_result *r, const struct store_list *l);
/* What is wanted of a list: any number of ranges and ids (canonical JSON text), as far as they fit into `room` bytes. */
struct store_want {
    size_t room;
    const struct store_range *ranges;
    size_t nranges;
    const struct slice *ids;
    size_t nids;
};
/* One snapshot. `want` is needed during the call only. */
void store_list_read(struct store *s, struct slice name, const struct store_want *want, store_list_fn *cb, void *arg);

struct store_state {
    int64_t var_rev, list_rev; /* -1: damaged */
    bool var_exists, list_exists;
};
typedef void store_state_fn(void *arg, const struct store_result *r, const struct store_state *st);
void store_state(struct store *s, struct slice name, store_state_fn *cb, void *arg);
/* store_probe is a read like any other, of the keys that belong to the channel of store_probe_channel: there are none. */
void store_probe(struct store *s, struct slice gw, store_state_fn *cb, void *arg);

/* --- writes; n is the answer when it is a number (the new revision), 0 otherwise --- */
typedef void store_write_fn(void *arg, const struct store_result *r, int64_t n);
void store_var_set(struct store *s, struct slice name, struct slice value, store_write_fn *cb, void *arg);
/* store_var_set_at: only when the variable is at this revision; 0: only when it does not exist. */
void store_var_set_at(struct store *s, struct slice name, struct slice value, int64_t rev, store_write_fn *cb,
                      void *arg);
void store_list_insert(struct store *s, struct slice name, int64_t index, struct slice id, struct slice value,
                       store_write_fn *cb, void *arg);
void store_list_set(struct store *s, struct slice name, struct slice id, struct slice value, store_write_fn *cb,
                    void *arg);
void store_list_delete(struct store *s, struct slice name, struct slice id, store_write_fn *cb, void *arg);
/* index: where it is to stand in the end. In insert and move -1 is the end of the list. */
void store_list_move(struct store *s, struct slice name, struct slice id, int64_t index, store_write_fn *cb, void *arg);
/* The same for the item that stands at this index when Redis carries it out; REFUSAL_ID: there is none. */
void store_list_set_at(struct store *s, struct slice name, int64_t index, struct slice value, store_write_fn *cb,
                       void *arg);
void store_list_delete_at(struct store *s, struct slice name, int64_t index, store_write_fn *cb, void *arg);
void store_list_set_all(struct store *s, struct slice name, struct slice items_json, store_write_fn *cb, void *arg);

/* --- calls (sg_fn_*) --- */
void store_fn_serve(struct store *s, struct slice gw, struct slice exec, struct slice name, int64_t lease_ms,
                    store_write_fn *cb, void *arg);
void store_fn_leave(struct store *s, struct slice gw, struct slice exec, struct slice name, store_write_fn *cb,
                    void *arg);
void store_fn_gone(struct store *s, struct slice gw, store_write_fn *cb, void *arg);
struct store_busy {
    struct slice exec;
    int64_t inflight;
};
void store_fn_beat(struct store *s, struct slice gw, int64_t lease_ms, const struct store_busy *busy, size_t nbusy,
                   store_write_fn *cb, void *arg);
/* What Redis holds of a gateway, piece by piece: begin at "0"; `next` is "0" behind the last one. The same may come twice. */
struct store_registration {
    struct slice exec, name;
};
struct store_held {
    struct slice next;
    size_t len;
    const struct store_registration *registrations;
};
typedef void store_fn_held_fn(void *arg, const struct store_result *r, const struct store_held *h);
void store_fn_held(struct store *s, struct slice gw, struct slice place, store_fn_held_fn *cb, void *arg);
struct store_functions {
    int64_t rev;
    size_t len;
    const struct slice *names;
};
typedef void store_fn_list_fn(void *arg, const struct store_result *r, const struct store_functions *f);
void store_fn_list(struct store *s, store_fn_list_fn *cb, void *arg);
struct store_executor {
    struct slice gw, exec;
};
typedef void store_fn_call_fn(void *arg, const struct store_result *r, const struct store_executor *x);
/* args.ptr NULL = none. */
void store_fn_call(struct store *s, struct slice name, struct slice corr, struct slice gw, int64_t timeout_ms,
                   struct slice args, store_fn_call_fn *cb, void *arg);
void store_fn_done(struct store *s, struct slice executor_gw, struct slice exec, struct slice corr,
                   struct slice caller_gw, struct slice result, store_write_fn *cb, void *arg);

/* The gateway is back, and none of its calls up to this number will come any more. n: the last one that came. */
void store_fn_back(struct store *s, struct slice gw, int64_t number, store_write_fn *cb, void *arg);
/* Asks gateways for the results of calls, or whether they know them; at most STORE_AGAIN_MAX. */
struct store_again {
    struct slice gw, corr;
};
enum { STORE_AGAIN_MAX = 1000 };
void store_fn_again(struct store *s, struct slice caller_gw, const struct store_again *calls, size_t ncalls,
                    store_write_fn *cb, void *arg);

/* --- the fleet (sg_fleet_*): what each gateway says of itself --- */
void store_fleet_beat(struct store *s, struct slice gw, struct slice record, int64_t keep_ms, store_write_fn *cb,
                      void *arg);
struct store_gateway {
    struct slice gw, record; /* record: not checked yet */
    int64_t age_ms;          /* since it said so */
};
struct store_fleet {
    size_t len;
    const struct store_gateway *gateways;
};
typedef void store_fleet_fn(void *arg, const struct store_result *r, const struct store_fleet *f);
void store_fleet_list(struct store *s, int64_t keep_ms, store_fleet_fn *cb, void *arg);

#endif
