/* The reads of names' states that are in flight, bounded in number and bytes, and those that wait to be. Redis keeps an answer in a
 * buffer until it is taken, together with everything that is published, and cuts a link whose buffer grows over a limit: a gateway
 * that asked for all it holds at once would never come back. Every read is told how large its answer may be (`room`), so the bound
 * holds whatever Redis has. */
#ifndef SYNCGATE_GATEWAY_STATE_READS_H
#define SYNCGATE_GATEWAY_STATE_READS_H

#include "protocol/base/list.h"

enum {
    READS_MAX = 512,                /* in flight */
    READS_WINDOW_MAX = 1024 * 1024, /* bytes of the answers in flight; a single larger one goes alone */
    READS_WINDOW_MIN = 64 * 1024,
    READS_WINDOWS_REGAIN = 256,   /* so many windows answered without a loss, and it doubles again */
    READS_ROOM_FIRST = 16 * 1024, /* what an answer of unknown size may take; a larger one is asked for again */
    READS_ROOM_EXTRA = 512,       /* beside what is expected, and a quarter of that: names grow */
    READS_CULPRIT = 64 * 1024,    /* a link is not lost over a single answer smaller than this */
    READS_BLAME_MAX = 4
};

struct reads {
    struct list _urgent, _later; /* struct read: somebody waits for it; nobody does */
    struct list _in_flight;
    size_t _bytes;      /* of their room */
    size_t _window;     /* halved when the link was lost over it */
    size_t _since_loss; /* bytes of room answered since it was halved or doubled */
    unsigned _turn;
};

/* Of one name; at most one is in flight. All zero is a good start. */
struct read {
    struct list_node _node;
    struct list *_in;
    size_t expect;  /* bytes its next answer needs, as far as is known; 0: not known */
    size_t room;    /* in flight: bytes that the answer may take */
    unsigned blame; /* for lost links; while there is any it is read alone */
};

void reads_init(struct reads *r);
/* reads_want: it waits for its turn. urgent: before those that are not, all but a share. No-op in flight; one that waits already
 * may become urgent. */
void reads_want(struct reads *r, struct read *one, bool urgent);
/* reads_next takes the next one that may go now; NULL: none. It is in flight then. */
struct read *reads_next(struct reads *r);
/* reads_done: it is neither in flight nor waiting any more: it was answered, or is not wanted. */
void reads_done(struct reads *r, struct read *one);
/* reads_lost: the link was lost with what is in flight, and nothing is in flight nor waits any more. Returns a read that killed the
 * link again although it was alone, and would do so for ever; NULL: none. */
struct read *reads_lost(struct reads *r);

#endif
