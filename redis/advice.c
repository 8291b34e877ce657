/* Errors by how they begin. */
#include "redis/advice.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *begins, *sentence;
} errors[] = {
    {"WRONGPASS", "wrong user or password (WRONGPASS): look at the URL of --redis, redis://user:password@host"},
    {"NOAUTH", "it wants a password (NOAUTH): --redis redis://user:password@host, or redis://:password@host"},
    {"ERR AUTH <password> called without", "it has no password, but the URL of --redis names one: leave it away"},
    {"ERR Client sent AUTH, but no password", "it has no password, but the URL of --redis names one: leave it away"},
    {"ERR DB index is out of range",
     "it has no such database: see the number at the end of --redis, and `databases` of Redis"},
    {"ERR unknown command `HELLO`", "it does not know HELLO, so it is Redis 5 or older: Redis 7.0 or newer is needed"},
    {"ERR unknown command 'HELLO'", "it does not know HELLO, so it is Redis 5 or older: Redis 7.0 or newer is needed"},
    {"ERR unknown command",
     "it lacks a command, so it is too old, or the command was renamed: Redis 7.0 or newer is needed"},
    {"DENIED", "it is in protected mode and takes nobody from elsewhere: give it a password, or `bind` it"},
    {"ERR max number of clients", "it has no room for one more client: raise its `maxclients`"},
    {"LOADING", "it is still loading its data"},
};

void advice_error(struct slice error, char out[ADVICE_MAX])
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        size_t len = strlen(errors[i].begins);
        if (error.len >= len && memcmp(error.ptr, errors[i].begins, len) == 0) {
            snprintf(out, ADVICE_MAX, "%s", errors[i].sentence);
            return;
        }
    }
    snprintf(out, ADVICE_MAX, "%.*s", (int)error.len, error.ptr);
}

struct slice advice_field(const struct reply *hello, const char *key)
{
    for (size_t i = 0; i + 1 < hello->len; i += 2) {
        if (slice_eq(reply_at(hello, i)->text, slice_str(key)))
            return reply_at(hello, i + 1)->text;
    }
    return SLICE_NONE;
}

/* The first number of a version; -1 when there is none, which says nothing. */
static int64_t major_of(struct slice version)
{
    struct slice head;
    int64_t number;
    return slice_cut(&version, '.', &head) && slice_i64(head, &number) ? number : -1;
}

bool advice_hello(const struct reply *hello, char out[ADVICE_MAX])
{
    struct slice version = advice_field(hello, "version");
    int64_t major = major_of(version);
    if (hello->type != REPLY_ARRAY)
        snprintf(out, ADVICE_MAX, "it does not speak Redis' protocol");
    else if (slice_eq(advice_field(hello, "role"), SLICE_LIT("replica")))
        snprintf(out, ADVICE_MAX, "it is a replica");
    else if (major >= 0 && major < ADVICE_MAJOR_MIN)
        snprintf(out, ADVICE_MAX, "it is Redis %.*s, which is too old: 7.0 or newer is needed",
                 (int)(version.len < 32 ? version.len : 32), version.ptr);
    else
        return true;
    return false;
}
