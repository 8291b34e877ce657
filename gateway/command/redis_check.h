/* Whether a Redis is what gateways need: version, library, rights, settings. Looks as the user of --redis, which may be allowed
 * little; what it cannot see is said. */
#ifndef SYNCGATE_GATEWAY_COMMAND_REDIS_CHECK_H
#define SYNCGATE_GATEWAY_COMMAND_REDIS_CHECK_H

#include "gateway/command/findings.h"
#include "gateway/config/options.h"
#include "redis/talk.h"

/* What is left behind by nobody: keys and channels of one check begin with `<prefix>@{selftest:RANDOM}`. */
struct redis_check {
    const struct options *options;
    struct findings *findings;
    struct link_config config;
    struct talk *talk;
    char root[128];
    bool lacks_rights;
    bool has_library; /* of our version or a newer one */
};

/* redis_check_begin connects and looks at the version. False when it is not there or cannot be used; redis_check_end in any case. */
bool redis_check_begin(struct redis_check *c, const struct options *o, struct findings *f);
/* redis_check_all: library, rights and settings. */
void redis_check_all(struct redis_check *c);
void redis_check_end(struct redis_check *c);

#endif
