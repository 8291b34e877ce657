/* Whose pages get in, as tables. */
#include "gateway/access/origin.h"
#include "tests/unit/unit.h"

static const struct {
    const char *text;
    bool good;
} texts[] = {
    {"same-host", true},
    {"null", true},
    {"*", true},
    {"https://example.com", true},
    {"HTTPS://Example.COM:8443", true},
    {"https://*.example.com", true},
    {"https://*.example.com:*", true},
    {"http://localhost:*", true},
    {"http://[::1]:8080", true},
    {"http://127.0.0.1", true},
    {"capacitor://localhost", true},
    {"", false},
    {"example.com", false},
    {"https://", false},
    {"://example.com", false},
    {"https://example.com/", false},
    {"https://example.com/app", false},
    {"https://example.com:", true}, /* as in a URL: the scheme's */
    {"https://example.com:443x", false},
    {"https://example.com:65536", false},
    {"https://user@example.com", false},
    {"https://ex*mple.com", false},
    {"https://*", false},
    {"https://*.", false},
    {"*://example.com", false},
    {"https://[::1", false},
    {"https://[nothing]", false},
    {"https://a.example, https://b.example", false},
    {"same-hosts", false},
};

static void test_texts(void)
{
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        bool good = origin_check(texts[i].text) == NULL;
        if (good != texts[i].good)
            printf("\n    %s", texts[i].text);
        CU_ASSERT_EQUAL(good, texts[i].good);
    }
}

enum { PRODUCTION, DEV_BEYOND, DEV_LOOPBACK };

static const struct {
    const char *allowed; /* NULL: nothing */
    int mode;
    const char *origin, *host;
    bool yes;
} pages[] = {
    /* No page of a browser. */
    {"same-host", PRODUCTION, NULL, "gate.example", true},
    {NULL, PRODUCTION, NULL, "gate.example", true},
    {"same-host", DEV_LOOPBACK, NULL, "whatever.example", true},
    /* The host that was asked. */
    {"same-host", PRODUCTION, "https://gate.example", "gate.example", true},
    {"same-host", PRODUCTION, "http://gate.example", "gate.example", true},
    {"same-host", PRODUCTION, "https://gate.example", "gate.example:443", true},
    {"same-host", PRODUCTION, "https://gate.example:443", "gate.example", true},
    {"same-host", PRODUCTION, "http://gate.example", "gate.example:80", true},
    {"same-host", PRODUCTION, "https://GATE.example", "gate.EXAMPLE", true},
    {"same-host", PRODUCTION, "http://gate.example:8080", "gate.example:8080", true},
    {"same-host", PRODUCTION, "http://[::1]:8080", "[0:0::1]:8080", true},
    {"same-host", PRODUCTION, "https://gate.example", "gate.example:80", false},
    {"same-host", PRODUCTION, "http://gate.example:8080", "gate.example", false},
    {"same-host", PRODUCTION, "http://gate.example:8080", "gate.example:8081", false},
    {"same-host", PRODUCTION, "https://evil.example", "gate.example", false},
    {"same-host", PRODUCTION, "https://gate.example.evil.example", "gate.example", false},
    {"same-host", PRODUCTION, "https://evil.example/gate.example", "gate.example", false},
    {"same-host", PRODUCTION, "https://gate.example@evil.example", "gate.example", false},
    {"same-host", PRODUCTION, "https://gate.example https://gate.example", "gate.example", false},
    {"same-host", PRODUCTION, "https://gate.example,https://gate.example", "gate.example", false},
    {"same-host", PRODUCTION, "https://gate.example", "gate.example, evil.example", false},
    {"same-host", PRODUCTION, "https://gate.example", "", false},
    {"same-host", PRODUCTION, "", "", false},
    {"same-host", PRODUCTION, "", "gate.example", false},
    {"same-host", PRODUCTION, "null", "null", false},
    {"same-host", PRODUCTION, "http://localhost:3000", "localhost:8080", false},
    {NULL, PRODUCTION, "https://gate.example", "gate.example", false},
    /* A list. */
    {"https://example.com", PRODUCTION, "https://example.com", "ws.example.com", true},
    {"https://example.com", PRODUCTION, "https://EXAMPLE.com:443", "ws.example.com", true},
    {"https://example.com:443", PRODUCTION, "https://example.com", "ws.example.com", true},
    {"https://example.com", PRODUCTION, "http://example.com", "ws.example.com", false},
    {"https://example.com", PRODUCTION, "https://example.com:8443", "ws.example.com", false},
    {"https://example.com", PRODUCTION, "https://app.example.com", "ws.example.com", false},
    {"https://example.com", PRODUCTION, "https://ws.example.com", "ws.example.com", false},
    {"https://*.example.com", PRODUCTION, "https://a.b.example.com", "ws.example.com", true},
    {"https://*.example.com", PRODUCTION, "https://example.com", "ws.example.com", false},
    {"https://*.example.com", PRODUCTION, "https://evilexample.com", "ws.example.com", false},
    {"https://*.example.com", PRODUCTION, "https://.example.com", "ws.example.com", false},
    {"https://*.example.com", PRODUCTION, "https://a.example.com:8443", "ws.example.com", false},
    {"https://*.example.com:*", PRODUCTION, "https://a.example.com:8443", "ws.example.com", true},
    {"http://localhost:*", PRODUCTION, "http://localhost:3000", "ws.example.com", true},
    {"http://[::1]:*", PRODUCTION, "http://[0::1]:3000", "ws.example.com", true},
    {"capacitor://localhost", PRODUCTION, "capacitor://localhost", "ws.example.com", true},
    {"null", PRODUCTION, "null", "ws.example.com", true},
    {"null", PRODUCTION, "https://null", "ws.example.com", false},
    {"https://example.com", PRODUCTION, "null", "ws.example.com", false},
    {"*", PRODUCTION, "https://evil.example", "ws.example.com", true},
    {"*", PRODUCTION, "null", "ws.example.com", true},
    {"*", DEV_LOOPBACK, "https://evil.example", "evil.example", true},
    /* Development on one machine. */
    {"same-host", DEV_LOOPBACK, "http://localhost:8080", "localhost:8080", true},
    {"same-host", DEV_LOOPBACK, "http://localhost:3000", "127.0.0.1:8080", true},
    {"same-host", DEV_LOOPBACK, "http://127.0.0.1:3000", "[::1]:8080", true},
    {"same-host", DEV_LOOPBACK, "http://app.localhost:3000", "localhost:8080", true},
    {"same-host", DEV_LOOPBACK, "https://evil.example", "localhost:8080", false},
    {"same-host", DEV_LOOPBACK, "null", "localhost:8080", false},
    {"same-host", DEV_LOOPBACK, "http://localhost.evil.example", "localhost:8080", false},
    {"same-host", DEV_LOOPBACK, "http://unix", "localhost:8080", false},
    {"same-host", DEV_LOOPBACK, "http://rebound.evil.example:8080", "rebound.evil.example:8080", false},
    {"same-host", DEV_LOOPBACK, "http://localhost:3000", "rebound.evil.example:8080", false},
    {"https://tunnel.example", DEV_LOOPBACK, "https://tunnel.example", "tunnel.example", true},
    /* Development that others reach. */
    {"same-host", DEV_BEYOND, "http://box.lan:8080", "box.lan:8080", true},
    {"same-host", DEV_BEYOND, "http://localhost:3000", "localhost:8080", true},
    {"same-host", DEV_BEYOND, "http://localhost:3000", "box.lan:8080", false},
    {"same-host", DEV_BEYOND, "https://evil.example", "box.lan:8080", false},
};

static void test_pages(void)
{
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        struct origin_rule rule = {.allowed = &pages[i].allowed,
                                   .allowed_len = pages[i].allowed != NULL,
                                   .dev = pages[i].mode != PRODUCTION,
                                   .loopback = pages[i].mode == DEV_LOOPBACK};
        bool yes = origin_allowed(&rule, pages[i].origin, pages[i].host);
        if (yes != pages[i].yes)
            printf("\n    %s mode %d: %s at %s", pages[i].allowed ? pages[i].allowed : "nothing", pages[i].mode,
                   pages[i].origin ? pages[i].origin : "no origin", pages[i].host);
        CU_ASSERT_EQUAL(yes, pages[i].yes);
    }
}

UNIT_MAIN("gateway/access/origin", UNIT(test_texts), UNIT(test_pages))
