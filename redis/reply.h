/* A Redis reply as a tree in an arena: built by the RESP reader, read by store and hub, gone with the next reply. */
#ifndef SYNCGATE_REDIS_REPLY_H
#define SYNCGATE_REDIS_REPLY_H

#include "protocol/base/slice.h"

enum reply_type {
    REPLY_NIL,
    REPLY_INTEGER,
    REPLY_STRING, /* bulk, status, verbatim, double and big number texts */
    REPLY_ERROR,
    REPLY_BOOL,  /* integer 0 or 1 */
    REPLY_ARRAY, /* arrays, sets, and maps as a flat array of keys and values */
    REPLY_PUSH
};

struct reply {
    enum reply_type type;
    int64_t integer;
    struct slice text;                   /* REPLY_STRING, REPLY_ERROR */
    const struct reply *const *elements; /* REPLY_ARRAY, REPLY_PUSH */
    size_t len;
};

/* reply_at returns element i, or a shared nil reply when there is none: readers of untrusted shapes need no ladder. */
const struct reply *reply_at(const struct reply *r, size_t i);

/* reply_i64: the number of a REPLY_INTEGER or of a REPLY_STRING that is canonical decimal text; false for everything else. */
bool reply_i64(const struct reply *r, int64_t *out);

/* --- the reader: RESP3 bytes in, replies out; used by link --- */

enum reply_limits {
    REPLY_DEPTH_MAX = 7,          /* nested arrays, the outermost counts as 1 */
    REPLY_ELEMENTS_MAX = 1 << 20, /* of one array, set or push; pairs of a map */
    REPLY_LINE_MAX = 64 * 1024,   /* status, error, number: whatever ends at a line break */
    REPLY_TEXT_MAX = 512 << 20,   /* one bulk string, as Redis itself */
    REPLY_ARENA_MAX = 576 << 20   /* all memory of one reply */
};

struct reply_reader;

struct reply_reader *reply_reader_new(void);
void reply_reader_free(struct reply_reader *r);
/* reply_reader_feed copies bytes in. Feed about 16 KiB at a time and take all replies in between: the reader moves what is
 * left to the front after each kilobyte that was read. */
void reply_reader_feed(struct reply_reader *r, struct slice bytes);

enum reply_next { REPLY_READY, REPLY_MORE, REPLY_BROKEN };

/* reply_reader_next: REPLY_READY and the next reply, valid until the next call; REPLY_MORE when bytes are missing;
 * REPLY_BROKEN, for ever after, when it is not RESP3 or exceeds a limit: see reply_reader_why. */
enum reply_next reply_reader_next(struct reply_reader *r, const struct reply **out);
const char *reply_reader_why(const struct reply_reader *r);
/* reply_reader_memory: bytes held for the reply tree at this moment (tests look whether a huge reply's memory went back). */
size_t reply_reader_memory(const struct reply_reader *r);

#endif
