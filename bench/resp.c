/* The nesting of a reply needs no stack: an array only raises the number of values that are still to come. */
#include "bench/resp.h"

#include <stdio.h>
#include <string.h>

/* The decimal number up to \r\n; the position behind it, or 0 (more) or -1 (wrong). */
static ssize_t number_at(const char *bytes, size_t len, size_t at, int64_t *out)
{
    bool negative = at < len && bytes[at] == '-';
    *out = 0;
    for (size_t i = at + negative; i < len; i++) {
        if (bytes[i] == '\r')
            break;
        if (bytes[i] < '0' || bytes[i] > '9' || *out > INT64_MAX / 100)
            return -1;
        *out = *out * 10 + (bytes[i] - '0');
    }
    const char *end = memchr(bytes + at, '\r', len - at);
    if (!end || (size_t)(end - bytes) + 2 > len)
        return 0;
    if (negative)
        *out = -*out;
    return end - bytes + 2;
}

/* One value at `at`; the position behind it, 0 or -1. */
static ssize_t value_at(const char *bytes, size_t len, size_t at, struct resp_value *v)
{
    *v = (struct resp_value){.type = bytes[at]};
    if (v->type == '+' || v->type == '-') {
        const char *end = memchr(bytes + at, '\r', len - at);
        if (!end || (size_t)(end - bytes) + 2 > len)
            return 0;
        v->ptr = bytes + at + 1;
        v->len = (size_t)(end - v->ptr);
        return end - bytes + 2;
    }
    if (v->type != ':' && v->type != '$' && v->type != '*')
        return -1;
    ssize_t next = number_at(bytes, len, at + 1, &v->number);
    if (next <= 0 || v->type != '$' || v->number < 0)
        return next;
    if (len - (size_t)next < (size_t)v->number + 2)
        return 0;
    v->ptr = bytes + next;
    v->len = (size_t)v->number;
    return next + v->number + 2;
}

ssize_t resp_parse(const char *bytes, size_t len, struct resp_value *values, size_t max, size_t *count)
{
    ssize_t at = 0;
    *count = 0;
    for (int64_t wanted = 1; wanted > 0; wanted--) {
        struct resp_value v;
        if ((size_t)at >= len)
            return 0;
        at = value_at(bytes, len, (size_t)at, &v);
        if (at <= 0)
            return at;
        if (v.type == '*' && v.number > 0)
            wanted += v.number;
        if (*count < max)
            values[(*count)++] = v;
    }
    return at;
}

void resp_command(struct bytes *out, size_t words)
{
    bytes_format(out, "*%zu\r\n", words);
}

void resp_word(struct bytes *out, const char *text, size_t len)
{
    bytes_format(out, "$%zu\r\n", len);
    bytes_put(out, text, len);
    bytes_put(out, "\r\n", 2);
}

void resp_text(struct bytes *out, const char *text)
{
    resp_word(out, text, strlen(text));
}
