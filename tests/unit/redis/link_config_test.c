#include "redis/link.h"

#include "tests/unit/unit.h"

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void test_good(void)
{
    static const struct {
        const char *url;
        struct link_config expected;
    } cases[] = {
        {"redis://redis", {.host = "redis", .port = 6379}},
        {"redis://redis/", {.host = "redis", .port = 6379}},
        {"redis://redis:6380", {.host = "redis", .port = 6380}},
        {"redis://127.0.0.1:1/0", {.host = "127.0.0.1", .port = 1}},
        {"redis://h:65535/15", {.host = "h", .port = 65535, .db = 15}},
        {"redis://h/3", {.host = "h", .port = 6379, .db = 3}},
        {"redis://[::1]", {.host = "::1", .port = 6379}},
        {"redis://[fe80::1]:7000/2", {.host = "fe80::1", .port = 7000, .db = 2}},
        {"redis://:secret@h", {.host = "h", .port = 6379, .password = "secret"}},
        {"redis://me:secret@h:7", {.host = "h", .port = 7, .user = "me", .password = "secret"}},
        {"redis://me:p%40ss%2Fw%3ard%25@h", {.host = "h", .port = 6379, .user = "me", .password = "p@ss/w:rd%"}},
        {"redis://m%65:a@b:c@h", {.host = "h", .port = 6379, .user = "me", .password = "a@b:c"}},
        {"redis://:%C3%A9@h", {.host = "h", .port = 6379, .password = "\xc3\xa9"}},
        {"rediss://me:x@redis.example.com:6380/1",
         {.host = "redis.example.com", .port = 6380, .user = "me", .password = "x", .db = 1, .tls = true}},
        {"rediss://h", {.host = "h", .port = 6379, .tls = true}},
        {"unix:/run/redis.sock", {.unix_path = "/run/redis.sock"}},
        {"unix:relative@{x}:y", {.unix_path = "relative@{x}:y"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct link_config c;
        const struct link_config *e = &cases[i].expected;
        const char *wrong = link_config_parse(cases[i].url, &c);
        bool good = !wrong && same(c.host, e->host) && same(c.unix_path, e->unix_path) && same(c.user, e->user) &&
                    same(c.password, e->password) && c.port == e->port && c.db == e->db && c.tls == e->tls;
        CU_ASSERT_TRUE(good);
        if (!good)
            fprintf(stderr, "%s: %s\n", cases[i].url, wrong ? wrong : "wrong fields");
        if (!wrong)
            link_config_deinit(&c);
    }
}

static void test_bad(void)
{
    static const char *const urls[] = {
        "",
        "redis",
        "redis:",
        "redis:/h",
        "http://h",
        "REDIS://h",
        "h:6379",
        "/run/redis.sock",
        "unix",
        "unix:",
        "redis://",
        "redis:///1",
        "redis://:6379",
        "redis://h:",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:x",
        "redis://h:12x",
        "redis://h:-1",
        "redis://h:+1",
        "redis://h/x",
        "redis://h/-1",
        "redis://h/1/2",
        "redis://h/01",
        "redis://h/99999999999",
        "redis://[::1",
        "redis://[::1]x",
        "redis://[]",
        "redis://me@h",
        "redis://me:@h",
        "redis://:@h",
        "redis://@h",
        "redis://:a%@h",
        "redis://:a%4@h",
        "redis://:a%zz@h",
        "redis://:a%00@h",
        "redis://%00:x@h",
        "redis://a%b",
        "redis://a b",
        "redis://:x@",
        "redis://::1",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct link_config c;
        const char *wrong = link_config_parse(urls[i], &c);
        CU_ASSERT_PTR_NOT_NULL(wrong);
        if (!wrong) {
            fprintf(stderr, "taken for good: %s\n", urls[i]);
            link_config_deinit(&c);
        }
    }
}

static void test_socket_paths_have_a_length(void)
{
    struct link_config c;
    char url[256];
    memset(url, 'a', sizeof url);
    memcpy(url, "unix:", 5);
    url[5 + 107] = '\0';
    CU_ASSERT_PTR_NULL(link_config_parse(url, &c));
    link_config_deinit(&c);
    url[5 + 107] = 'a';
    url[5 + 108] = '\0';
    CU_ASSERT_PTR_NOT_NULL(link_config_parse(url, &c));
}

static void test_password_is_never_told(void)
{
    static const char *const urls[] = {"redis://me:hunter2@h:x", "redis://:hunter2%@h", "redis://me:hunter2@",
                                       "hunter2"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct link_config c;
        const char *wrong = link_config_parse(urls[i], &c);
        CU_ASSERT_TRUE(wrong && !strstr(wrong, "hunter2"));
        CU_ASSERT_PTR_NULL(c.password);
        CU_ASSERT_PTR_NULL(c.host);
    }
}

static void test_deinit_twice(void)
{
    struct link_config c;
    CU_ASSERT_PTR_NULL(link_config_parse("redis://me:x@h", &c));
    link_config_deinit(&c);
    link_config_deinit(&c);
    CU_ASSERT_PTR_NULL(c.host);
}

UNIT_MAIN("redis/link_config", UNIT(test_good), UNIT(test_bad), UNIT(test_socket_paths_have_a_length),
          UNIT(test_password_is_never_told), UNIT(test_deinit_twice))
