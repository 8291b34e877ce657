/* A subscription that is answered without a word, as SockSync v2's of lists are: it follows nothing before a page is asked for. */
#include "protocol/dialects.h"
#include "tests/unit/engine/world.h"

#include "tests/unit/unit.h"

static const struct dialect *v2(void)
{
    for (size_t i = 0; dialects[i]; i++)
        if (!strcmp(dialects[i]->name, "socksync2"))
            return dialects[i];
    return NULL;
}

static void test_a_get_that_fails_ends_nothing_else(void)
{
    world_begin();
    world_dialect = v2();
    CU_ASSERT_PTR_NOT_NULL_FATAL(world_dialect);
    world_connect(0);
    world_insert(0, 0, 1, 10);
    world_say(0, "{\"func\":\"subscribe\",\"type\":\"list\",\"name\":\"l0\"}");
    world_settle();
    CU_ASSERT_STRING_EQUAL(world_heard(0), "");

    world_cut(0);
    world_say(0, "{\"func\":\"get\",\"type\":\"list\",\"name\":\"l0\"}");
    world_pass(60000);
    CU_ASSERT_PTR_NOT_NULL(strstr(world_heard(0), "\"error_code\":8"));

    world_mend(0);
    world_settle();
    world_say(0, "{\"func\":\"get\",\"type\":\"list\",\"name\":\"l0\"}");
    world_settle();
    CU_ASSERT_PTR_NOT_NULL(strstr(world_heard(0), "\"set_all\""));
    world_insert(0, 0, 2, 20);
    world_settle();
    CU_ASSERT_PTR_NOT_NULL(strstr(world_heard(0), "\"insert\""));
    world_end();
}

UNIT_MAIN("engine/quiet", UNIT(test_a_get_that_fails_ends_nothing_else))
