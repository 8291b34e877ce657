/* What the numbers of options count in: bytes and milliseconds. */
#ifndef SYNCGATE_GATEWAY_CONFIG_OPTION_UNITS_H
#define SYNCGATE_GATEWAY_CONFIG_OPTION_UNITS_H

#include <stdint.h>

#define KIB    INT64_C(1024)
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)
#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)

#endif
