/* Names of keys and channels. Everything of a name hangs on its root, `<prefix>{<name>}`, which is what the functions get as
 * KEYS[1]; docs/redis-api.md lists what lies below it. Its channel is the root too, in a database other than 0 with the number
 * behind it, since pub/sub knows no databases: `<prefix>{<name>}@3`. No root ends so, and the braces still choose the slot. */
#ifndef SYNCGATE_REDIS_KEYS_H
#define SYNCGATE_REDIS_KEYS_H

#include "protocol/base/slice.h"

enum {
    KEYS_NAME_MAX = 512,  /* bytes of a name */
    KEYS_PREFIX_MAX = 64, /* bytes of a prefix */
    KEYS_DB_MAX = 12      /* bytes that a channel may be longer than the root */
};

/* keys_prefix_fault: why this cannot be a prefix, a static sentence; NULL when it can: 1 to KEYS_PREFIX_MAX bytes without braces, which
 * set the name off, without @, which sets the database off, and without spaces and control characters. */
const char *keys_prefix_fault(const char *prefix);
/* keys_name_fits: 1 to KEYS_NAME_MAX bytes without braces and NUL; that it is UTF-8 is the dialect's to check. */
bool keys_name_fits(struct slice name);
/* keys_root writes `<prefix>{<name>}` and returns its length; 0 when the name does not fit or `size` is too small. */
size_t keys_root(struct slice prefix, struct slice name, char *out, size_t size);
/* keys_channel writes the channel of what happens to the keys of `root` in database `db`; `out` may be where the root is. Returns
 * its length; 0 when root.len is 0 or `size` is too small. */
size_t keys_channel(struct slice root, int db, char *out, size_t size);

#endif
