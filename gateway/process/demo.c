#include "gateway/process/demo.h"

#include <time.h>

#include "gateway/base/clock.h"
#include "gateway/config/options.h"
#include "gateway/state/topic.h"
#include "gateway/state/topic_var.h"
#include "gateway/state/topics.h"

/* A time in whole seconds is the clock's own. The page writes milliseconds. */
#define TIME_FORMAT "\"%Y-%m-%dT%H:%M:%SZ\""
enum { TIME_LEN = 22 };

static const struct {
    struct slice name, value;
} variables[] = {
    {SLICE_LIT("demo:slider"), SLICE_LIT("42")},
    {SLICE_LIT("demo:text"), SLICE_LIT("\"Change me, here or with redis-cli\"")},
};

static const struct {
    struct slice id, value;
} items[] = {
    {SLICE_LIT("\"lemons\""), SLICE_LIT("\"Photograph three lemons\"")},
    {SLICE_LIT("\"bridge\""), SLICE_LIT("\"Measure the old bridge\"")},
    {SLICE_LIT("\"door\""), SLICE_LIT("\"Paint the blue door\"")},
    {SLICE_LIT("\"boat\""), SLICE_LIT("\"Fold a paper boat\"")},
    {SLICE_LIT("\"train\""), SLICE_LIT("\"Catch the night train\"")},
    {SLICE_LIT("\"stones\""), SLICE_LIT("\"Count seven stones\"")},
    {SLICE_LIT("\"vane\""), SLICE_LIT("\"Repair the weather vane\"")},
    {SLICE_LIT("\"garden\""), SLICE_LIT("\"Water the small garden\"")},
    {SLICE_LIT("\"kettle\""), SLICE_LIT("\"Polish the kettle\"")},
    {SLICE_LIT("\"map\""), SLICE_LIT("\"Draw a map of the harbour\"")},
    {SLICE_LIT("\"kite\""), SLICE_LIT("\"Mend the red kite\"")},
    {SLICE_LIT("\"letter\""), SLICE_LIT("\"Answer the long letter\"")},
};

/* Another gateway or a user may have been faster: Redis refuses then, and that is right. */
static void on_written(void *arg, const struct store_result *r, int64_t n)
{
    (void)arg;
    (void)r;
    (void)n;
}

static const struct topic *never_was(struct gateway *g, enum kind kind, struct slice name)
{
    const struct topic *t = topics_find_used(g->topics, kind, name);
    return t && !t->exists && t->rev == 0 ? t : NULL;
}

static void fill_variables(struct gateway *g)
{
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        if (never_was(g, KIND_VAR, variables[i].name))
            store_var_set_at(g->store, variables[i].name, variables[i].value, 0, on_written, NULL);
}

static void fill_list(struct gateway *g)
{
    static const struct slice name = SLICE_LIT("demo:todo");
    if (!never_was(g, KIND_LIST, name))
        return;
    for (size_t i = 0; i < sizeof(items) / sizeof(items[0]); i++)
        store_list_insert(g->store, name, -1, items[i].id, items[i].value, on_written, NULL);
}

/* Reading one's own time back tells whether it is one. */
static bool is_ours(struct slice value)
{
    char text[TIME_LEN + 1];
    struct tm t = {0};
    if (value.len != TIME_LEN)
        return false;
    memcpy(text, value.ptr, TIME_LEN);
    text[TIME_LEN] = '\0';
    const char *end = strptime(text, TIME_FORMAT, &t);
    return end && *end == '\0';
}

static void tick(struct gateway *g)
{
    static const struct slice name = SLICE_LIT("demo:clock");
    const struct topic *clock = topics_find_used(g->topics, KIND_VAR, name);
    char now[TIME_LEN + 1];
    struct tm t;
    time_t seconds = (time_t)(clock_wall_ms() / 1000);
    if (!clock || !(clock->exists ? is_ours(topic_var_value(clock)) : clock->rev == 0))
        return;
    size_t len = strftime(now, sizeof(now), TIME_FORMAT, gmtime_r(&seconds, &t));
    if (!slice_eq(topic_var_value(clock), slice_of(now, len)))
        store_var_set_at(g->store, name, slice_of(now, len), clock->rev, on_written, NULL);
}

void demo_second(struct gateway *g)
{
    if (!g->opt->dev || !g->redis_up)
        return;
    fill_variables(g);
    fill_list(g);
    tick(g);
}
