/* The pauses double. */
#include "gateway/process/waiting.h"

bool waiting_second(struct waiting *w, bool up)
{
    if (up) {
        *w = (struct waiting){.seconds = 0};
        return false;
    }
    if (w->next == 0)
        w->next = WAITING_FIRST_S;
    if (++w->seconds < w->next)
        return false;
    int64_t pause = w->seconds < WAITING_MOST_S ? w->seconds : WAITING_MOST_S;
    w->next = w->seconds + pause;
    return true;
}
