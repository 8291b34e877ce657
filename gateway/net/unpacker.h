/* When compressed messages are decompressed. A kilobyte can become a megabyte, milliseconds of the loop, so there is a budget: for each
 * connection by the second, for all of them together by the turn. Whoever is over it waits with its message, and is not read from. */
#ifndef SYNCGATE_GATEWAY_NET_UNPACKER_H
#define SYNCGATE_GATEWAY_NET_UNPACKER_H

#include "gateway/core/core.h"

struct conn;

/* on_due: the time of a message that waits has come. */
struct unpacker *unpacker_new(struct gateway *g, void (*on_due)(struct conn *c));
void unpacker_free(struct unpacker *u); /* after the connections */

/* unpacker_admits: its message may be decompressed now; unpacker_charge then says how many bytes came out. If not: unpacker_wait, and
 * on_due is called when its time has come. */
bool unpacker_admits(struct unpacker *u, const struct conn *c);
void unpacker_charge(struct unpacker *u, struct conn *c, size_t bytes);
void unpacker_wait(struct unpacker *u, struct conn *c);
bool unpacker_waits(const struct conn *c);
/* unpacker_stop: it waits no more. */
void unpacker_stop(struct conn *c);
/* unpacker_forget: the connection goes. */
void unpacker_forget(struct conn *c);

#endif
