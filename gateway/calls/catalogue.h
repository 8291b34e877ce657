/* The live functions of the fleet: a replica of what Redis holds, read as a list and then kept by events, each with the next
 * revision. Clients are told what appears and ends, as far as they may call it. */
#ifndef SYNCGATE_GATEWAY_CALLS_CATALOGUE_H
#define SYNCGATE_GATEWAY_CALLS_CATALOGUE_H

#include "gateway/net/conn.h"
#include "redis/change.h"

struct catalogue;

/* catalogue_new: empty until somebody has it read. */
struct catalogue *catalogue_new(struct gateway *g);
void catalogue_free(struct catalogue *k);

/* The sweep interval of the options changed. */
void catalogue_retime(struct catalogue *k);

/* catalogue_read asks Redis for the list, and again when one is on its way that may be too old. Meanwhile no event is followed:
 * the answer holds them. */
void catalogue_read(struct catalogue *k);
/* catalogue_follow applies one event to the replica, or reads it again when one before it was lost. */
void catalogue_follow(struct catalogue *k, const struct call_event *e);

/* catalogue_heard: Redis told its revision, whose events follow at once. False: it is older than the replica, so Redis went
 * back. */
bool catalogue_heard(struct catalogue *k, int64_t rev);
/* catalogue_back: Redis went back since this was asked last, as its events or its list tell: who is registered may be forgotten. */
bool catalogue_back(struct catalogue *k);
/* catalogue_gap: what was heard of last time never came. */
bool catalogue_gap(const struct catalogue *k);

bool catalogue_has(const struct catalogue *k, struct slice name);
size_t catalogue_count(const struct catalogue *k);

/* catalogue_map: the live functions by name, to be looked at. */
const struct map *catalogue_map(const struct catalogue *k);

/* catalogue_tell sends a connection `subscribe` for every live function it may call. */
void catalogue_tell(const struct catalogue *k, struct conn *c);
/* catalogue_retell: its grants were `old` until now; it is told of functions it may call from now on, or no longer. */
void catalogue_retell(const struct catalogue *k, struct conn *c, const struct grants *old);

#endif
