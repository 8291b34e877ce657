/* A conversation with Redis that waits for each answer: for a program that looks at a Redis and ends. Not for gateways, which have
 * links. Greets as a link does (HELLO 3, AUTH, SELECT). */
#ifndef SYNCGATE_REDIS_TALK_H
#define SYNCGATE_REDIS_TALK_H

#include "redis/link.h"

enum { TALK_WHY_MAX = 200 };

struct talk;

/* What HELLO told. */
struct talk_server {
    char name[32], version[32], mode[32];
};

/* talk_open connects and greets. NULL, and a sentence in why, when it cannot; *answered: somebody answered all the same. */
struct talk *talk_open(const struct link_config *config, bool *answered, char why[TALK_WHY_MAX]);
void talk_close(struct talk *t);
const struct talk_server *talk_server(const struct talk *t);

/* talk_say sends a command; talk_hear waits for the next answer, in the order of the commands. Pushes are for talk_push: each
 * throws away what is the other's, but that an error ends both. NULL when nothing came in time or the connection is lost, for good;
 * see talk_why. The reply is valid until the next call. */
void talk_say(struct talk *t, size_t argc, const struct slice *argv);
const struct reply *talk_hear(struct talk *t);
const struct reply *talk_push(struct talk *t);
const char *talk_why(const struct talk *t);
/* talk_ask says words, which end with NULL, and hears the answer. */
const struct reply *talk_ask(struct talk *t, const char *const *words);
#define TALK_ASK(t, ...) talk_ask((t), (const char *const[]){__VA_ARGS__, NULL})

#endif
