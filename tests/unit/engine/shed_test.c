/* A connection that is full in the middle of a turn: what waits is thrown away, and whoever lost something is told the newest. */
#include "tests/unit/engine/world.h"

#include "tests/unit/unit.h"

enum { MANY = 8000 /* changes: more than one write takes */ };

static size_t count(const char *in, const char *what)
{
    size_t n = 0;
    for (const char *at = in; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static void arrive(void)
{
    while (world_redis(0, SIZE_MAX) + world_hear(0, SIZE_MAX))
        ;
}

static void test_what_was_written_is_not_told_again(void)
{
    world_begin();
    world_connect(0);
    world_var_set(0, 1);
    world_var_set(1, 1);
    world_subscribe(0, false, 0, 0);
    world_subscribe(0, false, 1, 0);
    world_settle();
    (void)world_heard(0);

    world_stop(0, 4096);
    world_var_set(0, 7); /* goes out with the first write */
    for (int i = 0; i < MANY; i++)
        world_var_set(1, 2000 + i);
    arrive();
    world_turn();
    world_settle();
    const char *heard = world_heard(0);
    CU_ASSERT_EQUAL(count(heard, "\"v0\""), 1);
    CU_ASSERT(count(heard, "\"v1\"") < MANY / 2); /* otherwise nothing was thrown away */
    CU_ASSERT_EQUAL(count(heard, "9999"), 1);
    CU_ASSERT_PTR_NULL(world_difference());
    CU_ASSERT_PTR_NULL(world_wrong);
    world_end();
}

UNIT_MAIN("engine/shed", UNIT(test_what_was_written_is_not_told_again))
