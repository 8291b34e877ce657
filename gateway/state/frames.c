/* The first dialect lies in place, others in a list behind it. */
#include "gateway/state/frames.h"

#include "protocol/base/alloc.h"

struct frame *frames_find_more(const struct frames *fs, const struct dialect *d)
{
    while (fs && fs->dialect != d)
        fs = fs->more;
    return fs ? fs->frame : NULL;
}

struct frame *frames_put(struct frames *fs, const struct dialect *d, struct frame *f)
{
    if (fs->frame) {
        struct frames *more = sg_calloc(1, sizeof(*more));
        more->more = fs->more;
        fs->more = more;
        fs = more;
    }
    fs->dialect = d;
    fs->frame = f;
    return f;
}

void frames_clear(struct frames *fs)
{
    struct frames *more = fs->more, *next;
    frame_unref(fs->frame);
    for (; more; more = next) {
        next = more->more;
        frame_unref(more->frame);
        free(more);
    }
    *fs = (struct frames){.frame = NULL};
}
