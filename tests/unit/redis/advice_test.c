/* What is said of errors of the greeting, and which Redis is taken. */
#include "redis/advice.h"
#include "tests/unit/unit.h"

#include <string.h>

static void test_errors(void)
{
    static const struct {
        const char *error, *holds;
    } cases[] = {
        {"WRONGPASS invalid username-password pair or user is disabled.", "wrong user or password"},
        {"NOAUTH HELLO must be called with the client already authenticated", "it wants a password"},
        {"ERR AUTH <password> called without any password configured for the default user.", "it has no password"},
        {"ERR DB index is out of range", "no such database"},
        {"ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `hunter22`", "Redis 5 or older"},
        {"ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'hunter22'", "Redis 5 or older"},
        {"DENIED Redis is running in protected mode", "protected mode"},
        {"ERR max number of clients reached", "maxclients"},
        {"NOPERM this user has no permissions to run the 'fcall_ro' command", "fcall_ro"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char out[ADVICE_MAX];
        advice_error(slice_str(cases[i].error), out);
        CU_ASSERT_PTR_NOT_NULL(strstr(out, cases[i].holds));
        CU_ASSERT_PTR_NULL(strstr(out, "hunter22"));
    }
}

static void test_hello(void)
{
    static const struct {
        const char *version, *role;
        bool good;
    } cases[] = {{"7.0.15", "master", true},  {"8.1.0", "master", true},  {"10.0.0", "master", true},
                 {"6.2.14", "master", false}, {"5.0.3", "master", false}, {"7.0.15", "replica", false},
                 {"unstable", "master", true}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct reply texts[] = {{.type = REPLY_STRING, .text = SLICE_LIT("version")},
                                      {.type = REPLY_STRING, .text = slice_str(cases[i].version)},
                                      {.type = REPLY_STRING, .text = SLICE_LIT("role")},
                                      {.type = REPLY_STRING, .text = slice_str(cases[i].role)}};
        const struct reply *const elements[] = {&texts[0], &texts[1], &texts[2], &texts[3]};
        const struct reply hello = {.type = REPLY_ARRAY, .elements = elements, .len = 4};
        char out[ADVICE_MAX] = "";
        CU_ASSERT_EQUAL(advice_hello(&hello, out), cases[i].good);
        CU_ASSERT_EQUAL(out[0] == '\0', cases[i].good);
    }
    char out[ADVICE_MAX];
    CU_ASSERT_FALSE(advice_hello(&(struct reply){.type = REPLY_INTEGER}, out));
}

UNIT_MAIN("redis/advice", UNIT(test_errors), UNIT(test_hello))
