/* Names of keys and channels. Everything of a name hangs on its root, `<prefix>{<name>}`, which is the channel too and what
 * the functions get as KEYS[1]; docs/redis-api.md lists what lies below it. */
#ifndef SYNCGATE_REDIS_KEYS_H
#define SYNCGATE_REDIS_KEYS_H

#include "protocol/base/slice.h"

enum {
    KEYS_NAME_MAX = 512,  /* bytes of a name */
    KEYS_PREFIX_MAX = 128 /* bytes of a prefix */
};

/* keys_prefix_valid: at most KEYS_PREFIX_MAX printable ASCII characters without space and braces. May be empty. */
bool keys_prefix_valid(const char *prefix);
/* keys_name_fits: 1 to KEYS_NAME_MAX bytes without braces and NUL; that it is UTF-8 is the dialect's to check. */
bool keys_name_fits(struct slice name);
/* keys_root writes `<prefix>{<name>}` and returns its length; 0 when the name does not fit or `size` is too small. */
size_t keys_root(struct slice prefix, struct slice name, char *out, size_t size);

#endif
