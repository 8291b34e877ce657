/* The token bucket over a made-up clock. */
#include "gateway/observe/log_limit.h"
#include "tests/unit/unit.h"

/* How many of n lines pass at that time. */
static int take(struct log_limit *l, int64_t now_ms, int n)
{
    int passed = 0;
    while (n-- > 0)
        passed += log_limit_take(l, now_ms);
    return passed;
}

static void test_burst_then_rate(void)
{
    struct log_limit l = {.per_minute = 60 * 50, .burst = 200};
    CU_ASSERT_EQUAL(take(&l, 1000000, 1000), 200);
    CU_ASSERT_EQUAL(take(&l, 1000000, 10), 0);
    CU_ASSERT_EQUAL(take(&l, 1000019, 10), 0);
    CU_ASSERT_EQUAL(take(&l, 1000020, 10), 1);
    CU_ASSERT_EQUAL(take(&l, 1001020, 1000), 50);
    CU_ASSERT_EQUAL(take(&l, 1005020, 1000), 200);
}

/* A line every so often never meets the limit, and fractions of a line are not lost. */
static void test_steady(void)
{
    struct log_limit l = {.per_minute = 60 * 3, .burst = 1};
    int passed = 0;
    for (int64_t ms = 0; ms < 10000; ms++)
        passed += log_limit_take(&l, ms);
    CU_ASSERT_EQUAL(passed, 30);
}

static void test_report(void)
{
    struct log_limit l = {.per_minute = 60 * 5, .burst = 5};
    CU_ASSERT_EQUAL(log_limit_report(&l), 0);
    take(&l, 5, 5);
    CU_ASSERT_EQUAL(log_limit_report(&l), 0);
    take(&l, 5, 7);
    CU_ASSERT_EQUAL(log_limit_report(&l), 7);
    CU_ASSERT_EQUAL(log_limit_report(&l), 0);
}

/* A storm is told when it begins, once in a while, and when it has ended: every line that was refused once. */
static void test_a_long_storm(void)
{
    struct log_limit l = {.per_minute = 1, .burst = 1};
    uint64_t told = 0;
    int reports = 0;
    take(&l, 0, 1);
    for (int second = 0; second < 2 * LOG_LIMIT_HELD_MAX; second++) {
        take(&l, 0, 10);
        uint64_t lines = log_limit_report(&l);
        told += lines;
        reports += lines > 0;
    }
    CU_ASSERT_EQUAL(reports, 2);
    told += log_limit_report(&l);
    CU_ASSERT_EQUAL(told, 2 * LOG_LIMIT_HELD_MAX * 10);
    CU_ASSERT_EQUAL(log_limit_report(&l), 0);
    take(&l, 0, 3);
    CU_ASSERT_EQUAL(log_limit_report(&l), 3); /* another one begins */
    take(&l, 0, 4);
    CU_ASSERT_EQUAL(log_limit_report(&l), 0);
    CU_ASSERT_EQUAL(log_limit_end(&l), 4);
    CU_ASSERT_EQUAL(log_limit_end(&l), 0);
}

/* A clock that has run for ages. */
static void test_far_future(void)
{
    struct log_limit l = {.per_minute = 60 * 50, .burst = 200};
    CU_ASSERT_EQUAL(take(&l, 1, 300), 200);
    CU_ASSERT_EQUAL(take(&l, INT64_MAX, 300), 200);
}

UNIT_MAIN("gateway/observe/log_limit", UNIT(test_burst_then_rate), UNIT(test_steady), UNIT(test_report),
          UNIT(test_a_long_storm), UNIT(test_far_future))
