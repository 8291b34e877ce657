/* What a client missed is told in its newest form: when it is time, once, and no more than there is to tell. */
#include "protocol/dialects.h"
#include "tests/unit/engine/world.h"

#include "tests/unit/unit.h"

static size_t count(const char *in, const char *what)
{
    size_t n = 0;
    for (const char *at = in; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static const struct dialect *dialect_named(const char *name)
{
    for (size_t i = 0; dialects[i]; i++)
        if (!strcmp(dialects[i]->name, name))
            return dialects[i];
    return NULL;
}

/* It reads again a moment after it was told something: what it missed waits for its time all the same. */
static void test_who_reads_slowly_gets_no_more_than_its_rate(void)
{
    world_begin();
    world_connect(0);
    world_var_set(0, 1);
    world_subscribe(0, false, 0, 500);
    world_settle();
    world_pass(1000);
    world_stop(0, 0);
    world_var_set(0, 2);
    world_exchange(); /* fills the socket */
    world_var_set(0, 3);
    world_exchange();
    (void)world_heard(0);
    world_read(0, SIZE_MAX);
    world_turn();
    const char *heard = world_heard(0);
    CU_ASSERT_EQUAL(count(heard, "\"value\":2"), 1);
    CU_ASSERT_EQUAL(count(heard, "\"value\":3"), 0);
    world_pass(500);
    world_exchange();
    CU_ASSERT_EQUAL(count(world_heard(0), "\"value\":3"), 1);
    CU_ASSERT_PTR_NULL(world_difference());
    CU_ASSERT_PTR_NULL(world_wrong);
    world_end();
}

static void test_what_was_answered_is_not_told_again(void)
{
    world_begin();
    world_connect(0);
    world_var_set(0, 1);
    world_subscribe(0, false, 0, 500);
    world_settle();
    world_pass(1000);
    world_var_set(0, 2);
    world_exchange();
    world_var_set(0, 3); /* waits for its time */
    world_exchange();
    (void)world_heard(0);
    world_subscribe(0, false, 0, 500);
    world_exchange();
    CU_ASSERT_EQUAL(count(world_heard(0), "\"value\":3"), 1);
    world_pass(2000);
    world_exchange();
    CU_ASSERT_STRING_EQUAL(world_heard(0), "");
    world_end();
}

/* Two pages that know the item by two reads: one of before the link was lost, one of after. */
static void test_a_move_and_back_tells_nothing(void)
{
    world_begin();
    world_connect(0);
    world_connect(2);
    world_replace(0, 9);
    world_subscribe(0, true, 0, 0);
    world_exchange();
    world_cut(0);
    world_subscribe(2, true, 0, 0);
    world_page(2, 0, 0, 3);
    world_set(0, world_lists[0].ids[8], 100);
    world_mend(0);
    world_settle();
    int first = world_lists[0].ids[0], second = world_lists[0].ids[1];
    for (int client = 0; client <= 2; client += 2)
        world_stop(client, 0);
    world_set(0, second, 200);
    world_exchange(); /* fills the sockets */
    (void)world_heard(0);
    (void)world_heard(2);
    world_move(0, first, 2);
    world_move(0, first, 0);
    world_exchange();
    for (int client = 0; client <= 2; client += 2) {
        world_read(client, SIZE_MAX);
        const char *heard = world_heard(client);
        CU_ASSERT_EQUAL(count(heard, "\"func\":\"set\""), 1);
        CU_ASSERT_EQUAL(count(heard, "\"value\":200"), 1);
    }
    CU_ASSERT_PTR_NULL(world_difference());
    world_end();
}

/* SockSync v2 answers a subscribe to a list without a word. */
static void test_who_loses_its_rate_is_told_what_waited(void)
{
    world_begin();
    world_dialect = dialect_named("socksync2");
    CU_ASSERT_PTR_NOT_NULL_FATAL(world_dialect);
    world_connect(0);
    world_insert(0, 0, 1, 10);
    world_say(0, "{\"func\":\"subscribe\",\"type\":\"list\",\"name\":\"l0\",\"max_rate\":0.01}");
    world_exchange();
    world_say(0, "{\"func\":\"get\",\"type\":\"list\",\"name\":\"l0\"}");
    world_exchange();
    world_set(0, 1, 11);
    world_exchange();
    world_set(0, 1, 12); /* not before a long time */
    world_exchange();
    (void)world_heard(0);
    world_say(0, "{\"func\":\"subscribe\",\"type\":\"list\",\"name\":\"l0\"}");
    world_exchange();
    CU_ASSERT_EQUAL(count(world_heard(0), "12"), 1);
    world_end();
}

/* An item is not told before the page of the same client is: unless the client follows that no more. */
static void test_an_item_does_not_wait_for_a_page_that_was_left(void)
{
    world_begin();
    world_connect(0);
    world_replace(0, 9);
    int id = world_lists[0].ids[0];
    world_subscribe(0, true, 0, 500);
    world_exchange();
    world_subscribe_item(0, 0, id, 0);
    world_settle();
    world_pass(1000);
    world_set(0, id, 100);
    world_exchange();
    world_set(0, id, 101); /* the page has to wait, and the item with it */
    world_exchange();
    (void)world_heard(0);
    world_unsubscribe(0, true, 0);
    world_exchange();
    CU_ASSERT_EQUAL(count(world_heard(0), "\"value\":101"), 1);
    world_end();
}

UNIT_MAIN("engine/newest", UNIT(test_who_reads_slowly_gets_no_more_than_its_rate),
          UNIT(test_what_was_answered_is_not_told_again), UNIT(test_a_move_and_back_tells_nothing),
          UNIT(test_who_loses_its_rate_is_told_what_waited), UNIT(test_an_item_does_not_wait_for_a_page_that_was_left))
