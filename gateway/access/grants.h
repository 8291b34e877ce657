/* Who may do what: glob patterns per verb (`*` any run of characters, `?` one character), for anonymous peers and per token. */
#ifndef SYNCGATE_GATEWAY_ACCESS_GRANTS_H
#define SYNCGATE_GATEWAY_ACCESS_GRANTS_H

#include "protocol/base/slice.h"

enum grant { GRANT_SUBSCRIBE, GRANT_CALL, GRANT_WRITE, GRANT_SERVE, GRANT_COUNT };

struct patterns {
    char **globs;
    size_t len;
};

struct options;

/* One holder of grants, part of its options; who keeps a pointer holds them (options_hold). */
struct grants {
    struct options *owner; /* NULL in tests */
    const char *name;      /* "anonymous" or the token's name, for logs */
    const char *token;     /* NULL for anonymous */
    bool admin;            /* may use /admin/ */
    bool metrics;          /* may read /metrics from wherever it is */
    struct patterns verbs[GRANT_COUNT];
};

/* grants_who: the user, by whom connections and calls are counted; NULL: nobody in particular. */
static inline const char *grants_who(const struct grants *g)
{
    return g->token ? g->name : NULL;
}

bool glob_match(const char *glob, struct slice name);
bool glob_is_literal(const char *glob);
bool grants_allow(const struct grants *g, enum grant verb, struct slice name);

/* patterns_add appends a copy of the glob; grants_deinit frees the patterns (name and token are the owner's) and leaves none. */
void patterns_add(struct patterns *p, const char *glob);
void grants_deinit(struct grants *g);

#endif
