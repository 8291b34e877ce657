/* A number spelled in decimal digits, for keys and ids. */
#ifndef SYNCGATE_GATEWAY_BASE_DECIMAL_H
#define SYNCGATE_GATEWAY_BASE_DECIMAL_H

#include "protocol/base/slice.h"

struct decimal {
    char digits[20]; /* as many as UINT64_MAX has; not NUL-terminated */
    size_t len;
};

struct decimal decimal_of(uint64_t n);

/* Borrowed from d. */
static inline struct slice decimal_slice(const struct decimal *d)
{
    return slice_of(d->digits, d->len);
}

#endif
