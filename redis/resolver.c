/* libevent's resolver, asked for one address family at a time: its own way of asking for both keeps timers that outlive the
 * answer, and then its data must not be freed. */
#include "redis/resolver.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/dns.h>
#include <event2/util.h>

#include "protocol/base/alloc.h"

/* What a question in flight holds. It outlives the resolver when that is freed meanwhile. */
struct question {
    struct resolver *owner; /* NULL: nobody waits for the answer any more */
    char *host;
    char port[6];
    int family;
};

struct resolver {
    struct event_base *base;
    struct evdns_base *dns;    /* of the newest question, NULL before the first */
    struct question *question; /* in flight, or NULL */
    resolver_fn *on_answer;
    void *arg;
};

struct resolver *resolver_new(struct event_base *base, resolver_fn *on_answer, void *arg)
{
    struct resolver *r = sg_malloc(sizeof *r);
    *r = (struct resolver){.base = base, .on_answer = on_answer, .arg = arg};
    return r;
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    if (r->question)
        r->question->owner = NULL;
    if (r->dns)
        evdns_base_free(r->dns, 1); /* 1: the question is answered with an error, which frees it */
    free(r);
}

bool resolver_busy(const struct resolver *r)
{
    return r->question != NULL;
}

static void question_free(struct question *q)
{
    if (q->owner)
        q->owner->question = NULL;
    free(q->host);
    free(q);
}

static size_t copy_addresses(const struct evutil_addrinfo *from, struct address *list)
{
    size_t count = 0;
    for (; from && count < RESOLVER_ADDRESSES_MAX; from = from->ai_next) {
        if (from->ai_addrlen > sizeof list->at)
            continue;
        memcpy(&list[count].at, from->ai_addr, from->ai_addrlen);
        list[count++].len = (socklen_t)from->ai_addrlen;
    }
    return count;
}

static void answer(struct resolver *r, const struct evutil_addrinfo *found, const char *why)
{
    struct address list[RESOLVER_ADDRESSES_MAX];
    size_t count = copy_addresses(found, list);
    r->on_answer(r->arg, list, count, count ? NULL : why);
}

static void ask_family(struct question *q, int family);

static void on_result(int error, struct evutil_addrinfo *found, void *arg)
{
    struct question *q = arg;
    struct resolver *r = q->owner;
    if (r && (error || !found) && q->family == AF_INET) {
        ask_family(q, AF_INET6);
        return;
    }
    question_free(q);
    if (r)
        answer(r, error ? NULL : found, "the host's name was not found");
    if (found)
        evutil_freeaddrinfo(found);
}

static void ask_family(struct question *q, int family)
{
    struct evutil_addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_STREAM};
    q->family = family;
    (void)evdns_getaddrinfo(q->owner->dns, q->host, q->port, &hints, on_result, q);
}

/* numeric answers at once when the host is an address already. */
static bool numeric(struct resolver *r, const char *host, const char *port)
{
    struct evutil_addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = EVUTIL_AI_NUMERICHOST};
    struct evutil_addrinfo *found = NULL;
    if (evutil_getaddrinfo(host, port, &hints, &found) != 0)
        return false;
    answer(r, found, "the address cannot be used");
    evutil_freeaddrinfo(found);
    return true;
}

/* A name server that is away when the first question comes may be there, or another one, at the next. */
static bool read_configuration(struct resolver *r)
{
    if (r->dns)
        evdns_base_free(r->dns, 1);
    r->dns = evdns_base_new(r->base, EVDNS_BASE_INITIALIZE_NAMESERVERS | EVDNS_BASE_DISABLE_WHEN_INACTIVE);
    if (!r->dns)
        return false;
    /* A packet may be lost: asked again after a second, three times in all. libevent's 5 s are as long as the link waits. */
    (void)evdns_base_set_option(r->dns, "timeout:", "1");
    return true;
}

void resolver_ask(struct resolver *r, const char *host, int port)
{
    assert(!r->question);
    char digits[6];
    snprintf(digits, sizeof digits, "%hu", (unsigned short)port);
    if (numeric(r, host, digits))
        return;
    if (!read_configuration(r)) {
        r->on_answer(r->arg, NULL, 0, "the name servers' configuration cannot be read");
        return;
    }
    struct question *q = sg_malloc(sizeof *q);
    *q = (struct question){.owner = r, .host = sg_text(host)};
    memcpy(q->port, digits, sizeof digits);
    r->question = q;
    ask_family(q, AF_INET);
}
