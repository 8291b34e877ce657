/* An entry lives as long as a connection or a call counts in it. */
#include "gateway/net/users.h"

#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"

struct user {
    struct map_node by_name;
    size_t connections, calls;
    char name[];
};

struct users {
    struct map by_name;
};

struct users *users_new(void)
{
    struct users *us = sg_calloc(1, sizeof(*us));
    map_init(&us->by_name);
    return us;
}

void users_free(struct users *us)
{
    if (!us)
        return;
    map_deinit(&us->by_name);
    free(us);
}

static struct user *find(const struct users *us, struct slice name)
{
    struct map_node *n = map_find(&us->by_name, name);
    return n ? container_of(n, struct user, by_name) : NULL;
}

static struct user *find_or_make(struct users *us, struct slice name)
{
    struct user *u = find(us, name);
    if (u)
        return u;
    u = sg_calloc(1, sizeof(*u) + name.len);
    memcpy(u->name, name.ptr, name.len);
    u->by_name.key = slice_of(u->name, name.len);
    map_insert(&us->by_name, &u->by_name);
    return u;
}

static void forget_unused(struct users *us, struct user *u)
{
    if (u->connections || u->calls)
        return;
    map_remove(&us->by_name, &u->by_name);
    free(u);
}

const char *users_refusal(const struct users *us, const struct options *opt, const struct grants *grants)
{
    const char *who = opt->connections_per_user ? grants_who(grants) : NULL;
    const struct user *u = who ? find(us, slice_str(who)) : NULL;
    if (!u || u->connections < (size_t)opt->connections_per_user)
        return NULL;
    metric_add(METRIC_REFUSED_USER_CONNECTIONS, 1);
    return "too many connections of this user (connections_per_user)";
}

void users_enter(struct conn *c)
{
    const struct options *opt = c->gw->opt;
    const char *who = opt->connections_per_user || opt->calls_per_user ? grants_who(c->grants) : NULL;
    if (!who)
        return;
    c->user = find_or_make(c->gw->users, slice_str(who));
    c->user->connections++;
}

void users_leave(struct conn *c)
{
    struct user *u = c->user;
    if (!u)
        return;
    c->user = NULL;
    u->connections--;
    forget_unused(c->gw->users, u);
}

bool users_calls_full(const struct conn *c)
{
    int64_t max = c->gw->opt->calls_per_user;
    if (!c->user || !max || c->user->calls < (size_t)max)
        return false;
    metric_add(METRIC_LIMITED_USER_CALLS, 1);
    return true;
}

struct user *users_call_begins(const struct conn *c)
{
    if (c->user)
        c->user->calls++;
    return c->user;
}

void users_call_ends(struct gateway *g, struct user *u)
{
    if (!u)
        return;
    u->calls--;
    forget_unused(g->users, u);
}
