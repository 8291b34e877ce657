/* Who showed a signed token, and what that person may do: what the configuration grants to everybody who is known (`users`), with the
 * person's own words in the places of {user} and others, and what the token itself grants. */
#ifndef SYNCGATE_GATEWAY_ACCESS_IDENTITY_H
#define SYNCGATE_GATEWAY_ACCESS_IDENTITY_H

#include "gateway/access/grants.h"
#include "gateway/access/jwt.h"

/* With its grants one object, counted by those who hold it. The slices lie in memory of its own; ptr NULL: not told. */
struct identity {
    struct grants grants;
    size_t holders;
    struct jwt_claims claims;
    char *memory;
};

/* identity_new: held once by the caller. `users` is read during the call only. NULL when the token grants what cannot be granted: then *why
 * is a static sentence. */
struct identity *identity_new(const struct grants *users, const struct jwt_claims *claims, const char **why);
void identity_hold(struct identity *i);
void identity_release(struct identity *i);

/* NULL when the text is a pattern that may stand under `users`, else a static sentence: braces hold one of the words that are known. The
 * rest of it is judged elsewhere. */
const char *identity_check_places(const char *pattern);

#endif
