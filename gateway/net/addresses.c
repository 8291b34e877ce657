/* Connections are in a map, which has no more entries than there are connections. Knocking leaves nothing behind but a place in a table
 * of fixed size: a set of a few places by hash, of which the one goes that owes least. So whoever comes from very many addresses makes
 * others be forgotten, which lets them in, and takes no memory. */
#include "gateway/net/addresses.h"

#include <sys/socket.h>

#include "gateway/access/forwarded.h"
#include "gateway/base/bucket.h"
#include "gateway/base/clock.h"
#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"

enum { SETS = 1024, PLACES = 8, NS_PER_MS = 1000 * 1000 };

/* Whose connections are counted. */
struct counted {
    struct map_node node;
    size_t connections;
    unsigned char key[REMOTE_NETWORK_BYTES];
};

struct knock {
    int64_t empty_at_ns; /* its bucket */
    unsigned char len, key[REMOTE_NETWORK_BYTES];
};

struct addresses {
    struct map counted;
    struct knock (*knocks)[PLACES]; /* SETS; NULL: nobody knocked while that was limited */
};

struct addresses *addresses_new(void)
{
    struct addresses *as = sg_calloc(1, sizeof(*as));
    map_init(&as->counted);
    return as;
}

void addresses_free(struct addresses *as)
{
    if (!as)
        return;
    map_deinit(&as->counted);
    free(as->knocks);
    free(as);
}

static bool stands_for_many(const struct options *opt, const struct remote *r)
{
    return remote_is_local(r) || (r->family != AF_INET && r->family != AF_INET6) ||
           forwarded_trusts((const char *const *)opt->trusted_proxy, opt->trusted_proxy_len, r);
}

/* --- connections --- */

static struct counted *counted_at(const struct addresses *as, const struct remote *r)
{
    unsigned char key[REMOTE_NETWORK_BYTES];
    struct map_node *n = map_find(&as->counted, slice_of((const char *)key, remote_network(r, key)));
    return n ? container_of(n, struct counted, node) : NULL;
}

void addresses_enter(struct conn *c)
{
    struct addresses *as = c->gw->addresses;
    const struct options *opt = c->gw->opt;
    if (!opt->connections_per_address || stands_for_many(opt, &c->remote))
        return;
    struct counted *a = counted_at(as, &c->remote);
    if (!a) {
        a = sg_calloc(1, sizeof(*a));
        a->node.key = slice_of((const char *)a->key, remote_network(&c->remote, a->key));
        map_insert(&as->counted, &a->node);
    }
    a->connections++;
    c->counted = true;
}

void addresses_leave(struct conn *c)
{
    if (!c->counted)
        return;
    struct addresses *as = c->gw->addresses;
    struct counted *a = counted_at(as, &c->remote);
    c->counted = false;
    if (--a->connections > 0)
        return;
    map_remove(&as->counted, &a->node);
    free(a);
}

void addresses_recount(struct gateway *g)
{
    list_each(&g->conns->open, n)
    {
        struct conn *c = container_of(n, struct conn, node);
        addresses_leave(c);
        addresses_enter(c);
    }
}

/* --- knocking --- */

static bool is_of(const struct knock *k, const unsigned char *key, size_t len)
{
    return k->len == len && memcmp(k->key, key, len) == 0;
}

/* Its place, or another's that owes less than the others. */
static struct knock *place_of(struct addresses *as, const unsigned char *key, size_t len)
{
    struct knock *set = as->knocks[map_hash(slice_of((const char *)key, len)) % SETS], *least = set;
    for (size_t i = 0; i < PLACES; i++) {
        if (is_of(&set[i], key, len))
            return &set[i];
        if (set[i].empty_at_ns < least->empty_at_ns)
            least = &set[i];
    }
    *least = (struct knock){.len = (unsigned char)len};
    memcpy(least->key, key, len);
    return least;
}

/* Who is refused owes nothing for it: it gets in at the rate, however often it tries. */
static bool knocks_too_often(struct addresses *as, const struct options *opt, const struct remote *r)
{
    unsigned char key[REMOTE_NETWORK_BYTES];
    if (!as->knocks)
        as->knocks = sg_calloc(SETS, sizeof(*as->knocks));
    struct knock *k = place_of(as, key, remote_network(r, key));
    int64_t before_ns = k->empty_at_ns;
    if (bucket_put(&k->empty_at_ns, clock_now_ms() * NS_PER_MS, 1, opt->handshakes_per_address) <= BUCKET_FULL_NS)
        return false;
    k->empty_at_ns = before_ns;
    return true;
}

const char *addresses_refusal(struct addresses *as, const struct options *opt, const struct remote *remote)
{
    if ((!opt->handshakes_per_address && !opt->connections_per_address) || stands_for_many(opt, remote))
        return NULL;
    if (opt->handshakes_per_address && knocks_too_often(as, opt, remote)) {
        metric_add(METRIC_REFUSED_ADDRESS_HANDSHAKES, 1);
        return "too many handshakes of this address (handshakes_per_address)";
    }
    const struct counted *a = counted_at(as, remote);
    if (opt->connections_per_address && a && a->connections >= (size_t)opt->connections_per_address) {
        metric_add(METRIC_REFUSED_ADDRESS_CONNECTIONS, 1);
        return "too many connections of this address (connections_per_address)";
    }
    return NULL;
}
