/* Calls (6): each ends exactly once, with an answer that its caller can name, by its deadline; it runs on one executor at most; what an
 * executor answered in time arrives, whatever happened on the way, unless its gateway is gone. And everybody knows which functions
 * there are. */
#include "tests/unit/engine/script.h"
#include "tests/unit/engine/steps.h"
#include "tests/unit/engine/world.h"
#include "tests/unit/unit.h"

static bool cuts, kills, regrants;

static void fault(int client, int gateway)
{
    switch (script_below(10)) {
    case 0:
    case 1:
        world_cut(gateway);
        break;
    case 2:
        world_leave(client);
        break;
    case 3:
        world_stop(client, (size_t)script_below(100));
        break;
    case 4:
        if (kills)
            world_kill(gateway);
        break;
    case 5:
        if (!kills || script_below(4))
            break;
        world_exchange(); /* so that everybody knows the revision that it goes back from */
        world_flush();
        break;
    case 6:
        world_lose_event(gateway);
        break;
    default:
        world_mend(gateway);
    }
}

static void step(void)
{
    int client = script_below(WORLD_CLIENTS), gateway = script_below(WORLD_GATEWAYS), kind = script_below(24);
    if (!world_clients[client].conn)
        world_connect(client);
    if (kind < 12)
        steps_call(client);
    else if (kind < 15)
        world_redis(gateway, 1 + (size_t)script_below(4));
    else if (kind < 19)
        world_hear(gateway, 1 + (size_t)script_below(4));
    else if (kind < 20)
        world_read(client, (size_t)script_below(300));
    else if (kind < 21)
        world_pass(100 * (1 + script_below(10)));
    else if (kind < 22 && regrants)
        world_regrant(client, script_below(2) ? GRANT_CALL : GRANT_SERVE, script_below(WORLD_ALL + 1));
    else if (cuts)
        fault(client, gateway);
    if (script_below(3) == 0)
        world_turn();
}

/* Some jobs are answered, the others run into their deadline. Gateways that are gone are buried by then. */
static const char *end(void)
{
    const char *found;
    world_settle();
    found = world_calls_stuck();
    for (int client = 0; client < WORLD_CLIENTS; client++)
        for (int job = script_below(3); world_answer(client, job, false);)
            ;
    for (int second = 0; second < 16; second++) {
        world_exchange();
        world_pass(1000);
    }
    world_exchange();
    return found ? found : world_calls_difference();
}

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

static void test_calls(void)
{
    cuts = kills = regrants = false;
    script_check(&(struct script){"calls", NULL, step, end});
}

static void test_calls_with_regrants(void)
{
    cuts = kills = false;
    regrants = true;
    script_check(&(struct script){"calls, with regrants", NULL, step, end});
}

static void test_calls_with_cuts(void)
{
    kills = regrants = false;
    cuts = true;
    script_check(&(struct script){"calls, with cuts", NULL, step, end});
}

static void test_calls_with_all_faults(void)
{
    cuts = kills = regrants = true;
    script_check(&(struct script){"calls, with all faults", NULL, step, end});
}

UNIT_MAIN("engine/calls", UNIT(test_functions_are_registered_again),
          UNIT(test_a_result_is_sent_again_to_who_listens_again),
          UNIT(test_results_are_sent_again_by_who_listens_again), UNIT(test_calls), UNIT(test_calls_with_regrants),
          UNIT(test_calls_with_cuts), UNIT(test_calls_with_all_faults))
