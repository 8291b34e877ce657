/* Who gets the last descriptors of this process. Without a reserve a crowd takes them all, and then a lost Redis link does not come
 * back, health checks go unanswered, and nobody can look in. */
#ifndef SYNCGATE_GATEWAY_NET_DESCRIPTORS_H
#define SYNCGATE_GATEWAY_NET_DESCRIPTORS_H

#include <stdbool.h>

/* The kernel always gives out the lowest free number, so a number says how many are taken. From the limit down:
 *
 *     DESCRIPTORS_RESERVE  for ourselves: Redis, names, files; nobody is accepted on them
 *     DESCRIPTORS_RESERVE  for HTTP requests: health checks, metrics, /admin/; a WebSocket that would stay there is refused
 *     the rest             for everybody
 *
 * or an eighth of the limit, when that is less. */
enum { DESCRIPTORS_RESERVE = 16 };

/* descriptors_begin reads the limit; call it before the others, and after the limit was raised. */
void descriptors_begin(void);
/* descriptors_spare(true) keeps this process from being given those for ourselves, until descriptors_spare(false): accept() says EMFILE
 * before they are touched. */
void descriptors_spare(bool yes);
/* descriptors_may_stay: may a WebSocket stay on this one? descriptors_left: would the next one? */
bool descriptors_may_stay(int fd);
bool descriptors_left(void);

#endif
