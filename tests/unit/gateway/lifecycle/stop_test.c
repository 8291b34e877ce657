/* Which signals are one. */
#include "gateway/lifecycle/stop.h"
#include "tests/unit/unit.h"

#include <signal.h>

static const struct {
    int number;
    int64_t at_ms;
    int times;
} signals[] = {
    {SIGTERM, 5000, 1}, {SIGTERM, 5000, 0}, {SIGTERM, 5999, 0}, {SIGTERM, 6000, 2}, {SIGTERM, 6500, 0},
    {SIGINT, 6501, 3},  {SIGINT, 6502, 0},  {SIGTERM, 6503, 4}, {SIGTERM, 9000, 5},
};

static void test_signals(void)
{
    struct stop s = {0};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        CU_ASSERT_EQUAL(stop_signal(&s, signals[i].number, signals[i].at_ms), signals[i].times);
}

/* The clock may stand at 0. */
static void test_the_first_counts(void)
{
    struct stop s = {0};
    CU_ASSERT_EQUAL(stop_signal(&s, SIGTERM, 0), 1);
    CU_ASSERT_EQUAL(stop_signal(&s, SIGTERM, 0), 0);
}

UNIT_MAIN("gateway/lifecycle/stop", UNIT(test_signals), UNIT(test_the_first_counts))
