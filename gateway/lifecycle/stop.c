/* Measured from the last one that counted, so that a signal that is repeated for ever gets through in the end. */
#include "gateway/lifecycle/stop.h"

int stop_signal(struct stop *s, int number, int64_t now_ms)
{
    if (s->times > 0 && number == s->number && now_ms - s->at_ms < STOP_SAME_MS)
        return 0;
    s->number = number;
    s->at_ms = now_ms;
    return ++s->times;
}
