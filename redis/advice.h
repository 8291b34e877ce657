/* What a Redis has against us at the greeting, in words that tell what to do about it. */
#ifndef SYNCGATE_REDIS_ADVICE_H
#define SYNCGATE_REDIS_ADVICE_H

#include "redis/reply.h"

/* The oldest major version of Redis that will do. */
enum { ADVICE_MAJOR_MIN = 7, ADVICE_MAX = 180 };

/* advice_error: a sentence about an error reply to a command of the greeting. The texts that Redis repeats of our arguments are not
 * in it. */
void advice_error(struct slice error, char out[ADVICE_MAX]);
/* advice_hello looks at what HELLO answered. False when this Redis cannot be used, and says why. */
bool advice_hello(const struct reply *hello, char out[ADVICE_MAX]);
/* advice_field finds a text in the map that HELLO answers; empty when it is not there. */
struct slice advice_field(const struct reply *hello, const char *key);

#endif
