/* Who a client is when the connection comes from a proxy: the proxies that are trusted (--trusted-proxy), and what their
 * X-Forwarded-For says. Pure. */
#ifndef SYNCGATE_GATEWAY_ACCESS_FORWARDED_H
#define SYNCGATE_GATEWAY_ACCESS_FORWARDED_H

#include "gateway/access/remote.h"

/* forwarded_check: NULL when the text names proxies to trust: `10.0.0.0/8`, `2001:db8::/32`, one address, or `unix` for
 * those that come through a unix socket. Else a static sentence. */
const char *forwarded_check(const char *text);

/* forwarded_trusts: is this one of them? */
bool forwarded_trusts(const char *const *trusted, size_t trusted_len, const struct remote *r);

/* forwarded_client decides who the client is. `trusted` are texts that forwarded_check found good, `peer` is at the other end
 * of the socket, `header` the value of X-Forwarded-For (several headers joined by commas; empty: none).
 *
 * Every proxy appends the address it was called from. So the list is read from its end, as long as the one who reported is
 * trusted: the answer is the first address that is not a trusted proxy's. What stands left of that is hearsay. An entry that
 * is no address (`unknown`, an obfuscated name, junk) ends the reading: the answer is the proxy that reported it. A port
 * behind an address is left out. */
struct remote forwarded_client(const char *const *trusted, size_t trusted_len, struct remote peer, struct slice header);

#endif
