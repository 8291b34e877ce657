/* The ids that left a list. */
#include "gateway/state/gone.h"

#include "tests/unit/unit.h"

static struct slice number(char *text, size_t size, int n)
{
    int len = snprintf(text, size, "%d", n);
    return slice_of(text, (size_t)len);
}

static void test_one_leaves_and_comes_back(void)
{
    struct gone g;
    gone_init(&g);
    CU_ASSERT_FALSE(gone_has(&g, SLICE_LIT("1")));
    gone_add(&g, SLICE_LIT("1"), 5);
    gone_add(&g, SLICE_LIT("\"1\""), 6);
    gone_add(&g, SLICE_LIT("1"), 7);
    CU_ASSERT_TRUE(gone_has(&g, SLICE_LIT("1")));
    CU_ASSERT_EQUAL(g.opaque_rev, 0); /* all is known one by one */
    gone_forget(&g, SLICE_LIT("1"));
    gone_forget(&g, SLICE_LIT("2"));
    CU_ASSERT_FALSE(gone_has(&g, SLICE_LIT("1")));
    CU_ASSERT_TRUE(gone_has(&g, SLICE_LIT("\"1\"")));
    gone_deinit(&g);
}

static void test_the_id_is_copied(void)
{
    struct gone g;
    char id[] = "12";
    gone_init(&g);
    gone_add(&g, slice_str(id), 1);
    id[0] = '9';
    CU_ASSERT_TRUE(gone_has(&g, SLICE_LIT("12")));
    CU_ASSERT_FALSE(gone_has(&g, SLICE_LIT("92")));
    gone_deinit(&g);
}

static void test_clear_says_since_when(void)
{
    struct gone g;
    gone_init(&g);
    gone_add(&g, SLICE_LIT("1"), 5);
    gone_clear(&g, 8);
    CU_ASSERT_FALSE(gone_has(&g, SLICE_LIT("1")));
    CU_ASSERT_EQUAL(g.opaque_rev, 8);
    gone_add(&g, SLICE_LIT("2"), 9);
    CU_ASSERT_TRUE(gone_has(&g, SLICE_LIT("2")));
    CU_ASSERT_EQUAL(g.opaque_rev, 8);
    gone_deinit(&g);
}

/* It is peers who make items leave, so there is a bound: beyond it, only the newest is known. */
static void test_too_many(void)
{
    struct gone g;
    char text[16];
    gone_init(&g);
    for (int n = 0; n < GONE_MAX; n++)
        gone_add(&g, number(text, sizeof(text), n), n + 1);
    CU_ASSERT_TRUE(gone_has(&g, SLICE_LIT("0")));
    gone_add(&g, SLICE_LIT("0"), GONE_MAX + 1); /* one that is there already takes no room */
    CU_ASSERT_TRUE(gone_has(&g, SLICE_LIT("1")));
    CU_ASSERT_EQUAL(g.opaque_rev, 0);
    gone_add(&g, SLICE_LIT("\"new\""), GONE_MAX + 2);
    CU_ASSERT_TRUE(gone_has(&g, SLICE_LIT("\"new\"")));
    for (int n = 0; n < GONE_MAX; n++)
        CU_ASSERT_FALSE(gone_has(&g, number(text, sizeof(text), n)));
    CU_ASSERT_EQUAL(g.opaque_rev, GONE_MAX + 2);
    gone_deinit(&g);
}

UNIT_MAIN("gateway/state/gone", UNIT(test_one_leaves_and_comes_back), UNIT(test_the_id_is_copied),
          UNIT(test_clear_says_since_when), UNIT(test_too_many))
