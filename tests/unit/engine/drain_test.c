/* Drains: executors of a gateway that drains are not chosen any more; it stops listening, and closes its clients one after the other,
 * with a time to wait; who waits for the end of a call is closed late; what was in flight arrives before the close, and nothing behind it;
 * and it ends in time, when everybody has gone. All else is promised as ever, here and where its clients go. */
#include "tests/unit/engine/script.h"
#include "tests/unit/engine/steps.h"
#include "tests/unit/engine/world.h"
#include "tests/unit/unit.h"

/* One after the other, as is said to those who drain. */
static void drain(int gateway)
{
    for (int i = 0; i < WORLD_GATEWAYS; i++)
        if (world_drains(i))
            return;
    world_drain(gateway);
}

static void step(void)
{
    int client = script_below(WORLD_CLIENTS), gateway = script_below(WORLD_GATEWAYS), kind = script_below(40);
    if (kind < 20)
        steps_take();
    else if (kind < 37)
        steps_call(client);
    else if (kind < 38)
        world_pass(300);
    else
        drain(gateway);
}

/* Everybody comes back, and follows something. */
static const char *end(void)
{
    const char *found;
    world_settle();
    world_pass(20 * 1000);
    for (int client = 0; client < WORLD_CLIENTS; client++) {
        if (!world_clients[client].conn)
            world_connect(client);
        world_subscribe(client, false, 0, 0);
        world_subscribe(client, true, 1, 0);
    }
    world_settle();
    found = world_difference();
    return found ? found : world_calls_difference();
}

static void test_drains(void)
{
    steps = (struct steps){.items = true};
    script_check(&(struct script){"drains", NULL, step, end});
}

static void test_drains_with_faults(void)
{
    steps = (struct steps){.items = true, .faults = true};
    script_check(&(struct script){"drains, with faults", NULL, step, end});
}

UNIT_MAIN("engine/drain", UNIT(test_drains), UNIT(test_drains_with_faults))
