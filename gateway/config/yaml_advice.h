/* What a YAML parser complains about, in words that tell what to do. */
#ifndef SYNCGATE_GATEWAY_CONFIG_YAML_ADVICE_H
#define SYNCGATE_GATEWAY_CONFIG_YAML_ADVICE_H

#include <stdio.h>

#include "protocol/base/slice.h"

/* As libyaml tells it. */
struct yaml_fault {
    const char *problem; /* NULL: nothing is known */
    const char *context; /* "while scanning an alias"; may be NULL */
    size_t line, column; /* of the problem, from 0 */
    size_t began;        /* the line in which the context began, from 0 */
};

/* yaml_advice writes a sentence about the fault to `to`, and returns the line (from 1) to look at. `text` is the whole file. */
size_t yaml_advice(const struct yaml_fault *f, struct slice text, FILE *to);

#endif
