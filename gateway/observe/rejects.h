/* Whom this process turned away lately, and why: requests and upgrades by their HTTP status, connections by the code they
 * were closed with. A ring of fixed size; what repeats is counted in its place. */
#ifndef SYNCGATE_GATEWAY_OBSERVE_REJECTS_H
#define SYNCGATE_GATEWAY_OBSERVE_REJECTS_H

#include "gateway/base/jsonw.h"

enum { REFUSALS_KEPT = 128 };

struct rejects;

struct rejects *rejects_new(void);
void rejects_free(struct rejects *r);
/* rejects_add takes note; everything is copied and cut. code: a status or a close code. `subject` is what was asked for, or
 * which connection it was. Never a token: a path comes without its query. */
void rejects_add(struct rejects *r, int code, const char *remote, const char *subject, const char *why);
/* rejects_count adds to the metric by reason, for a status that says which; 0 and 1 as in porch.h. Others have counters where they are
 * decided. */
void rejects_count(unsigned status);
/* rejects_closed: is this a close code that belongs here? Not those of an ordinary end. */
bool rejects_closed(int code);
/* rejects_write writes the members `total` and `refusals` (newest first) into an open object. */
void rejects_write(const struct rejects *r, struct jsonw *w);

#endif
