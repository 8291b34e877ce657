/* A pure function of what is known about a request; http.c collects that. */
#include "gateway/access/admin.h"

#include <string.h>

#include "gateway/access/origin.h"

/* What a browser says about the page behind a request that carries no Origin, such as that for a picture: only its own pages and
 * the address bar (`none`) may ask. Other programs say nothing. */
static bool is_of_own_page(const struct admin_request *r)
{
    if (r->origin && !origin_is_of(r->origin, r->host))
        return false;
    return !r->fetch_site || strcmp(r->fetch_site, "same-origin") == 0 || strcmp(r->fetch_site, "none") == 0;
}

static bool is_from_here(const struct admin_request *r)
{
    return r->local && !r->forwarded && origin_is_local(r->host) && is_of_own_page(r);
}

enum admin_verdict admin_judge(const struct admin_request *r)
{
    if (!r->grants)
        return ADMIN_UNKNOWN;
    bool shown = r->grants->token || r->grants->identity;
    if (shown && !r->grants->admin)
        return ADMIN_FORBIDDEN;
    if (shown)
        return r->action && !is_of_own_page(r) ? ADMIN_ELSEWHERE : ADMIN_ALLOWED;
    return is_from_here(r) ? ADMIN_ALLOWED : ADMIN_UNKNOWN;
}
