/* Which networks may be named, and who the client is for what X-Forwarded-For says. */
#include "gateway/access/forwarded.h"
#include "tests/unit/unit.h"

#include <sys/socket.h>

static const struct {
    const char *text;
    bool good;
} nets[] = {
    {"unix", true},
    {"10.0.0.0/8", true},
    {"192.0.2.7", true},
    {"192.0.2.7/32", true},
    {"0.0.0.0/0", true},
    {"2001:db8::/32", true},
    {"::/0", true},
    {"::1", true},
    {"2001:db8::1/128", true},
    {"10.0.0.0/9", true},
    {"10.128.0.0/9", true},
    {"fe80::/10", true},
    {"", false},
    {"/8", false},
    {"10.0.0.0/", false},
    {"10.0.0.0/33", false},
    {"10.0.0.0/-1", false},
    {"10.0.0.0/08", false},
    {"10.0.0.0/8/8", false},
    {"10.0.0.1/8", false},
    {"10.64.0.0/9", false},
    {"10/8", false},
    {"::/129", false},
    {"2001:db8::1/64", false},
    {"[::1]", false},
    {"fe80::1%eth0", false},
    {"example.org", false},
    {"unix:/run/a", false},
    {"10.0.0.0 /8", false},
    {"::ffff:10.0.0.0/104", false},
    {"UNIX", false},
};

static void test_nets(void)
{
    for (size_t i = 0; i < sizeof(nets) / sizeof(nets[0]); i++) {
        const char *why = forwarded_check(nets[i].text);
        if ((why == NULL) != nets[i].good)
            printf("\n    %s: %s", nets[i].text, why ? why : "taken");
        CU_ASSERT_EQUAL(why == NULL, nets[i].good);
    }
}

static const struct {
    const char *what, *trusted[4], *peer, *header, *client;
} cases[] = {
    {"nobody is trusted", {NULL}, "10.0.0.1", "192.0.2.1", "10.0.0.1"},
    {"the peer is not trusted", {"10.0.0.0/8"}, "11.0.0.1", "192.0.2.1", "11.0.0.1"},
    {"the peer is trusted", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2.1", "192.0.2.1"},
    {"the second network covers it", {"11.0.0.0/8", "10.0.0.0/8"}, "10.9.9.9", "192.0.2.1", "192.0.2.1"},
    {"one address", {"10.0.0.1"}, "10.0.0.1", "192.0.2.1", "192.0.2.1"},
    {"its neighbour", {"10.0.0.1"}, "10.0.0.2", "192.0.2.1", "10.0.0.2"},
    {"a network of odd length", {"10.128.0.0/9"}, "10.129.0.1", "192.0.2.1", "192.0.2.1"},
    {"beside a network of odd length", {"10.128.0.0/9"}, "10.127.0.1", "192.0.2.1", "10.127.0.1"},
    {"no header", {"10.0.0.0/8"}, "10.0.0.1", "", "10.0.0.1"},
    {"nothing but space", {"10.0.0.0/8"}, "10.0.0.1", "  ", "10.0.0.1"},
    {"what the client claims does not count", {"10.0.0.0/8"}, "10.0.0.1", "1.2.3.4, 192.0.2.1", "192.0.2.1"},
    {"a client that claims to be a proxy", {"10.0.0.0/8"}, "10.0.0.1", "1.2.3.4,10.1.1.1, 192.0.2.1", "192.0.2.1"},
    {"two proxies", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2.1, 10.0.0.2", "192.0.2.1"},
    {"nothing but proxies", {"10.0.0.0/8"}, "10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"},
    {"everybody is trusted", {"0.0.0.0/0", "::/0"}, "10.0.0.1", "1.2.3.4, 2001:db8::1, 5.6.7.8", "1.2.3.4"},
    {"no space", {"10.0.0.0/8"}, "10.0.0.1", "1.2.3.4,192.0.2.1,10.0.0.2", "192.0.2.1"},
    {"tabs and spaces", {"10.0.0.0/8"}, "10.0.0.1", "\t192.0.2.1 \t,\t10.0.0.2 ", "192.0.2.1"},
    {"a port", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2.1:4711", "192.0.2.1"},
    {"the largest port", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2.1:65535", "192.0.2.1"},
    {"no port", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2.1:65536", "10.0.0.1"},
    {"an empty port", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2.1:", "10.0.0.1"},
    {"IPv6", {"10.0.0.0/8"}, "10.0.0.1", "2001:db8::1", "2001:db8::1"},
    {"IPv6 in brackets", {"10.0.0.0/8"}, "10.0.0.1", "[2001:db8::1]", "2001:db8::1"},
    {"IPv6 with port", {"10.0.0.0/8"}, "10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"},
    {"IPv6 with junk for a port", {"10.0.0.0/8"}, "10.0.0.1", "[2001:db8::1]4711", "10.0.0.1"},
    {"IPv6 with half a bracket", {"10.0.0.0/8"}, "10.0.0.1", "[2001:db8::1", "10.0.0.1"},
    {"IPv4 in brackets", {"10.0.0.0/8"}, "10.0.0.1", "[192.0.2.1]", "10.0.0.1"},
    {"IPv6 with a zone", {"10.0.0.0/8"}, "10.0.0.1", "fe80::1%eth0", "10.0.0.1"},
    {"an IPv6 proxy", {"2001:db8::/32"}, "2001:db8::5", "192.0.2.1", "192.0.2.1"},
    {"another IPv6 proxy", {"2001:db8::/32"}, "2001:db9::5", "192.0.2.1", "2001:db9::5"},
    {"an IPv4 network covers no IPv6", {"0.0.0.0/0"}, "::1", "192.0.2.1", "::1"},
    {"mapped IPv4 is IPv4", {"10.0.0.0/8"}, "::ffff:10.0.0.1", "::ffff:192.0.2.1", "192.0.2.1"},
    {"a unix socket", {"unix"}, "unix", "192.0.2.1", "192.0.2.1"},
    {"a unix socket that is not trusted", {"0.0.0.0/0"}, "unix", "192.0.2.1", "unix"},
    {"unix in the header is junk", {"unix"}, "unix", "192.0.2.1, unix", "unix"},
    {"unknown", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2.1, unknown", "10.0.0.1"},
    {"an obfuscated name", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2.1, _secret", "10.0.0.1"},
    {"junk behind a proxy", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2.1, junk, 10.0.0.2", "10.0.0.2"},
    {"junk left of the client", {"10.0.0.0/8"}, "10.0.0.1", "junk, 192.0.2.1", "192.0.2.1"},
    {"an empty entry", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2.1,,10.0.0.2", "10.0.0.2"},
    {"a comma at the end", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2.1,", "10.0.0.1"},
    {"nothing but commas", {"10.0.0.0/8"}, "10.0.0.1", ",,,", "10.0.0.1"},
    {"quotes", {"10.0.0.0/8"}, "10.0.0.1", "\"192.0.2.1\"", "10.0.0.1"},
    {"leading zeros", {"10.0.0.0/8"}, "10.0.0.1", "192.000.2.1", "10.0.0.1"},
    {"too few numbers", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2", "10.0.0.1"},
    {"far too long",
     {"10.0.0.0/8"},
     "10.0.0.1",
     "1111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111",
     "10.0.0.1"},
    {"control characters", {"10.0.0.0/8"}, "10.0.0.1", "192.0.2.1\x01", "10.0.0.1"},
};

static struct remote peer(const char *text)
{
    struct remote r = {.family = AF_UNIX};
    CU_ASSERT_TRUE_FATAL(strcmp(text, "unix") == 0 || remote_parse(slice_str(text), &r));
    return r;
}

static void test_clients(void)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t len = 0;
        while (len < 4 && cases[i].trusted[len])
            len++;
        struct remote client = forwarded_client(cases[i].trusted, len, peer(cases[i].peer), slice_str(cases[i].header));
        if (strcmp(remote_text(&client), cases[i].client) != 0)
            printf("\n    %s: %s", cases[i].what, remote_text(&client));
        CU_ASSERT_STRING_EQUAL(remote_text(&client), cases[i].client);
    }
}

/* A header of nothing but good proxies costs one pass. */
static void test_long_header(void)
{
    static const char *const trusted[] = {"10.0.0.0/8"};
    char header[4096];
    size_t len = 0;
    while (len + 16 < sizeof(header)) {
        memcpy(header + len, "10.0.0.1, ", 10);
        len += 10;
    }
    struct remote client = forwarded_client(trusted, 1, peer("10.0.0.2"), slice_of(header, len - 2));
    CU_ASSERT_STRING_EQUAL(remote_text(&client), "10.0.0.1");
}

static void test_not_known(void)
{
    static const char *const trusted[] = {"0.0.0.0/0", "::/0", "unix"};
    struct remote gone = remote_of_socket(-1);
    CU_ASSERT_STRING_EQUAL(remote_text(&gone), "unknown");
    struct remote client = forwarded_client(trusted, 3, gone, SLICE_LIT("192.0.2.1"));
    CU_ASSERT_STRING_EQUAL(remote_text(&client), "unknown");
}

UNIT_MAIN("gateway/access/forwarded", UNIT(test_nets), UNIT(test_clients), UNIT(test_long_header), UNIT(test_not_known))
