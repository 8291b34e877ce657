/* Grants that change on open connections (8): what is lost ends with an error, and nothing of it is told behind that; what is won can be
 * subscribed to; and nobody writes without a grant. Everything else is promised as before. */
#include "tests/unit/engine/script.h"
#include "tests/unit/engine/steps.h"
#include "tests/unit/engine/world.h"
#include "tests/unit/unit.h"

static void begin(uint64_t seed)
{
    steps.forgets = seed % 2;
}

static void step(void)
{
    int client = script_below(WORLD_CLIENTS);
    if (script_below(12))
        steps_take();
    else
        world_regrant(client, script_below(4) ? GRANT_SUBSCRIBE : GRANT_WRITE, script_below(WORLD_ALL + 1));
}

static const char *follow_difference(const struct world_follow *f, bool granted)
{
    if (f->subscribed == granted && f->told == granted)
        return NULL;
    return granted ? "a subscription that is granted was refused" : "a subscription without a grant was made";
}

/* Everybody asks for everything, which is all there. */
static const char *end(void)
{
    const char *found = steps_end();
    for (int name = 0; name < WORLD_NAMES; name++) {
        world_var_set(name, world_fresh());
        world_replace(name, WORLD_ITEMS);
    }
    world_settle();
    for (int client = 0; client < WORLD_CLIENTS; client++)
        for (int name = 0; name < WORLD_NAMES && world_clients[client].conn; name++) {
            world_subscribe(client, false, name, 0);
            world_subscribe(client, true, name, 0);
            world_subscribe_item(client, name, world_lists[name].ids[0], 0);
        }
    world_settle();
    for (int client = 0; client < WORLD_CLIENTS; client++)
        for (int name = 0; name < WORLD_NAMES && world_clients[client].conn && !found; name++) {
            const struct world_client *c = &world_clients[client];
            bool granted = c->granted[GRANT_SUBSCRIBE] >> name & 1;
            const struct world_follow *item = &c->lists[name].items[world_lists[name].ids[0]].follow;
            found = follow_difference(&c->vars[name].follow, granted);
            found = found ? found : follow_difference(&c->lists[name].follow, granted);
            found = found ? found : follow_difference(item, granted);
        }
    return found ? found : world_difference();
}

static void test_regrants(void)
{
    steps = (struct steps){.items = true, .rates = true};
    script_check(&(struct script){"regrants", begin, step, end});
}

static void test_regrants_with_faults(void)
{
    steps = (struct steps){.items = true, .faults = true};
    script_check(&(struct script){"regrants, with faults", begin, step, end});
}

UNIT_MAIN("engine/grants", UNIT(test_regrants), UNIT(test_regrants_with_faults))
