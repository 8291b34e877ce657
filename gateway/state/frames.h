/* What is told of one state, as a frame for each dialect that somebody follows it in: made once, when first needed. */
#ifndef SYNCGATE_GATEWAY_STATE_FRAMES_H
#define SYNCGATE_GATEWAY_STATE_FRAMES_H

#include "protocol/base/frame.h"

struct dialect;

/* All zero: there is none. Mostly there is one dialect. */
struct frames {
    struct frame *frame;
    const struct dialect *dialect;
    struct frames *more;
};

struct frame *frames_find_more(const struct frames *fs, const struct dialect *d);
/* frames_find: borrowed; NULL: not made yet. */
static inline struct frame *frames_find(const struct frames *fs, const struct dialect *d)
{
    return fs->dialect == d ? fs->frame : frames_find_more(fs, d);
}
/* frames_put takes the frame over, and returns it. */
struct frame *frames_put(struct frames *fs, const struct dialect *d, struct frame *f);
/* frames_clear: the state is another one. */
void frames_clear(struct frames *fs);

#endif
