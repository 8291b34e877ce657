/* The head of an HTTP request, before anybody takes it apart: is it whole, and is it one that the rest of the program can read?
 * Bytes in, verdict out. */
#ifndef SYNCGATE_GATEWAY_NET_HEAD_H
#define SYNCGATE_GATEWAY_NET_HEAD_H

#include "protocol/base/slice.h"

enum {
    HEAD_BYTES_MAX = 16 * 1024, /* request line and header fields */
    HEAD_FIELDS_MAX = 80,       /* header fields and arguments of the query together */
    HEAD_BODY_MAX = 64 * 1024   /* bytes that a POST may announce */
};

enum head_verdict {
    HEAD_MORE,   /* its end has not come yet */
    HEAD_WHOLE,  /* it may go on */
    HEAD_REFUSED /* status and why tell the reason */
};

struct head {
    unsigned status; /* HEAD_REFUSED: of the answer */
    const char *why; /* HEAD_REFUSED: a static sentence */
    /* Parts of `bytes`, as far as they were read; ptr NULL where they were not. */
    struct slice path;          /* without the query: that may hold a token */
    struct slice forwarded_for; /* the value of X-Forwarded-For (the last one) */
};

/* head_judge looks at what has come so far (from the first byte on; at most HEAD_BYTES_MAX + 1 are needed). A body is refused here
 * already, unless it is a POST's: nobody waits for one that nobody wants. */
enum head_verdict head_judge(struct slice bytes, struct head *out);

#endif
