/* Lists, step by step: what random scripts found. */
#include "tests/unit/engine/world.h"
#include "tests/unit/unit.h"

static const char subscribe_item[] = "{\"func\":\"subscribe\",\"type\":\"list\",\"name\":\"l0\",\"id\":11}";

static const char *set_item(int value)
{
    static char text[128];
    snprintf(text, sizeof(text),
             "{\"func\":\"set\",\"type\":\"list\",\"name\":\"l0\",\"id\":11,"
             "\"value\":%d}\n",
             value);
    return text;
}

/* A slow client follows one item; the list is replaced, and read only after the
 * client takes something again. */
static void test_an_item_is_not_told_before_it_is_known(void)
{
    world_begin();
    world_connect(0);
    world_insert(0, 0, 11, 1);
    world_say(0, "%s", subscribe_item);
    world_exchange();
    CU_ASSERT_STRING_EQUAL(world_heard(0), set_item(1));
    world_stop(0, 0);
    world_set(0, 11, 2);
    world_exchange(); /* fills the socket */
    world_set(0, 11, 3);
    world_exchange();
    world_replace(0, WORLD_ITEMS);
    CU_ASSERT_EQUAL_FATAL(world_lists[0].ids[1], 11);
    world_hear(0, SIZE_MAX);
    world_read(0, SIZE_MAX);
    CU_ASSERT_STRING_EQUAL(world_heard(0), set_item(2));
    world_exchange();
    CU_ASSERT_STRING_EQUAL(world_heard(0), set_item(world_lists[0].values[1]));
    world_end();
}

/* A get that stands behind another question, which waits until the client's
 * page was told: by then its own page has vanished, and nobody here knows the
 * one that is the last now. */
static void test_a_get_behind_a_page_that_waits_is_answered(void)
{
    world_begin();
    world_connect(0);
    world_replace(0, 9);
    world_say(0, "{\"func\":\"subscribe\",\"type\":\"list\",\"name\":\"l0\","
                 "\"max_rate\":2}");
    world_exchange();
    world_set(0, world_lists[0].ids[0], 100);
    world_exchange(); /* the next one not before half a second has passed */
    world_set(0, world_lists[0].ids[0], 101);
    world_lose_event(0);
    world_set(0, world_lists[0].ids[0], 102);
    world_hear(0, SIZE_MAX); /* it has to be read, and may be of any length */
    world_say(0, "{\"func\":\"subscribe\",\"type\":\"list\",\"name\":\"l0\",\"id\":%d}", world_lists[0].ids[8]);
    world_say(0, "{\"func\":\"get\",\"type\":\"list\",\"name\":\"l0\",\"page\":9,"
                 "\"page_size\":4}");
    world_exchange();
    (void)world_heard(0);
    world_pass(500);
    CU_ASSERT_PTR_NOT_NULL(strstr(world_heard(0), "\"value\":102"));
    world_exchange();
    CU_ASSERT_PTR_NOT_NULL(strstr(world_heard(0), "\"func\":\"set_all\",\"type\":\"list\",\"name\":\"l0\",\"page\":2"));
    world_end();
}

UNIT_MAIN("engine/list", UNIT(test_an_item_is_not_told_before_it_is_known),
          UNIT(test_a_get_behind_a_page_that_waits_is_answered))
