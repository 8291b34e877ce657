/* Whom this process turned away lately, and why: requests and upgrades by their HTTP status, connections by the code they
 * were closed with. A ring of fixed size; what repeats is counted in its place. */
#ifndef SYNCGATE_GATEWAY_OBSERVE_REJECTS_H
#define SYNCGATE_GATEWAY_OBSERVE_REJECTS_H

#include "gateway/base/jsonw.h"

enum { REFUSALS_KEPT = 128 };

struct refusals;

struct refusals *refusals_new(void);
void refusals_free(struct refusals *r);
/* refusals_add takes note; everything is copied and cut. code: a status or a close code. `subject` is what was asked for, or
 * which connection it was. Never a token: a path comes without its query. */
void refusals_add(struct refusals *r, int code, const char *remote, const char *subject, const char *why);
/* refusals_count adds to the metric by reason, for a status that says which; 0 and 1 as in porch.h. Others have counters where they are
 * decided. */
void refusals_count(unsigned status);
/* refusals_closed: is this a close code that belongs here? Not those of an ordinary end. */
bool refusals_closed(int code);
/* refusals_write writes the members `total` and `refusals` (newest first) into an open object. */
void refusals_write(const struct refusals *r, struct jsonw *w);

#endif
