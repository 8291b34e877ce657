/* What the parts of a process say of themselves, as one answer. */
#include "gateway/lifecycle/ready.h"

#include "gateway/lifecycle/probe.h"

const char *ready_refusal(const struct gateway *g)
{
    if (g->draining)
        return "draining";
    if (!g->redis_up)
        return "redis away";
    return probe_unready(g->probe);
}
