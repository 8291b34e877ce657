/* Allocation that aborts instead of failing, for what is small and ours.
 * A process that cannot get a few hundred bytes has no better move than to be restarted. */
#include "protocol/base/alloc.h"

#include <string.h>

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

void *sg_malloc(size_t size)
{
    return must(malloc(size ? size : 1));
}

void *sg_calloc(size_t count, size_t size)
{
    return must(count && size ? calloc(count, size) : calloc(1, 1));
}

void *sg_realloc(void *old, size_t size)
{
    return must(realloc(old, size));
}

char *sg_memdup(const void *bytes, size_t len)
{
    char *copy = sg_malloc(len + 1);
    if (len)
        memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

char *sg_text(const char *text)
{
    return sg_memdup(text, strlen(text));
}
