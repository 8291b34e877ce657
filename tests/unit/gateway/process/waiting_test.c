/* When waiting is told. */
#include "gateway/process/waiting.h"
#include "tests/unit/unit.h"

static void test_more_and_more_rarely(void)
{
    static const int64_t told_at[] = {3, 6, 12, 24, 48, 96, 192, 384, 684, 984};
    struct waiting w = {0};
    size_t told = 0;
    for (int64_t second = 1; second <= 1000; second++) {
        if (!waiting_second(&w, false))
            continue;
        CU_ASSERT_FATAL(told < sizeof(told_at) / sizeof(told_at[0]));
        CU_ASSERT_EQUAL(w.seconds, second);
        CU_ASSERT_EQUAL(second, told_at[told++]);
    }
    CU_ASSERT_EQUAL(told, sizeof(told_at) / sizeof(told_at[0]));
}

static void test_anew_each_time(void)
{
    struct waiting w = {0};
    for (int round = 0; round < 3; round++) {
        CU_ASSERT_FALSE(waiting_second(&w, true));
        CU_ASSERT_FALSE(waiting_second(&w, false));
        CU_ASSERT_FALSE(waiting_second(&w, false));
        CU_ASSERT_TRUE(waiting_second(&w, false));
    }
}

UNIT_MAIN("gateway/process/waiting", UNIT(test_more_and_more_rarely), UNIT(test_anew_each_time))
