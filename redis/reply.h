/* A Redis reply as a tree in an arena: built by the RESP reader, read by store and hub, gone with the next reply. */
#ifndef SYNCGATE_REDIS_REPLY_H
#define SYNCGATE_REDIS_REPLY_H

#include "protocol/base/slice.h"

enum reply_type {
    REPLY_NIL,
    REPLY_INTEGER,
    REPLY_STRING, /* bulk, status, verbatim, double and big number texts */
    REPLY_ERROR,
    REPLY_BOOL,   /* integer 0 or 1 */
    REPLY_ARRAY,  /* arrays, sets, and maps as a flat array of keys and values */
    REPLY_PUSH
};

struct reply {
    enum reply_type type;
    int64_t integer;
    struct slice text;            /* REPLY_STRING, REPLY_ERROR */
    const struct reply *const *elements; /* REPLY_ARRAY, REPLY_PUSH */
    size_t len;
};

/* reply_at returns element i, or a shared nil reply when there is none: readers of untrusted shapes need no ladder. */
const struct reply *reply_at(const struct reply *r, size_t i);

#endif
