/* Does Redis do for us what clients need of it? Each process publishes a number on a channel of its own again and again, and hears it
 * back through the link that carries all changes; and once a second it reads and writes as it does for clients. Ready is a gateway for
 * which all three went through within the last few seconds. A link that answers and hears nothing is deaf, and is rebuilt. */
#ifndef SYNCGATE_GATEWAY_LIFECYCLE_PROBE_H
#define SYNCGATE_GATEWAY_LIFECYCLE_PROBE_H

#include "gateway/core/core.h"

struct probe;

enum probe_kind { PROBE_READ, PROBE_WRITE, PROBE_MESSAGE, PROBE_KINDS };

/* beat writes the record of this gateway to Redis as it is now, and calls cb (may be NULL) with the answer: the write of the probe. */
typedef void probe_beat_fn(struct gateway *g, store_write_fn *cb, void *arg);

struct probe *probe_new(struct gateway *g, probe_beat_fn *beat);
/* probe_leave ends the probing while the link is still there; probe_free comes after link_free, when no answer can come. */
void probe_leave(struct probe *p);
void probe_free(struct probe *p);
/* The Redis link came up and its channels are subscribed again. */
void probe_on_up(struct probe *p);
/* probe_second: call once a second. */
void probe_second(struct probe *p);
/* probe_unready: what of the three is missing, "deaf" from the discovery until something is heard again, NULL when nothing is. */
const char *probe_unready(const struct probe *p);
/* probe_silence_us: since a probe of this kind last went through, at first since the start. */
int64_t probe_silence_us(const struct probe *p, enum probe_kind kind);

#endif
