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

UNIT_MAIN("engine/calls", UNIT(test_functions_are_registered_again))
