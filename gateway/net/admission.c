/* The memory is what the kernel says is resident: everything counts, whoever took it. A second is a long time in a storm, so it is
 * read again every few connections too. */
#include "gateway/net/admission.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateway/net/conns.h"
#include "gateway/net/descriptors.h"
#include "gateway/observe/log.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"

enum {
    TAKEN_PER_LOOK = 64, /* connections; with TLS each is some 17 KiB */
    CROWD = 1000         /* connections that leave before their memory is worth looking for */
};

struct admission {
    struct gateway *g;
    int statm; /* /proc/self/statm, open; -1: there is none */
    int64_t page_bytes;
    int64_t resident_bytes;
    unsigned taken; /* since the memory was looked at */
    size_t crowd;   /* most connections since memory was given back */
    bool full;      /* said so in the log */
};

static void look(struct admission *a)
{
    char text[128];
    ssize_t n = a->statm < 0 ? -1 : pread(a->statm, text, sizeof(text) - 1, 0);
    a->taken = 0;
    if (n <= 0)
        return;
    text[n] = '\0';
    char *resident; /* the second number, in pages */
    strtoll(text, &resident, 10);
    a->resident_bytes = strtoll(resident, NULL, 10) * a->page_bytes;
}

struct admission *admission_new(struct gateway *g)
{
    struct admission *a = sg_calloc(1, sizeof(*a));
    a->g = g;
    a->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    a->page_bytes = sysconf(_SC_PAGESIZE);
    look(a);
    return a;
}

void admission_free(struct admission *a)
{
    if (a->statm >= 0)
        close(a->statm);
    free(a);
}

static bool over_budget(const struct admission *a)
{
    int64_t budget = a->g->opt->memory_budget;
    return budget > 0 && a->resident_bytes > budget;
}

static const char *refused(struct admission *a, enum metric reason, const char *why)
{
    metric_add(reason, 1);
    if (!a->full && reason != METRIC_REFUSED_DRAINING)
        log_warn("no more connections are taken why=\"%s\" connections=%zu resident_bytes=%lld", why,
                 a->g->conns->open.count, (long long)a->resident_bytes);
    a->full = true;
    return why;
}

const char *admission_refusal(struct admission *a, int fd)
{
    const struct gateway *g = a->g;
    int64_t max = g->opt->max_connections;
    if (g->closed_doors)
        return refused(a, METRIC_REFUSED_DRAINING, "draining");
    if (max > 0 && g->conns->open.count >= (size_t)max)
        return refused(a, METRIC_REFUSED_MAX_CONNECTIONS, "too many connections");
    if (!descriptors_may_stay(fd))
        return refused(a, METRIC_REFUSED_DESCRIPTORS, "no descriptors left");
    if (g->opt->memory_budget > 0 && ++a->taken >= TAKEN_PER_LOOK)
        look(a);
    if (over_budget(a))
        return refused(a, METRIC_REFUSED_MEMORY, "too little memory");
    return NULL;
}

/* The allocator keeps what connections leave in its heap, where it counts as ours: a gateway over its budget would stay there
 * for ever. Looking for free pages costs milliseconds, so it is done when many have gone. */
static void give_back(struct admission *a)
{
    size_t now = a->g->conns->open.count;
    if (now > a->crowd)
        a->crowd = now;
    bool left = a->crowd >= now + CROWD || (over_budget(a) && a->crowd > now);
    if (!left || (!over_budget(a) && now > a->crowd / 2))
        return;
    malloc_trim(0);
    a->crowd = now;
}

void admission_tick(struct admission *a)
{
    const struct gateway *g = a->g;
    give_back(a);
    look(a);
    bool room =
        (g->opt->max_connections == 0 || g->conns->open.count < (size_t)g->opt->max_connections) && !over_budget(a);
    if (a->full && room && !g->closed_doors && descriptors_left()) {
        a->full = false;
        log_info("connections are taken again connections=%zu resident_bytes=%lld", g->conns->open.count,
                 (long long)a->resident_bytes);
    }
}
