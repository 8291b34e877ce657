/* A number spelled in decimal digits: from the last one to the first, then moved to the front. */
#include "gateway/base/decimal.h"

struct decimal decimal_of(uint64_t n)
{
    struct decimal d;
    size_t at = sizeof d.digits;
    do {
        d.digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    d.len = sizeof d.digits - at;
    memmove(d.digits, d.digits + at, d.len);
    return d;
}
