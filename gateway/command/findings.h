/* What was looked at and found, as a table for people: a line each, with a cure where something is wrong. Scripts take the exit
 * code. */
#ifndef SYNCGATE_GATEWAY_COMMAND_FINDINGS_H
#define SYNCGATE_GATEWAY_COMMAND_FINDINGS_H

#include <stdbool.h>
#include <stdio.h>

enum finding {
    FINDING_OK,
    FINDING_NOTE, /* worth knowing; nobody has to do anything */
    FINDING_BAD
};

struct findings {
    FILE *to;
    bool faults_only; /* what is well is not written */
    size_t bad;       /* how many were */
};

/* findings_add writes one: its subject (one or two words), what was found, and what to do about it (NULL: nothing). */
void findings_add(struct findings *f, enum finding level, const char *subject, const char *cure, const char *format,
                  ...) __attribute__((format(printf, 5, 6)));

#endif
