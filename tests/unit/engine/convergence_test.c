/* Promises over variables and lists: all copies meet (1), every frame applies (2, 3), and who stops reading costs a bounded amount of
 * memory (5). */
#include "tests/unit/engine/script.h"
#include "tests/unit/engine/steps.h"
#include "tests/unit/unit.h"

static void begin(uint64_t seed)
{
    steps.forgets = seed % 2;
}

static void check(const char *property, struct steps with)
{
    steps = with;
    script_check(&(struct script){property, begin, steps_take, steps_end});
}

static void test_all_copies_meet(void)
{
    check("without faults", (struct steps){.faults = false});
}

static void test_all_copies_meet_after_faults(void)
{
    check("with faults", (struct steps){.faults = true});
}

static void test_single_items(void)
{
    check("single items", (struct steps){.items = true});
}

static void test_single_items_after_faults(void)
{
    check("single items, with faults", (struct steps){.items = true, .faults = true});
}

static void test_no_more_than_the_max_rate(void)
{
    check("max_rate", (struct steps){.rates = true});
}

static void test_no_more_than_the_max_rate_after_faults(void)
{
    check("max_rate, with items and faults", (struct steps){.rates = true, .items = true, .faults = true});
}

UNIT_MAIN("engine/convergence", UNIT(test_all_copies_meet), UNIT(test_all_copies_meet_after_faults),
          UNIT(test_single_items), UNIT(test_single_items_after_faults), UNIT(test_no_more_than_the_max_rate),
          UNIT(test_no_more_than_the_max_rate_after_faults))
