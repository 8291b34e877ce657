/* Steps of scripts about variables and lists. */
#ifndef SYNCGATE_TESTS_UNIT_ENGINE_STEPS_H
#define SYNCGATE_TESTS_UNIT_ENGINE_STEPS_H

#include <stdbool.h>

/* Which of them there are. */
struct steps {
    bool faults, items, rates;
    bool forgets; /* in this script Redis goes back now and then; in the others changes get lost without a trace */
};
extern struct steps steps;

void steps_take(void);
/* steps_call: something about functions. */
void steps_call(int client);
/* steps_end brings everything to rest. What is wrong then, or NULL. */
const char *steps_end(void);

#endif
