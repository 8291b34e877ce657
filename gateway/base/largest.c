/* See the header. */
#include "gateway/base/largest.h"

void largest_consider(struct largest *t, const void *what, int64_t size)
{
    if (t->len == t->limit && size <= t->size[t->limit - 1])
        return;
    size_t at = t->len < t->limit ? t->len++ : t->limit - 1;
    for (; at > 0 && t->size[at - 1] < size; at--) {
        t->what[at] = t->what[at - 1];
        t->size[at] = t->size[at - 1];
    }
    t->what[at] = what;
    t->size[at] = size;
}
