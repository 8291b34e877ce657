/* Who may do what: glob patterns per verb (`*` any run of characters, `?` one character), for anonymous peers, per token, and for each
 * who shows a signed one. What is denied is denied, whatever grants it. */
#ifndef SYNCGATE_GATEWAY_ACCESS_GRANTS_H
#define SYNCGATE_GATEWAY_ACCESS_GRANTS_H

#include "protocol/base/slice.h"

enum grant { GRANT_SUBSCRIBE, GRANT_CALL, GRANT_WRITE, GRANT_SERVE, GRANT_COUNT };

struct patterns {
    char **globs;
    size_t len;
};

struct options;
struct identity;

/* In a glob: the character behind it stands for itself. No name holds it. */
enum { GLOB_LITERAL = 1 };

/* One holder of grants, part of its options or with an identity of its own; who keeps a pointer holds them (options_hold). */
struct grants {
    struct options *owner;     /* NULL in tests, and when it has an identity */
    struct identity *identity; /* NULL: it is part of the options */
    const char *name;          /* "anonymous" or the token's name, for logs */
    const char *token;         /* NULL for anonymous */
    bool person;               /* name is somebody's who is known */
    bool admin;                /* may use /admin/ */
    bool metrics;              /* may read /metrics from wherever it is */
    struct patterns verbs[GRANT_COUNT];
    struct patterns deny; /* of whatever verb */
};

/* grants_who: the user, by whom connections and calls are counted; NULL: nobody in particular. */
static inline const char *grants_who(const struct grants *g)
{
    return g->token || g->person ? g->name : NULL;
}

bool glob_match(const char *glob, struct slice name);
bool glob_is_literal(const char *glob);
bool grants_allow(const struct grants *g, enum grant verb, struct slice name);

/* patterns_add appends a copy of the glob; grants_deinit frees the patterns (name and token are the owner's) and leaves none. */
void patterns_add(struct patterns *p, const char *glob);
void grants_deinit(struct grants *g);

#endif
