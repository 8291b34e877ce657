/* Who may use what lies under /admin/: the holder of a token with `admin: true`, and whoever is on this machine and certainly
 * did not come through a balancer or out of a web page of somebody else's. */
#ifndef SYNCGATE_GATEWAY_ACCESS_ADMIN_H
#define SYNCGATE_GATEWAY_ACCESS_ADMIN_H

#include <stdbool.h>
#include "gateway/access/grants.h"

#define ADMIN_AREA "/admin/"

/* What is asked of a request. */
struct admin_request {
    const struct grants *grants; /* NULL: it showed an unknown token; anonymous: it showed none */
    bool local;                  /* the socket comes from loopback or is a unix socket */
    bool forwarded;              /* it carries a header of proxies */
    const char *host;            /* "" when missing */
    const char *origin;          /* NULL when missing */
    const char *fetch_site;      /* Sec-Fetch-Site, NULL when missing */
    bool action;                 /* it would change something: a POST */
};

enum admin_verdict {
    ADMIN_ALLOWED,
    ADMIN_UNKNOWN,   /* a good token is needed: 401 */
    ADMIN_FORBIDDEN, /* the token is good and not an admin's: 403 */
    ADMIN_ELSEWHERE  /* a page of another origin wants to change something: 403, whatever token it shows */
};

/* admin_judge decides. A token decides alone; without one the request has to come from this machine (local, not forwarded), to
 * be addressed to it by name (Host is localhost, 127.0.0.1, [::1] or `unix`, so that a name which a stranger points at
 * 127.0.0.1 opens nothing), and a page that causes it (Origin, Sec-Fetch-Site) has to be of the same host and port. For an action
 * the latter holds with a token too. */
enum admin_verdict admin_judge(const struct admin_request *r);

#endif
