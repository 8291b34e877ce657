/* Who knocks, from how many addresses ever. */
#include "gateway/net/addresses.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "gateway/observe/metrics.h"
#include "protocol/base/alloc.h"
#include "tests/unit/unit.h"

static struct addresses *as;
static struct options options;
static struct gateway gateway;
static struct conns *conns;

static void begin(int64_t connections, int64_t handshakes)
{
    metrics_begin(-1);
    options = (struct options){.connections_per_address = connections, .handshakes_per_address = handshakes};
    as = addresses_new();
    conns = conns_new();
    gateway = (struct gateway){.opt = &options, .addresses = as, .conns = conns};
}

static void end(void)
{
    addresses_free(as);
    conns_free(conns);
}

static struct remote at(const char *text)
{
    struct remote r;
    CU_ASSERT_FATAL(remote_parse(slice_str(text), &r));
    return r;
}

static bool refused(const char *text)
{
    struct remote r = at(text);
    return addresses_refusal(as, &options, &r) != NULL;
}

static struct conn *enter(const char *text)
{
    struct conn *c = sg_calloc(1, sizeof(*c));
    c->gw = &gateway;
    c->remote = at(text);
    list_append(&conns->open, &c->node);
    addresses_enter(c);
    return c;
}

static void leave(struct conn *c)
{
    addresses_leave(c);
    list_remove(&conns->open, &c->node);
    free(c);
}

static void test_connections_of_one_address(void)
{
    begin(2, 0);
    struct conn *a = enter("192.0.2.1"), *b = enter("192.0.2.1");
    CU_ASSERT(refused("192.0.2.1"));
    CU_ASSERT(!refused("192.0.2.2"));
    leave(a);
    CU_ASSERT(!refused("192.0.2.1"));
    leave(b);
    CU_ASSERT_EQUAL(metrics[METRIC_REFUSED_ADDRESS_CONNECTIONS], 1);
    end();
}

static void test_a_network_of_ipv6_is_one_address(void)
{
    begin(1, 0);
    struct conn *a = enter("2001:db8:1:2::1");
    CU_ASSERT(refused("2001:db8:1:2:ffff::9"));
    CU_ASSERT(!refused("2001:db8:1:3::1"));
    leave(a);
    a = enter("::ffff:192.0.2.1");
    CU_ASSERT(refused("192.0.2.1"));
    leave(a);
    end();
}

static void test_who_stands_for_many_does_not_count(void)
{
    char network[] = "10.0.0.0/8", *proxies[] = {network};
    begin(1, 1);
    options.trusted_proxy = proxies;
    options.trusted_proxy_len = 1;
    static const char *const many[] = {"127.0.0.1", "127.9.9.9", "::1", "10.1.2.3"};
    for (size_t i = 0; i < sizeof(many) / sizeof(many[0]); i++) {
        struct conn *a = enter(many[i]);
        for (int n = 0; n < 20; n++)
            CU_ASSERT(!refused(many[i]));
        leave(a);
    }
    struct remote unix_socket = {.family = AF_UNIX};
    CU_ASSERT_PTR_NULL(addresses_refusal(as, &options, &unix_socket));
    end();
}

static void test_other_options_count_from_then_on(void)
{
    begin(0, 0);
    struct conn *a = enter("192.0.2.1"), *b = enter("192.0.2.1");
    CU_ASSERT(!refused("192.0.2.1"));
    options.connections_per_address = 2;
    addresses_recount(&gateway);
    CU_ASSERT(refused("192.0.2.1"));
    options.connections_per_address = 0;
    addresses_recount(&gateway);
    CU_ASSERT(!refused("192.0.2.1"));
    leave(a);
    leave(b);
    end();
}

static void test_knocking(void)
{
    int let_in = 0;
    begin(0, 10);
    while (!refused("192.0.2.1"))
        let_in++;
    CU_ASSERT(let_in >= 50);
    CU_ASSERT(!refused("192.0.2.2"));
    CU_ASSERT(metrics[METRIC_REFUSED_ADDRESS_HANDSHAKES] >= 1);
    end();
}

/* A hundred thousand addresses take no memory that a hundred do not take, and none of them is refused for another. */
static void test_very_many_addresses(void)
{
    begin(0, 1);
    for (unsigned n = 0; n < 100 * 1000; n++) {
        struct remote r = {.family = AF_INET};
        uint32_t address = htonl(0x0b000000u + n);
        memcpy(r.address, &address, sizeof(address));
        CU_ASSERT_FATAL(addresses_refusal(as, &options, &r) == NULL);
    }
    end();
}

/* Those who owe most are remembered, so a flood of others does not let a flood in. */
static void test_who_owes_most_stays(void)
{
    begin(0, 1);
    while (!refused("192.0.2.1")) {
    }
    for (unsigned n = 0; n < 20 * 1000; n++) {
        struct remote r = {.family = AF_INET};
        uint32_t address = htonl(0x0b000000u + n);
        memcpy(r.address, &address, sizeof(address));
        (void)addresses_refusal(as, &options, &r);
    }
    CU_ASSERT(refused("192.0.2.1"));
    end();
}

UNIT_MAIN("gateway/net/addresses", UNIT(test_connections_of_one_address), UNIT(test_a_network_of_ipv6_is_one_address),
          UNIT(test_who_stands_for_many_does_not_count), UNIT(test_other_options_count_from_then_on),
          UNIT(test_knocking), UNIT(test_very_many_addresses), UNIT(test_who_owes_most_stays))
