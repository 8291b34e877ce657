/* Which web pages may use this gateway. Browsers let any page open a WebSocket to anywhere, with the rights of whoever looks at the
 * page, and only say in `Origin` whose page it is. Pure. */
#ifndef SYNCGATE_GATEWAY_ACCESS_ORIGIN_H
#define SYNCGATE_GATEWAY_ACCESS_ORIGIN_H

#include <stdbool.h>
#include <stddef.h>

/* What this gateway decided on. */
struct origin_rule {
    const char *const *allowed; /* texts that origin_check found good */
    size_t allowed_len;
    bool dev;      /* --dev: pages of this machine, of whatever port, too */
    bool loopback; /* nobody reaches this gateway from beyond its machine */
};

/* origin_check: NULL when the text is `same-host`, `null`, `*`, or an origin: `https://example.com`, `http://[::1]:8080`, with
 * `*.` before the host for all hosts below it, and `*` as the port for all ports. Else a static sentence. */
const char *origin_check(const char *text);

/* origin_allowed: may a page of `origin` (NULL: no header, so no page of a browser) use what is asked for at `host` (the Host
 * header; "" when missing)? Scheme and host compare without case, a port that is missing is the scheme's.
 *
 * `same-host` allows pages of the host and port that the request is addressed to. Under --dev on loopback only when that is a name
 * of this machine: everything is allowed there, and a name that a stranger points at 127.0.0.1 is the same host to his page. */
bool origin_allowed(const struct origin_rule *rule, const char *origin, const char *host);

/* origin_is_local: is `host`, with a port or without, a name of this machine? origin_is_of: is a page of `origin` one of that
 * host and port? */
bool origin_is_local(const char *host);
bool origin_is_of(const char *origin, const char *host);

#endif
