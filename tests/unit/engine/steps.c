/* What happens to variables and lists. */
#include "tests/unit/engine/steps.h"

#include "tests/unit/engine/script.h"
#include "tests/unit/engine/world.h"

struct steps steps;

static void connect_one(int client)
{
    if (!world_clients[client].conn)
        world_connect(client);
}

static void change(void)
{
    int name = script_below(WORLD_NAMES), id = script_below(WORLD_IDS), value = world_fresh();
    switch (script_below(13)) {
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
        world_insert(name, script_below(WORLD_ITEMS), id, value);
        break;
    case 7:
    case 8:
        world_set(name, id, value);
        break;
    case 9:
        world_delete(name, id);
        break;
    case 10:
        world_replace(name, script_below(WORLD_ITEMS + 1));
        break;
    case 11:
        world_move(name, id, script_below(WORLD_ITEMS));
        break;
    default:
        world_drop(name);
    }
}

static int interval(void)
{
    static const int intervals[] = {0, 200, 500};
    return steps.rates ? intervals[script_below(3)] : 0;
}

static void say_of_item(int client, int name)
{
    /* Mostly of one that is there, or was a moment ago. */
    const struct world_list *l = &world_lists[name];
    int id = l->total && script_below(4) ? l->ids[script_below(l->total)] : script_below(WORLD_IDS);
    switch (script_below(6)) {
    case 0:
        world_unsubscribe_item(client, name, id);
        break;
    case 1:
        world_get_item(client, name, id);
        break;
    default:
        world_subscribe_item(client, name, id, interval());
    }
}

static void say(int client)
{
    int name = script_below(WORLD_NAMES), id = script_below(WORLD_IDS);
    switch (script_below(steps.items ? 16 : 10)) {
    case 0:
    case 1:
    case 2:
        world_subscribe(client, script_below(2), name, interval());
        break;
    case 3:
        world_unsubscribe(client, true, name);
        break;
    case 4:
        world_unsubscribe(client, false, name);
        break;
    case 5:
    case 6:
        world_page(client, name, script_below(4), 1 + script_below(WORLD_PAGE));
        break;
    case 7:
        world_write_var(client, name);
        break;
    case 8:
        if (script_below(2))
            world_write_item(client, name, script_below(WORLD_ITEMS), id);
        else
            world_write_place(client, name, id, script_below(WORLD_ITEMS) - 1);
        break;
    case 9:
        world_say(client, "{\"func\":\"ping\"}");
        break;
    default:
        say_of_item(client, name);
    }
}

static void fault(int client, int gateway)
{
    switch (script_below(8)) {
    case 0:
        world_cut(gateway);
        break;
    case 1:
    case 2:
        /* Not both in one script: a Redis that begins anew and comes to the very revision that is held, by changes that all get lost,
         * looks like one where nothing happened, and nobody promises otherwise. */
        if (steps.forgets)
            world_flush();
        else
            world_lose_event(gateway);
        break;
    case 3:
        world_leave(client);
        break;
    case 4:
        world_stop(client, (size_t)script_below(100));
        break;
    default:
        world_mend(gateway);
    }
}

void steps_take(void)
{
    int client = script_below(WORLD_CLIENTS), gateway = script_below(WORLD_GATEWAYS), kind = script_below(20);
    connect_one(client);
    if (kind < 6)
        change();
    else if (kind < 12)
        say(client);
    else if (kind < 14)
        world_redis(gateway, 1 + (size_t)script_below(4));
    else if (kind < 17)
        world_hear(gateway, 1 + (size_t)script_below(4));
    else if (kind < 18)
        world_read(client, (size_t)script_below(300));
    else if (kind < 19)
        world_pass(100 * (1 + script_below(10)));
    else if (steps.faults)
        fault(client, gateway);
    if (script_below(3) == 0)
        world_turn();
}

void steps_call(int client)
{
    int name = script_below(WORLD_NAMES), kind = script_below(12);
    if (kind < 3)
        world_serve(client, name);
    else if (kind < 4)
        world_unserve(client, name);
    else if (kind < 8)
        world_call(client, name);
    else
        world_answer(client, script_below(2), script_below(4) == 0);
}

const char *steps_end(void)
{
    const char *found;
    world_settle();
    found = world_difference();
    for (int i = 0; i < WORLD_CLIENTS && !found; i++) {
        if (world_clients[i].most > 1024 * 1024)
            found = "too much waits for a client";
    }
    return found;
}
