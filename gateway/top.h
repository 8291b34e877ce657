/* The largest of many, in order, without sorting them: an insertion into a short list that is full of larger ones ends at its last
 * place. */
#ifndef SYNCGATE_GATEWAY_TOP_H
#define SYNCGATE_GATEWAY_TOP_H

#include <stddef.h>
#include <stdint.h>

enum { TOP_MAX = 256 };

struct top {
    size_t limit, len;         /* limit: 1 to TOP_MAX */
    const void *what[TOP_MAX]; /* borrowed, largest first; of equals the one that came first */
    int64_t size[TOP_MAX];
};

void top_consider(struct top *t, const void *what, int64_t size);

#endif
