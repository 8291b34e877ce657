/* Slices: cutting at a delimiter and reading canonical integers.
 * Everything else about them is inline in the header. */
#include "protocol/base/slice.h"

bool slice_cut(struct slice *rest, char delim, struct slice *head)
{
    const char *at = rest->len ? memchr(rest->ptr, delim, rest->len) : NULL;
    if (!at)
        return false;
    size_t len = (size_t)(at - rest->ptr);
    *head = slice_of(rest->ptr, len);
    *rest = slice_of(at + 1, rest->len - len - 1);
    return true;
}

/* digits reads 1 to 19 decimal digits without a leading zero; 19 nines still fit in 64 bits. */
static bool digits(const char *ptr, size_t len, uint64_t *out)
{
    if (len == 0 || len > 19 || (ptr[0] == '0' && len > 1))
        return false;
    uint64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (ptr[i] < '0' || ptr[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(ptr[i] - '0');
    }
    *out = n;
    return true;
}

bool slice_i64(struct slice text, int64_t *out)
{
    bool negative = text.len > 0 && text.ptr[0] == '-';
    size_t sign = negative ? 1 : 0;
    uint64_t n;
    if (text.len == 0 || !digits(text.ptr + sign, text.len - sign, &n))
        return false;
    if (!negative) {
        if (n > INT64_MAX)
            return false;
        *out = (int64_t)n;
        return true;
    }
    if (n == 0 || n > (uint64_t)INT64_MAX + 1) /* "-0" is not canonical */
        return false;
    *out = -(int64_t)(n - 1) - 1;
    return true;
}
