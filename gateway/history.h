/* The figures of the last minutes, of all workers together, one row a second, so that a chart is there when somebody begins to
 * look. */
#ifndef SYNCGATE_GATEWAY_HISTORY_H
#define SYNCGATE_GATEWAY_HISTORY_H

#include "gateway/jsonw.h"

enum { HISTORY_SECONDS = 300 };

struct history;

struct history *history_new(void);
void history_free(struct history *h);
/* history_take adds a row: the figures as they are now. Call about once a second. */
void history_take(struct history *h);
/* history_write writes the member `history` into an open object: the names of the columns, and the rows that are newer than
 * `since_ms` (by the clock since 1970), oldest first. Counters come as they are: differences are the reader's. */
void history_write(const struct history *h, struct jsonw *w, int64_t since_ms);

#endif
