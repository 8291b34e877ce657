/* The one place that spells keys: the braces make all keys of a name share a slot of Redis Cluster.
 * A name holds no braces, so its root cannot be mistaken for another's. */
#include "redis/keys.h"

#include <stdio.h>

const char *keys_prefix_fault(const char *prefix)
{
    size_t len = strlen(prefix);
    if (len == 0 || len > KEYS_PREFIX_MAX)
        return "a prefix has 1 to 64 bytes";
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)prefix[i] <= ' ' || prefix[i] == 0x7f || strchr("{}@", prefix[i]))
            return "a prefix holds no braces, @, spaces or control characters";
    return NULL;
}

bool keys_name_fits(struct slice name)
{
    return name.len >= 1 && name.len <= KEYS_NAME_MAX && !memchr(name.ptr, '{', name.len) &&
           !memchr(name.ptr, '}', name.len) && !memchr(name.ptr, '\0', name.len);
}

size_t keys_root(struct slice prefix, struct slice name, char *out, size_t size)
{
    size_t len = prefix.len + name.len + 2;
    if (!keys_name_fits(name) || len > size)
        return 0;
    if (prefix.len > 0)
        memcpy(out, prefix.ptr, prefix.len);
    out[prefix.len] = '{';
    memcpy(out + prefix.len + 1, name.ptr, name.len);
    out[len - 1] = '}';
    return len;
}

size_t keys_channel(struct slice root, int db, char *out, size_t size)
{
    char number[KEYS_DB_MAX + 1];
    size_t len = db == 0 ? 0 : (size_t)snprintf(number, sizeof(number), "@%d", db);
    if (root.len == 0 || root.len + len > size)
        return 0;
    memmove(out, root.ptr, root.len);
    memcpy(out + root.len, number, len);
    return root.len + len;
}
