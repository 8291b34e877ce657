/* The window of reads: what goes, in which order, and who is blamed for a lost link. */
#include "gateway/state/reads.h"

#include "tests/unit/unit.h"

enum { MANY = 2000 };

static size_t take_all(struct reads *r)
{
    size_t count = 0;
    while (reads_next(r))
        count++;
    return count;
}

static void want_all(struct reads *r, struct read *all, size_t count)
{
    for (size_t i = 0; i < count; i++)
        reads_want(r, &all[i], false);
}

static void test_one_at_a_time_each(void)
{
    struct reads r;
    struct read a = {0};
    reads_init(&r);
    CU_ASSERT_PTR_NULL(reads_next(&r));
    reads_want(&r, &a, false);
    reads_want(&r, &a, false);
    CU_ASSERT_PTR_EQUAL(reads_next(&r), &a);
    CU_ASSERT_EQUAL(a.room, READS_ROOM_FIRST);
    reads_want(&r, &a, true);
    CU_ASSERT_PTR_NULL(reads_next(&r)); /* it is in flight */
    reads_done(&r, &a);
    reads_done(&r, &a);
    reads_want(&r, &a, true);
    CU_ASSERT_PTR_EQUAL(reads_next(&r), &a);
    reads_done(&r, &a);
}

static void test_the_window_holds(void)
{
    static struct read all[MANY];
    struct reads r;
    reads_init(&r);
    want_all(&r, all, MANY);
    size_t taken = take_all(&r);
    CU_ASSERT_EQUAL(taken, READS_WINDOW_MAX / READS_ROOM_FIRST);
    for (size_t done = 0; done < MANY; done++) { /* each answer lets the next one go, until all had their turn */
        reads_done(&r, &all[done]);
        taken += take_all(&r);
    }
    CU_ASSERT_EQUAL(taken, MANY);
}

static void test_small_ones_are_bounded_in_number(void)
{
    static struct read all[MANY];
    struct reads r;
    reads_init(&r);
    for (size_t i = 0; i < MANY; i++)
        all[i].expect = 1;
    want_all(&r, all, MANY);
    CU_ASSERT_EQUAL(take_all(&r), READS_MAX);
}

static void test_larger_than_the_window_goes_alone(void)
{
    struct reads r;
    struct read small[2] = {{.expect = 10}, {.expect = 10}}, large = {.expect = 8 * READS_WINDOW_MAX};
    reads_init(&r);
    reads_want(&r, &small[0], true);
    reads_want(&r, &large, true);
    reads_want(&r, &small[1], true);
    CU_ASSERT_PTR_EQUAL(reads_next(&r), &small[0]);
    CU_ASSERT_PTR_NULL(reads_next(&r)); /* not overtaken by the second small one */
    reads_done(&r, &small[0]);
    CU_ASSERT_PTR_EQUAL(reads_next(&r), &large);
    CU_ASSERT_TRUE(large.room > large.expect);
    CU_ASSERT_PTR_NULL(reads_next(&r));
    reads_done(&r, &large);
    CU_ASSERT_PTR_EQUAL(reads_next(&r), &small[1]);
}

static void test_who_waits_comes_first_and_nobody_starves(void)
{
    struct reads r;
    struct read later[2] = {0}, urgent[8] = {0};
    size_t urgent_first = 0;
    reads_init(&r);
    want_all(&r, later, 2);
    for (size_t i = 0; i < 8; i++)
        reads_want(&r, &urgent[i], true);
    reads_want(&r, &later[1], true); /* somebody waits for it by now */
    struct read *one;
    while ((one = reads_next(&r)) != &later[0]) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(one);
        urgent_first++;
    }
    CU_ASSERT_TRUE(urgent_first > 0 && urgent_first < 8);
    CU_ASSERT_EQUAL(take_all(&r), 9 - urgent_first);
}

static void test_blame(void)
{
    struct reads r;
    struct read a = {.expect = 10}, b = {.expect = 2 * READS_CULPRIT};
    reads_init(&r);
    reads_want(&r, &a, true);
    reads_want(&r, &b, true);
    CU_ASSERT_EQUAL(take_all(&r), 2);
    CU_ASSERT_PTR_NULL(reads_lost(&r)); /* it may have been something else */
    CU_ASSERT_PTR_NULL(reads_next(&r));
    for (int times = 0; times < 2; times++) {
        reads_want(&r, &b, true);
        reads_want(&r, &a, true);
        CU_ASSERT_PTR_EQUAL(reads_next(&r), &b);
        CU_ASSERT_PTR_NULL(reads_next(&r)); /* alone */
        CU_ASSERT_PTR_EQUAL(reads_lost(&r), times == 0 ? NULL : &b);
    }
    CU_ASSERT_EQUAL(a.blame, 0);
}

static void test_small_ones_are_not_blamed(void)
{
    struct reads r;
    struct read a = {.expect = 10};
    reads_init(&r);
    for (int times = 0; times < 10; times++) { /* Redis goes away again and again, that is all */
        reads_want(&r, &a, true);
        CU_ASSERT_PTR_EQUAL(reads_next(&r), &a);
        CU_ASSERT_PTR_NULL(reads_lost(&r));
    }
    CU_ASSERT_EQUAL(a.blame, 0);
}

static void test_the_window_shrinks(void)
{
    static struct read all[MANY];
    struct reads r;
    reads_init(&r);
    size_t before = READS_WINDOW_MAX / READS_ROOM_FIRST;
    for (int times = 0; times < 20; times++) {
        want_all(&r, all, MANY);
        size_t taken = take_all(&r);
        CU_ASSERT_TRUE(taken <= before && taken > 0);
        before = taken;
        CU_ASSERT_PTR_NULL(reads_lost(&r));
    }
    CU_ASSERT_EQUAL(before, READS_WINDOW_MIN / READS_ROOM_FIRST);
}

static size_t filled_window(struct reads *r, struct read *all)
{
    want_all(r, all, MANY);
    size_t taken = take_all(r);
    for (size_t i = 0; i < MANY; i++)
        reads_done(r, &all[i]);
    return taken;
}

static void test_the_window_grows_back(void)
{
    static struct read all[MANY];
    struct reads r;
    reads_init(&r);
    for (int times = 0; times < 20; times++) {
        want_all(&r, all, MANY);
        (void)take_all(&r);
        CU_ASSERT_PTR_NULL(reads_lost(&r));
    }
    size_t smallest = READS_WINDOW_MIN / READS_ROOM_FIRST, largest = READS_WINDOW_MAX / READS_ROOM_FIRST,
           before = smallest;
    for (size_t times = 0; times < READS_WINDOWS_REGAIN; times++) /* a little is not enough */
        CU_ASSERT_EQUAL(filled_window(&r, all), smallest);
    for (size_t times = 0; times < 10 * READS_WINDOWS_REGAIN; times++) {
        size_t taken = filled_window(&r, all);
        CU_ASSERT_TRUE(taken >= before);
        before = taken;
    }
    CU_ASSERT_EQUAL(before, largest); /* and never more than that */
}

UNIT_MAIN("gateway/state/reads", UNIT(test_one_at_a_time_each), UNIT(test_the_window_holds),
          UNIT(test_small_ones_are_bounded_in_number), UNIT(test_larger_than_the_window_goes_alone),
          UNIT(test_who_waits_comes_first_and_nobody_starves), UNIT(test_blame), UNIT(test_small_ones_are_not_blamed),
          UNIT(test_the_window_shrinks), UNIT(test_the_window_grows_back))
