/* Which bucket takes which value, bounds, sums. */
#include "gateway/base/histogram.h"
#include "tests/unit/unit.h"

static void test_buckets(void)
{
    static const struct {
        struct histogram_shape shape;
        int64_t value;
        size_t bucket;
    } cases[] = {
        {{0, 4}, INT64_MIN, 0}, {{0, 4}, -1, 0},        {{0, 4}, 0, 0},           {{0, 4}, 1, 0},   {{0, 4}, 2, 1},
        {{0, 4}, 3, 2},         {{0, 4}, 4, 2},         {{0, 4}, 5, 3},           {{0, 4}, 8, 3},   {{0, 4}, 9, 4},
        {{0, 4}, 1000000, 4},   {{4, 20}, 16, 0},       {{4, 20}, 17, 1},         {{4, 20}, 32, 1}, {{4, 20}, 33, 2},
        {{4, 20}, 8388608, 19}, {{4, 20}, 8388609, 20}, {{4, 20}, INT64_MAX, 20}, {{9, 1}, 512, 0}, {{9, 1}, 513, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        CU_ASSERT_EQUAL(histogram_bucket(cases[i].shape, cases[i].value), cases[i].bucket);
}

/* Every bound is the last value of its bucket, and the next value belongs to the next one. */
static void test_bounds(void)
{
    const struct histogram_shape shape = {.shift = 6, .buckets = HISTOGRAM_BUCKETS_MAX};
    for (size_t i = 0; i < shape.buckets; i++) {
        CU_ASSERT_EQUAL(histogram_bucket(shape, histogram_bound(shape, i)), i);
        CU_ASSERT_EQUAL(histogram_bucket(shape, histogram_bound(shape, i) + 1), i + 1);
    }
    CU_ASSERT_EQUAL(histogram_bound(shape, 0), 64);
    CU_ASSERT_EQUAL(histogram_bound(shape, 19), INT64_C(33554432));
}

static void test_sums(void)
{
    const struct histogram_shape shape = {.shift = 0, .buckets = 3};
    struct histogram h = {0};
    CU_ASSERT_EQUAL(histogram_count(&h), 0);
    histogram_add(&h, shape, 1, 1);
    histogram_add(&h, shape, 4, 3);
    histogram_add(&h, shape, 100, 2);
    CU_ASSERT_EQUAL(h.sum, 213);
    CU_ASSERT_EQUAL(histogram_count(&h), 6);
    CU_ASSERT_EQUAL(h.buckets[0], 1);
    CU_ASSERT_EQUAL(h.buckets[1], 0);
    CU_ASSERT_EQUAL(h.buckets[2], 3);
    CU_ASSERT_EQUAL(h.buckets[3], 2);
}

UNIT_MAIN("gateway/base/histogram", UNIT(test_buckets), UNIT(test_bounds), UNIT(test_sums))
