/* The largest of many, in order, without sorting them: an insertion into a short list that is full of larger ones ends at its last
 * place. */
#ifndef SYNCGATE_GATEWAY_BASE_LARGEST_H
#define SYNCGATE_GATEWAY_BASE_LARGEST_H

#include <stddef.h>
#include <stdint.h>

enum { LARGEST_MAX = 256 };

struct largest {
    size_t limit, len;             /* limit: 1 to LARGEST_MAX */
    const void *what[LARGEST_MAX]; /* borrowed, largest first; of equals the one that came first */
    int64_t size[LARGEST_MAX];
};

void largest_consider(struct largest *t, const void *what, int64_t size);

#endif
