/* The dialects that are spoken, and where. */
#ifndef SYNCGATE_PROTOCOL_DIALECTS_H
#define SYNCGATE_PROTOCOL_DIALECTS_H

#include "protocol/dialect.h"

/* Ends with NULL. Where two are spoken at one path, the first is what a client gets that offers no sub-protocol. */
extern const struct dialect *const dialects[];

/* What is spoken with a client. */
struct dialect_match {
    const struct dialect *dialect;
    const char *subprotocol; /* to be selected; NULL: none */
    struct slice room;       /* behind the route's path; borrowed from it */
};

/* dialects_match: `path` is percent-decoded and without a query. offered: the value of Sec-WebSocket-Protocol, empty when there is
 * none. Of several routes that fit the path the one counts whose sub-protocol the client names first; of none that it names, the first.
 * False: nothing is spoken there. */
bool dialects_match(struct slice path, struct slice offered, struct dialect_match *out);

/* dialects_serve: is anything spoken at this path? */
bool dialects_serve(struct slice path);

#endif
