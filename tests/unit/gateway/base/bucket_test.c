/* A bucket that empties with time. */
#include "gateway/base/bucket.h"
#include "tests/unit/unit.h"

static const int64_t s = BUCKET_NS;

static void test_it_holds_some_seconds(void)
{
    int64_t empty_at = 0, now = 1000 * s;
    for (int n = 1; n <= 50; n++)
        CU_ASSERT_EQUAL(bucket_put(&empty_at, now, 1, 10), n * s / 10);
    CU_ASSERT_EQUAL(bucket_put(&empty_at, now, 0, 10), BUCKET_FULL_NS);
    CU_ASSERT(bucket_put(&empty_at, now, 1, 10) > BUCKET_FULL_NS);
}

static void test_it_empties_with_time_and_not_below(void)
{
    int64_t empty_at = 0, now = 1000 * s;
    bucket_put(&empty_at, now, 30, 10);
    CU_ASSERT_EQUAL(bucket_put(&empty_at, now + s, 0, 10), 2 * s);
    CU_ASSERT_EQUAL(bucket_put(&empty_at, now + 100 * s, 10, 10), s);
}

static void test_a_clock_that_stands_still_or_goes_back(void)
{
    int64_t empty_at = 0, now = 1000 * s;
    bucket_put(&empty_at, now, 10, 10);
    CU_ASSERT_EQUAL(bucket_put(&empty_at, now - s, 0, 10), 2 * s);
}

/* The largest message at the lowest rate, again and again. */
static void test_no_debt_overflows(void)
{
    int64_t empty_at = 0, now = INT64_C(1) << 60;
    for (int n = 0; n < 1000; n++)
        CU_ASSERT(bucket_put(&empty_at, now, INT64_MAX, 1) > BUCKET_FULL_NS);
    CU_ASSERT(empty_at > now);
    CU_ASSERT_EQUAL(bucket_put(&empty_at, now, INT64_C(1) << 30, 1), BUCKET_AHEAD_NS);
}

static void test_small_amounts_at_a_high_rate_count(void)
{
    int64_t empty_at = 0, now = 1000 * s, rate = INT64_C(64) << 20;
    for (int n = 0; n < 1000; n++)
        bucket_put(&empty_at, now, 10, rate);
    CU_ASSERT(empty_at - now > 10000 * s / rate * 99 / 100);
}

UNIT_MAIN("gateway/base/bucket", UNIT(test_it_holds_some_seconds), UNIT(test_it_empties_with_time_and_not_below),
          UNIT(test_a_clock_that_stands_still_or_goes_back), UNIT(test_no_debt_overflows),
          UNIT(test_small_amounts_at_a_high_rate_count))
