/* Does what is published reach us? Each process publishes a number on a channel of its own again and again, and hears it back
 * through the link that carries all changes. A link that answers and hears nothing is deaf: the gateway is not ready, and the link is
 * rebuilt. */
#ifndef SYNCGATE_GATEWAY_PROBE_H
#define SYNCGATE_GATEWAY_PROBE_H

#include "gateway/core.h"

struct probe;

struct probe *probe_new(struct gateway *g);
/* probe_leave ends the probing while the link is still there; probe_free comes after link_free, when no answer can come. */
void probe_leave(struct probe *p);
void probe_free(struct probe *p);
/* The Redis link came up and its channels are subscribed again. */
void probe_on_up(struct probe *p);
/* probe_deaf: from the discovery until something is heard again. */
bool probe_deaf(const struct probe *p);
/* probe_silence_us: since a probe was last heard back, at first since the start. */
int64_t probe_silence_us(const struct probe *p);

#endif
