/* The largest, in order, whatever comes in which order. */
#include "gateway/base/largest.h"
#include "tests/unit/unit.h"

enum { MANY = 1000 };

static int things[MANY];

static void test_the_largest_in_order(void)
{
    struct largest t = {.limit = 5};
    for (int i = 0; i < MANY; i++)
        largest_consider(&t, &things[i], (i * 7919) % MANY); /* a permutation */
    CU_ASSERT_EQUAL(t.len, 5);
    for (int i = 0; i < 5; i++)
        CU_ASSERT_EQUAL(t.size[i], MANY - 1 - i);
    for (int i = 0; i < 5; i++)
        CU_ASSERT_EQUAL((((const int *)t.what[i] - things) * 7919) % MANY, t.size[i]);
}

static void test_equals_stay_in_the_order_they_came(void)
{
    struct largest t = {.limit = 3};
    for (int i = 0; i < 5; i++)
        largest_consider(&t, &things[i], 0);
    CU_ASSERT_EQUAL(t.len, 3);
    for (int i = 0; i < 3; i++)
        CU_ASSERT_PTR_EQUAL(t.what[i], &things[i]);
    largest_consider(&t, &things[9], 1);
    CU_ASSERT_PTR_EQUAL(t.what[0], &things[9]);
    CU_ASSERT_PTR_EQUAL(t.what[2], &things[1]);
}

static void test_fewer_than_the_limit(void)
{
    struct largest t = {.limit = LARGEST_MAX};
    largest_consider(&t, &things[0], -1);
    largest_consider(&t, &things[1], INT64_MAX);
    CU_ASSERT_EQUAL(t.len, 2);
    CU_ASSERT_PTR_EQUAL(t.what[0], &things[1]);
}

UNIT_MAIN("gateway/base/largest", UNIT(test_the_largest_in_order), UNIT(test_equals_stay_in_the_order_they_came),
          UNIT(test_fewer_than_the_limit))
