/* The addresses of a host, without blocking the loop: numbers at once, names through /etc/hosts and the name servers of
 * /etc/resolv.conf, which is read anew each time. IPv6 is asked for when there is no IPv4 address. */
#ifndef SYNCGATE_REDIS_RESOLVER_H
#define SYNCGATE_REDIS_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct event_base;
struct resolver;

enum { RESOLVER_ADDRESSES_MAX = 8 };

struct address {
    struct sockaddr_storage at;
    socklen_t len;
};

/* resolver_fn: `list` is borrowed; count is 0 and `why` a static sentence when there is no answer. Must not call
 * resolver_ask nor resolver_free. */
typedef void resolver_fn(void *arg, const struct address *list, size_t count, const char *why);

struct resolver *resolver_new(struct event_base *base, resolver_fn *on_answer, void *arg);
/* resolver_free: on_answer is not called any more. What is left of a question is freed when the loop runs again. */
void resolver_free(struct resolver *r);
/* resolver_ask: on_answer is called once, maybe from inside this call. One question at a time, see resolver_busy. */
void resolver_ask(struct resolver *r, const char *host, int port);
bool resolver_busy(const struct resolver *r);

#endif
