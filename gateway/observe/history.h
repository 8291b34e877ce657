/* The figures of the last minutes and of the last hour, of all workers together, one row a second and one in ten seconds, so that
 * a chart is there when somebody begins to look. Its memory is what it is from the start: some 60 KiB. */
#ifndef SYNCGATE_GATEWAY_OBSERVE_HISTORY_H
#define SYNCGATE_GATEWAY_OBSERVE_HISTORY_H

#include "gateway/base/jsonw.h"

enum { HISTORY_SECONDS = 300, HISTORY_COARSE = 10 /* seconds of a row */, HISTORY_COARSE_ROWS = 360 };

struct history;

struct history *history_new(void);
void history_free(struct history *h);
/* history_take adds a row: the figures as they are now; every tenth time one to the hour too. Call about once a second. */
void history_take(struct history *h);
/* history_write writes the member `history` into an open object: the names of the columns, and the rows that are newer than
 * `since_ms` (by the clock since 1970), oldest first; of the minutes or of the hour. Counters come as they are: differences are the
 * reader's. Latencies are those of the changes of the row's time. */
enum history_span { HISTORY_MINUTES, HISTORY_HOUR };
void history_write(const struct history *h, struct jsonw *w, enum history_span span, int64_t since_ms);

#endif
