/* Promises as properties over random scripts, with a fault at any point. SYNCGATE_SEED repeats one script, SYNCGATE_ENGINE_STEPS is the
 * length of all together. What fails is printed with its seed, and with the shortest beginning of the script that fails;
 * SYNCGATE_ENGINE_TRACE prints what happens in it. */
#ifndef SYNCGATE_TESTS_UNIT_ENGINE_SCRIPT_H
#define SYNCGATE_TESTS_UNIT_ENGINE_SCRIPT_H

#include <stdint.h>

struct script {
    const char *property;
    void (*begin)(uint64_t seed); /* in a new world; may be NULL */
    void (*step)(void);
    const char *(*end)(void); /* brings everything to rest; what is wrong then, or NULL */
};

void script_check(const struct script *s);

/* script_below: the next number of the script, from 0 to n - 1. */
int script_below(int n);

#endif
