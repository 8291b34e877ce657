/* Change events as Redis publishes them (docs/redis-api.md): the head is checked and split here; the JSON inside (ids, values)
 * is the reader's to check. */
#ifndef SYNCGATE_REDIS_CHANGE_H
#define SYNCGATE_REDIS_CHANGE_H

#include "protocol/base/slice.h"

enum change_op {
    CHANGE_VAR_SET,     /* vs: rev, value */
    CHANGE_VAR_DELETE,  /* vd: rev */
    CHANGE_LIST_INSERT, /* li: rev, index, total, id, value */
    CHANGE_LIST_SET,    /* ls: rev, index, total, id, value */
    CHANGE_LIST_DELETE, /* lx: rev, index, total, id */
    CHANGE_LIST_MOVE,   /* lm: rev, from, index (to), total, id, value */
    CHANGE_LIST_ALL,    /* la: rev, total */
    CHANGE_LIST_DROP    /* lz: rev */
};

struct change {
    enum change_op op;
    int64_t rev; /* >= 1 */
    int64_t index, from, total;
    struct slice id, value; /* borrowed from the payload */
};

static inline bool change_is_var(const struct change *c)
{
    return c->op <= CHANGE_VAR_DELETE;
}

/* change_parse: false when the payload is not an event (numbers negative, index out of the total's range, lengths that do not
 * fit, an empty value …). */
bool change_parse(struct slice payload, struct change *out);

/* Mailbox and catalogue events of the calls. */
enum call_event_op {
    CALL_EVENT_CALL,         /* c: corr, gw (caller), exec, timeout_ms, name, body = args or empty */
    CALL_EVENT_RESULT,       /* r: corr, body = "n" | "v <json>" | "e <code> <message>" | "t" */
    CALL_EVENT_AGAIN,        /* a: corr, gw (caller): did that result get lost? */
    CALL_EVENT_APPEARED,     /* f+: rev, name */
    CALL_EVENT_ENDED,        /* f-: rev, name */
    CALL_EVENT_GATEWAY_GONE, /* g-: rev, gw */
    CALL_EVENT_GATEWAY_BACK  /* b: gw; no change of the catalogue */
};
struct call_event {
    enum call_event_op op;
    int64_t rev;
    int64_t timeout_ms;
    struct slice corr, gw, exec, name, body;
};
bool call_event_parse(struct slice payload, struct call_event *out);

#endif
