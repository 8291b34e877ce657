/* How many connections and calls a user has: --connections-per-user, --calls-per-user. Who somebody is, grants_who says; who is nobody
 * in particular is not counted. Of one process: each worker counts its own. */
#ifndef SYNCGATE_GATEWAY_NET_USERS_H
#define SYNCGATE_GATEWAY_NET_USERS_H

#include "gateway/net/conn.h"

struct user;

struct users *users_new(void);
void users_free(struct users *us); /* NULL is allowed; connections must be gone */

/* users_refusal: NULL when one more connection with these grants may be there; else a static sentence about why not, and it is counted. */
const char *users_refusal(const struct users *us, const struct options *opt, const struct grants *grants);
/* users_enter: c->grants are new. users_leave: they go, or the connection does. */
void users_enter(struct conn *c);
void users_leave(struct conn *c);

/* users_calls_full: the user of this connection waits for as many calls as it may; that is counted. */
bool users_calls_full(const struct conn *c);
/* users_call_begins: one more. What it returns (NULL: it does not count) is for users_call_ends, once. */
struct user *users_call_begins(const struct conn *c);
void users_call_ends(struct gateway *g, struct user *u);

#endif
