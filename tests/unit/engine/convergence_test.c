/* Promises as properties over random scripts, with a fault at any point: all copies meet (1), every frame applies (2, 3), and who stops
 * reading costs a bounded amount of memory (5). SYNCGATE_SEED repeats one script, SYNCGATE_ENGINE_STEPS is the length of all together. What
 * fails is printed with its seed, and with the shortest beginning of the script that fails. */
#include <inttypes.h>

#include "tests/unit/engine/world.h"
#include "tests/unit/unit.h"

enum { SCRIPT_STEPS = 150 };

static uint64_t state;

static int below(int n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 33) % (uint64_t)n);
}

/* --- steps --- */

static void connect_one(int client)
{
    if (!world_clients[client].conn)
        world_connect(client);
}

static void change(void)
{
    int name = below(WORLD_NAMES), id = below(WORLD_IDS), value = below(1000);
    switch (below(12)) {
    case 0:
    case 1:
    case 2:
        world_var_set(name, value);
        break;
    case 3:
        world_var_delete(name);
        break;
    case 4:
    case 5:
    case 6:
        world_insert(name, below(WORLD_ITEMS), id, value);
        break;
    case 7:
    case 8:
        world_set(name, id, value);
        break;
    case 9:
        world_delete(name, id);
        break;
    case 10:
        world_replace(name, below(WORLD_ITEMS + 1));
        break;
    default:
        world_drop(name);
    }
}

static void say(int client)
{
    int name = below(WORLD_NAMES), id = below(WORLD_IDS), value = below(1000);
    switch (below(10)) {
    case 0:
    case 1:
    case 2:
        world_subscribe(client, below(2), name);
        break;
    case 3:
        if (world_clients[client].lists[name].subscribed)
            world_unsubscribe(client, true, name);
        break;
    case 4:
        if (world_clients[client].vars[name].subscribed)
            world_unsubscribe(client, false, name);
        break;
    case 5:
    case 6:
        if (world_clients[client].lists[name].subscribed)
            world_page(client, name, below(4), 1 + below(WORLD_PAGE));
        break;
    case 7:
        world_say(client, "{\"func\":\"set\",\"type\":\"var\",\"name\":\"v%d\",\"value\":%d}", name, value);
        break;
    case 8:
        world_say(client,
                  "{\"func\":\"insert\",\"type\":\"list\",\"name\":\"l%d\",\"index\":%d,\"id\":%d,\"value\":%d}", name,
                  below(WORLD_ITEMS), id, value);
        break;
    default:
        world_say(client, "{\"func\":\"ping\"}");
    }
}

static bool faults;
static bool forgets; /* in this script Redis goes back now and then; in the others changes get lost without a trace */

static void fault(int client)
{
    switch (below(8)) {
    case 0:
        world_cut();
        break;
    case 1:
    case 2:
        /* Not both in one script: a Redis that begins anew and comes to the very revision that is held, by changes that all get lost,
         * looks like one where nothing happened, and nobody promises otherwise. */
        if (forgets)
            world_flush();
        else
            world_lose_event();
        break;
    case 3:
        world_leave(client);
        break;
    case 4:
        world_stop(client, (size_t)below(100));
        break;
    default:
        world_mend();
    }
}

static void step(void)
{
    int client = below(WORLD_CLIENTS), kind = below(20);
    connect_one(client);
    if (kind < 6)
        change();
    else if (kind < 12)
        say(client);
    else if (kind < 14)
        world_redis(1 + (size_t)below(4));
    else if (kind < 17)
        world_hear(1 + (size_t)below(4));
    else if (kind < 18)
        world_read(client, (size_t)below(300));
    else if (kind < 19)
        world_pass(100 * (1 + below(10)));
    else if (faults)
        fault(client);
    if (below(3) == 0)
        world_turn();
}

/* --- one script --- */

static const char *run(uint64_t seed, int steps)
{
    const char *wrong;
    state = seed;
    forgets = seed % 2;
    world_begin();
    for (int i = 0; i < steps && !world_wrong; i++)
        step();
    world_settle();
    wrong = world_wrong ? world_wrong : world_difference();
    for (int i = 0; i < WORLD_CLIENTS && !wrong; i++) {
        if (world_clients[i].closed)
            wrong = "a client that reads was closed";
        if (world_clients[i].most > 1024 * 1024)
            wrong = "too much waits for a client";
    }
    world_end();
    return wrong;
}

static int shortest(uint64_t seed)
{
    int steps = 1;
    while (steps < SCRIPT_STEPS && !run(seed, steps))
        steps++;
    return steps;
}

static void check(const char *property)
{
    const char *one = getenv("SYNCGATE_SEED"), *total = getenv("SYNCGATE_ENGINE_STEPS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    long scripts = one ? 1 : (total ? strtol(total, NULL, 10) : 60000) / SCRIPT_STEPS;
    for (long i = 0; i < scripts; i++) {
        uint64_t seed = first + (uint64_t)i;
        const char *wrong = run(seed, SCRIPT_STEPS);
        if (!wrong)
            continue;
        printf("\n    %s: %s: SYNCGATE_SEED=%" PRIu64 ", after %d steps\n", property, wrong, seed, shortest(seed));
        CU_FAIL_FATAL("a property does not hold");
    }
}

static void test_all_copies_meet(void)
{
    faults = false;
    check("without faults");
}

static void test_all_copies_meet_after_faults(void)
{
    faults = true;
    check("with faults");
}

UNIT_MAIN("engine/convergence", UNIT(test_all_copies_meet), UNIT(test_all_copies_meet_after_faults))
