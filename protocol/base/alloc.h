/* Allocation of what is small and ours: running out of memory there aborts, so callers need no error path.
 * Whatever a peer sizes is bounded by its caller first. Free with free(). */
#ifndef SYNCGATE_PROTOCOL_BASE_ALLOC_H
#define SYNCGATE_PROTOCOL_BASE_ALLOC_H

#include <stddef.h>
#include <stdlib.h>

void *sg_malloc(size_t size);
void *sg_calloc(size_t count, size_t size);
/* sg_realloc: as realloc, aborts on failure; size must not be 0. */
void *sg_realloc(void *old, size_t size);
/* sg_memdup returns a NUL-terminated copy of len bytes. */
char *sg_memdup(const void *bytes, size_t len);
/* sg_text returns a copy of a text. */
char *sg_text(const char *text);

#endif
