/* Calls (6). */
#include "tests/unit/engine/world.h"
#include "tests/unit/unit.h"

/* --- step by step: what random scripts found --- */

/* Redis forgets who serves what, and the list is read before anything else tells of that. */
static void test_functions_are_registered_again(void)
{
    world_begin();
    world_connect(0);
    world_serve(0, 1);
    world_exchange();
    world_flush();
    for (int i = 0; i < 3; i++) {
        world_pass(3000);
        world_exchange();
    }
    CU_ASSERT_PTR_NULL(world_calls_difference());
    world_end();
}

static const char returned[] = "{\"func\":\"return\",\"type\":\"function\",\"name\":\"f0\",\"id\":0,\"value\":1}\n";

/* The call of the first client runs at the second one, which has answered it; all of that is on its way to the first gateway. */
static void begin_a_call(void)
{
    world_begin();
    world_connect(0);
    world_connect(1);
    world_serve(1, 0);
    world_exchange();
    world_call(0, 0);
    world_redis(0, SIZE_MAX);
    world_hear(1, SIZE_MAX);
    world_turn();
    CU_ASSERT_FATAL(world_answer(1, 0, false));
    world_redis(1, SIZE_MAX);
    world_hear(1, SIZE_MAX); /* somebody got the result, Redis says */
    (void)world_heard(0);
}

static void test_a_result_is_sent_again_to_who_listens_again(void)
{
    begin_a_call();
    world_cut(0);
    world_mend(0);
    world_exchange();
    CU_ASSERT_STRING_EQUAL(world_heard(0), returned);
    world_end();
}

static void test_results_are_sent_again_by_who_listens_again(void)
{
    begin_a_call();
    world_cut(0);
    world_cut(1);
    world_mend(0);
    world_exchange();
    CU_ASSERT_STRING_EQUAL(world_heard(0), "");
    world_mend(1);
    world_exchange();
    CU_ASSERT_STRING_EQUAL(world_heard(0), returned);
    world_end();
}

UNIT_MAIN("engine/calls", UNIT(test_functions_are_registered_again),
          UNIT(test_a_result_is_sent_again_to_who_listens_again),
          UNIT(test_results_are_sent_again_by_who_listens_again))
