/* What a turn is counted as: from the first arrival to its end, each change from the read that brought it; nothing for a turn in which
 * nothing arrived. */
#include "gateway/observe/turn.h"

#include "gateway/observe/metrics.h"
#include "tests/unit/unit.h"

static void begin(void)
{
    metrics_begin(-1);
    histograms[HISTOGRAM_TURN] = histograms[HISTOGRAM_CHANGE_TO_WRITE] = (struct histogram){0};
}

static int64_t turns(void)
{
    return histogram_count(&histograms[HISTOGRAM_TURN]);
}

static int64_t changes(void)
{
    return histogram_count(&histograms[HISTOGRAM_CHANGE_TO_WRITE]);
}

static void test_idle(void)
{
    begin();
    turn_ends(0);
    turn_ends(0);
    CU_ASSERT_EQUAL(turns(), 0);
}

static void test_arrival(void)
{
    begin();
    turn_begins();
    turn_begins();
    turn_ends(0);
    turn_ends(0);
    CU_ASSERT_EQUAL(turns(), 1);
    CU_ASSERT_EQUAL(changes(), 0);
}

/* Redis was heard, and nothing came of it. */
static void test_heard(void)
{
    begin();
    int64_t heard_us = turn_now_us() - 5000;
    turn_ends(heard_us);
    turn_ends(heard_us);
    CU_ASSERT_EQUAL(turns(), 1);
    CU_ASSERT_TRUE(histograms[HISTOGRAM_TURN].sum >= 5000);
}

/* Three reads in one turn, of which each brought changes; the turn began with the first. */
static void test_changes(void)
{
    begin();
    int64_t now = turn_now_us();
    for (int i = 0; i < 3; i++)
        turn_change(now - 3000000);
    turn_change(now - 2000000);
    turn_change(now - 1000000);
    turn_change(now - 1000000);
    turn_ends(now - 1000000);
    CU_ASSERT_EQUAL(turns(), 1);
    CU_ASSERT_EQUAL(changes(), 6);
    CU_ASSERT_TRUE(histograms[HISTOGRAM_TURN].sum >= 3000000);
    CU_ASSERT_TRUE(histograms[HISTOGRAM_CHANGE_TO_WRITE].sum >= 13000000);
    turn_ends(now - 1000000);
    CU_ASSERT_EQUAL(turns(), 1);
    CU_ASSERT_EQUAL(changes(), 6);
}

/* More reads than are remembered: every change counts all the same. */
static void test_many_reads(void)
{
    begin();
    int64_t now = turn_now_us();
    for (int i = 1000; i > 0; i--)
        turn_change(now - i);
    turn_ends(now);
    CU_ASSERT_EQUAL(turns(), 1);
    CU_ASSERT_EQUAL(changes(), 1000);
}

UNIT_MAIN("gateway/observe/turn", UNIT(test_idle), UNIT(test_arrival), UNIT(test_heard), UNIT(test_changes),
          UNIT(test_many_reads))
