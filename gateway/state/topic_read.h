/* What a topic asks Redis, and what it does when that cannot be had. */
#ifndef SYNCGATE_GATEWAY_STATE_TOPIC_READ_H
#define SYNCGATE_GATEWAY_STATE_TOPIC_READ_H

#include "gateway/state/topic.h"

/* topic_want_read reads from Redis again, when it is this topic's turn (reads.h), unless a read is in flight or the link is away (then
 * its return does). */
void topic_want_read(struct topic *t);
/* topic_read_begins, topic_read_ends: bookkeeping around a read. The answer may take topic_room bytes; larger: bytes that it had no room
 * for, 0: none. t->read.expect is the kind's to keep. False: there is nothing in it to be used; what has to follow is done. */
void topic_read_begins(struct topic *t);
size_t topic_room(const struct topic *t);
bool topic_read_ends(struct topic *t, const struct store_result *r, size_t larger);
/* topic_found: what the read says is of this revision; the topic is READY. True: Redis went back, so revisions that were told are of
 * another life. */
bool topic_found(struct topic *t, int64_t rev);
/* topic_healed: the state was read; true when it had been called void, so that all have to be told it whole. */
bool topic_healed(struct topic *t);
/* topic_retry_later: in a second. */
void topic_retry_later(struct topic *t);
/* topic_refused: Redis refuses what we need of this name; `error` is what it said. */
void topic_refused(struct topic *t, struct slice error);
/* topic_missed: a change was lost; serve the old state and read again: at once, unless that was in vain very often. */
void topic_missed(struct topic *t, enum read_reason why);
/* topics_link_down: every name may change unheard from now on. Call it after the reads that were in flight got their answer. */
void topics_link_down(struct topics *r);

#endif
