/* Which word is near to which. */
#include "gateway/base/nearest.h"
#include "tests/unit/unit.h"

#include <string.h>

static const char *const words[] = {"listen", "redis", "workers", "dev", "deflate", "linger", "max_message", "write"};

static const char *meant(const char *written)
{
    static struct nearest n;
    nearest_init(&n, slice_str(written));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        nearest_offer(&n, slice_str(words[i]));
    return nearest_found(&n);
}

static void test_slips(void)
{
    static const struct {
        const char *written, *meant;
    } cases[] = {{"lisen", "listen"},
                 {"listenn", "listen"},
                 {"lisetn", "listen"},
                 {"Listen", "listen"},
                 {"rediss", "redis"},
                 {"worker", "workers"},
                 {"wriet", "write"},
                 {"dve", "dev"},
                 {"max-message", "max_message"},
                 {"maxmessage", "max_message"},
                 {"MAX_MESAGE", "max_message"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *found = meant(cases[i].written);
        CU_ASSERT_PTR_NOT_NULL_FATAL(found);
        CU_ASSERT_STRING_EQUAL(found, cases[i].meant);
    }
}

static void test_far(void)
{
    static const char *const cases[] = {
        "", "x", "port", "bin", "config", "a_very_long_word_that_is_longer_than_any_name_of_ours_ever_will_be"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CU_ASSERT_PTR_NULL(meant(cases[i]));
}

UNIT_MAIN("gateway/base/nearest", UNIT(test_slips), UNIT(test_far))
