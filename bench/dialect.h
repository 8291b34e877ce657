/* How each kind of server is talked to. */
#ifndef SYNCGATE_BENCH_DIALECT_H
#define SYNCGATE_BENCH_DIALECT_H

#include "bench/client.h"

const struct dialect *dialect_of(enum kind kind);

#endif
