/* The limit itself is lowered while something is accepted, and raised again: then it does not matter whose code accepts. */
#include "gateway/net/descriptors.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static struct rlimit limit;
static rlim_t reserve;

void descriptors_begin(void)
{
    reserve = 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        reserve = limit.rlim_cur / 8 < DESCRIPTORS_RESERVE ? limit.rlim_cur / 8 : DESCRIPTORS_RESERVE;
}

void descriptors_spare(bool yes)
{
    struct rlimit now = limit;
    if (reserve == 0)
        return;
    now.rlim_cur -= yes ? reserve : 0;
    setrlimit(RLIMIT_NOFILE, &now); /* within what is allowed: it cannot fail */
}

bool descriptors_may_stay(int fd)
{
    return reserve == 0 || (rlim_t)fd < limit.rlim_cur - 2 * reserve;
}

bool descriptors_left(void)
{
    int next = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
    if (next >= 0)
        close(next);
    return next >= 0 && descriptors_may_stay(next);
}
