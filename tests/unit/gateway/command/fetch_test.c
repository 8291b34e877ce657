/* Where --healthcheck and --top ask, by a table of addresses; what is no address. Asking itself: tests/integration/test_healthcheck.py. */
#include "gateway/command/fetch.h"
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
    {"https://gateway/readyz", "gateway", "443", "/readyz"},
    {"https://gateway:8443", "gateway", "8443", "/healthz"},
};

static void test_good(void)
{
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct fetch_place h;
        const char *why = fetch_parse(good[i].text, "/healthz", &h);
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
    struct fetch_place h;
    CU_ASSERT_PTR_NULL(fetch_parse("unix:/run/syncgate.sock", "/healthz", &h));
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
                                      "ftp://gateway:8080/healthz",
                                      "http://",
                                      "http:///healthz",
                                      "http://gateway:8080/a b",
                                      "http://gateway:8080/a\r\nX: y",
                                      "http://gateway:8080/\xc3\xa4"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct fetch_place h;
        const char *why = fetch_parse(bad[i], "/healthz", &h);
        if (!why)
            printf("\n    taken: %s", bad[i]);
        CU_ASSERT_PTR_NOT_NULL(why);
    }
}

/* A certificate counts where somebody may stand between, and only there. */
static void test_tls(void)
{
    static const struct {
        const char *text;
        bool tls, verify;
    } cases[] = {{"http://gateway", false, false},        {"https://gateway", true, true},
                 {"https://192.0.2.7:8443", true, true},  {"https://localhost:8443", true, false},
                 {"https://127.0.0.1:8443", true, false}, {"https://[::1]:8443/readyz", true, false},
                 {"https://0.0.0.0:8443", true, false},   {"127.0.0.1:8443", false, false}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fetch_place h;
        CU_ASSERT_PTR_NULL(fetch_parse(cases[i].text, "/healthz", &h));
        CU_ASSERT_EQUAL(h.tls, cases[i].tls);
        CU_ASSERT_EQUAL(h.verify, cases[i].verify);
    }
}

/* An address of the options speaks TLS when they have a certificate; a URL says itself what it wants. */
static void test_options(void)
{
    char *listen[] = {(char *)(uintptr_t) "0.0.0.0:8443"};
    struct options o = {.listen = listen, .listen_len = 1, .tls_cert = (char *)(uintptr_t) "cert.pem"};
    struct fetch_place h;
    const char *text;
    CU_ASSERT_PTR_NULL(fetch_place(&o, "/healthz", &h, &text));
    CU_ASSERT_STRING_EQUAL(text, "0.0.0.0:8443");
    CU_ASSERT_STRING_EQUAL(h.host, "127.0.0.1");
    CU_ASSERT_TRUE(h.tls);
    CU_ASSERT_FALSE(h.verify);
    o.url = "http://127.0.0.1:80";
    CU_ASSERT_PTR_NULL(fetch_place(&o, "/healthz", &h, &text));
    CU_ASSERT_FALSE(h.tls);
    o.url = "unix:/run/socket";
    CU_ASSERT_PTR_NULL(fetch_place(&o, "/healthz", &h, &text));
    CU_ASSERT_FALSE(h.tls);
}

/* What is just too long is refused, what just fits is taken. */
static void test_lengths(void)
{
    struct fetch_place h;
    char text[2048];
    memset(text, 'a', sizeof(text));
    memcpy(text, "http://", 7);
    text[7 + sizeof(h.host) - 1] = '\0';
    CU_ASSERT_PTR_NULL(fetch_parse(text, "/healthz", &h));
    text[7 + sizeof(h.host) - 1] = 'a';
    text[7 + sizeof(h.host)] = '\0';
    CU_ASSERT_PTR_NOT_NULL(fetch_parse(text, "/healthz", &h));

    memset(text, 'a', sizeof(text));
    memcpy(text, "http://h/", 9);
    text[8 + sizeof(h.target) - 1] = '\0';
    CU_ASSERT_PTR_NULL(fetch_parse(text, "/healthz", &h));
    text[8 + sizeof(h.target) - 1] = 'a';
    text[8 + sizeof(h.target)] = '\0';
    CU_ASSERT_PTR_NOT_NULL(fetch_parse(text, "/healthz", &h));
}

UNIT_MAIN("gateway/command/fetch", UNIT(test_good), UNIT(test_socket), UNIT(test_bad), UNIT(test_tls),
          UNIT(test_options), UNIT(test_lengths))
