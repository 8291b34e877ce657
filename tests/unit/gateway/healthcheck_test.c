/* Where --healthcheck asks, by a table of addresses; what is no address. Asking itself: tests/integration/test_healthcheck.py. */
#include "gateway/healthcheck.h"
#include "tests/unit/unit.h"

#include <string.h>

static const struct {
    const char *text, *host, *port, *target;
} good[] = {
    {"127.0.0.1:8080", "127.0.0.1", "8080", "/healthz"},
    {"0.0.0.0:8080", "127.0.0.1", "8080", "/healthz"},
    {"192.0.2.7:1", "192.0.2.7", "1", "/healthz"},
    {"[::]:65535", "::1", "65535", "/healthz"},
    {"[2001:db8::7]:8080", "2001:db8::7", "8080", "/healthz"},
    {"http://gateway", "gateway", "80", "/healthz"},
    {"http://gateway:8080", "gateway", "8080", "/healthz"},
    {"http://gateway:8080/", "gateway", "8080", "/"},
    {"http://gateway/readyz", "gateway", "80", "/readyz"},
    {"http://[::1]:8080/readyz?a=b:c]", "::1", "8080", "/readyz?a=b:c]"},
    {"http://[::1]/a/b", "::1", "80", "/a/b"},
    {"http://0.0.0.0:8080/metrics", "127.0.0.1", "8080", "/metrics"},
};

static void test_good(void)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct healthcheck h;
        const char *why = healthcheck_parse(good[i].text, &h);
        if (why)
            printf("\n    %s: %s", good[i].text, why);
        CU_ASSERT_PTR_NULL(why);
        CU_ASSERT_STRING_EQUAL(h.host, good[i].host);
        CU_ASSERT_STRING_EQUAL(h.port, good[i].port);
        CU_ASSERT_STRING_EQUAL(h.target, good[i].target);
        CU_ASSERT_STRING_EQUAL(h.socket, "");
    }
}

static void test_socket(void)
{
    struct healthcheck h;
    CU_ASSERT_PTR_NULL(healthcheck_parse("unix:/run/syncgate.sock", &h));
    CU_ASSERT_STRING_EQUAL(h.socket, "/run/syncgate.sock");
    CU_ASSERT_STRING_EQUAL(h.target, "/healthz");
}

static void test_bad(void)
{
    static const char *const bad[] = {"",
                                      ":8080",
                                      "unix:",
                                      "127.0.0.1:0", /* listens on any port: who knows which */
                                      "127.0.0.1:65536",
                                      "127.0.0.1:",
                                      "127.0.0.1:http",
                                      "127.0.0.1:080",
                                      "[::1",
                                      "[]:80",
                                      "[::1]8080",
                                      "[::1]x:8080",
                                      "https://gateway:8080/healthz",
                                      "http://",
                                      "http:///healthz",
                                      "http://gateway:8080/a b",
                                      "http://gateway:8080/a\r\nX: y",
                                      "http://gateway:8080/\xc3\xa4"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct healthcheck h;
        const char *why = healthcheck_parse(bad[i], &h);
        if (!why)
            printf("\n    taken: %s", bad[i]);
        CU_ASSERT_PTR_NOT_NULL(why);
    }
}

/* What is just too long is refused, what just fits is taken. */
static void test_lengths(void)
{
    struct healthcheck h;
    char text[2048];
    memset(text, 'a', sizeof(text));
    memcpy(text, "http://", 7);
    text[7 + sizeof(h.host) - 1] = '\0';
    CU_ASSERT_PTR_NULL(healthcheck_parse(text, &h));
    text[7 + sizeof(h.host) - 1] = 'a';
    text[7 + sizeof(h.host)] = '\0';
    CU_ASSERT_PTR_NOT_NULL(healthcheck_parse(text, &h));

    memset(text, 'a', sizeof(text));
    memcpy(text, "http://h/", 9);
    text[8 + sizeof(h.target) - 1] = '\0';
    CU_ASSERT_PTR_NULL(healthcheck_parse(text, &h));
    text[8 + sizeof(h.target) - 1] = 'a';
    text[8 + sizeof(h.target)] = '\0';
    CU_ASSERT_PTR_NOT_NULL(healthcheck_parse(text, &h));
}

UNIT_MAIN("gateway/healthcheck", UNIT(test_good), UNIT(test_socket), UNIT(test_bad), UNIT(test_lengths))
