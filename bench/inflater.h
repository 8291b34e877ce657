/* Decompresses messages of permessage-deflate without context takeover. A broadcast reaches every client with the same bytes:
 * those are decompressed once. */
#ifndef SYNCGATE_BENCH_INFLATER_H
#define SYNCGATE_BENCH_INFLATER_H

#include "bench/bytes.h"

struct inflater;

struct inflater *inflater_new(void);
void inflater_free(struct inflater *i);
/* inflater_message: the message, valid until the next call. False when the bytes are not what they should be. */
bool inflater_message(struct inflater *i, const char *p, size_t len, const char **out, size_t *out_len);

#endif
