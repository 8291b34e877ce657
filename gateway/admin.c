/* A pure function of what is known about a request; http.c collects that. */
#include "gateway/admin.h"

#include <string.h>
#include <strings.h>

/* Whether `host` is a name of this machine, with a port or without. */
static bool is_local_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]", "unix"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t len = strlen(names[i]);
        if (strncasecmp(host, names[i], len) != 0)
            continue;
        const char *port = host + len;
        if (*port == '\0' || (*port == ':' && strspn(port + 1, "0123456789") == strlen(port + 1)))
            return true;
    }
    return false;
}

/* Whether a page of this origin is a page of that host. */
static bool is_same_origin(const char *origin, const char *host)
{
    const char *authority = strstr(origin, "://");
    return authority && strcasecmp(authority + 3, host) == 0;
}

static bool is_from_here(const struct admin_request *r)
{
    return r->local && !r->forwarded && is_local_name(r->host) && (!r->origin || is_same_origin(r->origin, r->host));
}

enum admin_verdict admin_judge(const struct admin_request *r)
{
    if (!r->grants)
        return ADMIN_UNKNOWN;
    if (r->grants->token)
        return r->grants->admin ? ADMIN_ALLOWED : ADMIN_FORBIDDEN;
    return is_from_here(r) ? ADMIN_ALLOWED : ADMIN_UNKNOWN;
}
