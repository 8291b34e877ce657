/* One run: connect, publish, watch what arrives. */
#ifndef SYNCGATE_BENCH_LOAD_H
#define SYNCGATE_BENCH_LOAD_H

#include "bench/report.h"

/* load_run does what the options say and fills the report (whose `opt` it sets). */
void load_run(const struct options *opt, struct report *report);

#endif
