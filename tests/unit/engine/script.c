#include "tests/unit/engine/script.h"

#include <inttypes.h>
#include <stdlib.h>

#include "tests/unit/engine/world.h"
#include "tests/unit/unit.h"

enum { SCRIPT_STEPS = 150 };

static uint64_t state;

int script_below(int n)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int)((state >> 33) % (uint64_t)n);
}

static const char *run(const struct script *s, uint64_t seed, int steps)
{
    const char *found = NULL;
    state = seed;
    world_trace("seed %" PRIu64 ", %d steps", seed, steps);
    world_begin();
    if (s->begin)
        s->begin(seed);
    for (int i = 0; i < steps && !world_wrong; i++)
        s->step();
    if (!world_wrong)
        found = s->end();
    if (world_wrong)
        found = world_wrong;
    world_end();
    return found;
}

static int shortest(const struct script *s, uint64_t seed)
{
    int steps = 1;
    while (steps < SCRIPT_STEPS && !run(s, seed, steps))
        steps++;
    return steps;
}

void script_check(const struct script *s)
{
    const char *one = getenv("SYNCGATE_SEED"), *total = getenv("SYNCGATE_ENGINE_STEPS");
    uint64_t first = one ? strtoull(one, NULL, 10) : 1;
    long scripts = one ? 1 : (total ? strtol(total, NULL, 10) : 60000) / SCRIPT_STEPS;
    for (long i = 0; i < scripts; i++) {
        uint64_t seed = first + (uint64_t)i;
        const char *found = run(s, seed, SCRIPT_STEPS);
        if (!found)
            continue;
        printf("\n    %s: %s: SYNCGATE_SEED=%" PRIu64 ", after %d steps\n", s->property, found, seed,
               shortest(s, seed));
        CU_FAIL_FATAL("a property does not hold");
    }
}
