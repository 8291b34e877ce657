/* Asking a gateway that runs over HTTP, for the parts of the program that only ask (--healthcheck, --top): one request, one
 * connection, waiting. http, https and unix sockets. */
#ifndef SYNCGATE_GATEWAY_COMMAND_FETCH_H
#define SYNCGATE_GATEWAY_COMMAND_FETCH_H

#include "gateway/config/options.h"
#include "protocol/base/buf.h"

/* Where to ask and what for. */
struct fetch_place {
    char host[256];    /* a name or a literal address without brackets; "" for a socket */
    char port[8];      /* decimal */
    char socket[108];  /* the path of a unix socket, `@` in front of an abstract one; "" for a host */
    char target[1024]; /* "/healthz" */
    bool tls;
    bool verify; /* the certificate; not on this machine, where nobody stands between */
};

enum { FETCH_WHY_MAX = 200, FETCH_BODY_MAX = 16 << 20 };

/* fetch_parse reads http[s]://HOST[:PORT][/TARGET], or a listen address as the option keeps it (ADDR:PORT, [V6]:PORT, unix:PATH; a
 * wildcard address means loopback), which has no target of its own and then gets this one. Returns what is wrong, or NULL. */
const char *fetch_parse(const char *text, const char *target, struct fetch_place *out);
/* fetch_place: the place that the options name: their URL, or else the first listen address, with TLS when they have a
 * certificate. *text is what it was read from, borrowed. */
const char *fetch_place(const struct options *o, const char *target, struct fetch_place *out, const char **text);

/* fetch_get asks for place->target, with `Authorization: Bearer` when token is not NULL. Returns the status, and puts the body into
 * `body` (which was initialized) unless that is NULL; 0 and a sentence in why when there is no answer in HTTP. until_ms: see
 * redis/dial.h. */
int fetch_get(const struct fetch_place *place, const char *token, int64_t until_ms, struct buf *body,
              char why[FETCH_WHY_MAX]);

#endif
