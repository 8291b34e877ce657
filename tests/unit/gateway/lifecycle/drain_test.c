/* The numbers of a drain: how many are left when, and how long clients are told to wait. */
#include "gateway/lifecycle/drain.h"
#include "tests/unit/unit.h"

static void test_spread(void)
{
    static const struct {
        size_t first;
        int64_t left_ms, period_ms;
        size_t remaining;
    } cases[] = {
        {3, 5000, 5000, 3},     {3, 4950, 5000, 2},  {3, 3300, 5000, 1},
        {3, 1600, 5000, 0},     {1, 4950, 5000, 0},  {10000, 2500, 5000, 5000},
        {10000, 50, 5000, 100}, {10000, 0, 5000, 0}, {10000, -7, 5000, 0},
        {7, 0, 0, 0},           {0, 100, 5000, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CU_ASSERT_EQUAL(drain_remaining(cases[i].first, cases[i].left_ms, cases[i].period_ms), cases[i].remaining);
}

/* Whatever the period is, comebacks are spread over at least a second and, up to a minute, over a millisecond for each. */
static void test_waits(void)
{
    CU_ASSERT_EQUAL(drain_wait_max_ms(0, 0), 1000);
    CU_ASSERT_EQUAL(drain_wait_max_ms(10, 5000), 1000);
    CU_ASSERT_EQUAL(drain_wait_max_ms(6000, 5000), 1000);
    CU_ASSERT_EQUAL(drain_wait_max_ms(30000, 5000), 25000);
    CU_ASSERT_EQUAL(drain_wait_max_ms(30000, 0), 30000);
    CU_ASSERT_EQUAL(drain_wait_max_ms(1000000, 5000), 60000);
    CU_ASSERT_EQUAL(drain_wait_max_ms(1000, 3600 * 1000), 1000);
}

UNIT_MAIN("gateway/lifecycle/drain", UNIT(test_spread), UNIT(test_waits))
