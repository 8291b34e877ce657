/* What the texts of strings and numbers mean. json-c decodes escapes. */
#include <assert.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <limits.h>
#include <stdlib.h>

#include "protocol/json_scan.h"

/* ---- strings as values ---- */

/* decode hands the text to json-c and appends what it makes of it. */
static bool decode(struct slice text, size_t max, struct buf *scratch)
{
    if (text.len > INT_MAX)
        return false;
    struct json_tokener *tokener = json_tokener_new();
    struct json_object *string = tokener ? json_tokener_parse_ex(tokener, text.ptr, (int)text.len) : NULL;
    bool good = string && json_object_is_type(string, json_type_string);
    size_t len = good ? (size_t)json_object_get_string_len(string) : 0;
    good = good && len <= max;
    if (good)
        buf_put(scratch, json_object_get_string(string), len);
    json_object_put(string);
    json_tokener_free(tokener);
    return good && !scratch->failed;
}

bool json_string(struct slice text, size_t max, struct buf *scratch, struct slice *out)
{
    assert(text.len >= 2);
    struct slice raw = slice_of(text.ptr + 1, text.len - 2);
    if (raw.len == 0 || !memchr(raw.ptr, '\\', raw.len)) {
        *out = raw;
        return raw.len <= max;
    }
    if (raw.len / 6 > max) /* no escape is longer than 6 bytes for one */
        return false;
    size_t before = scratch->len;
    if (!decode(text, max, scratch))
        return false;
    *out = slice_of(scratch->ptr + before, scratch->len - before);
    return true;
}

/* The letter of the two-byte escape of a byte, 0 when it has none. */
char text_short_escape(unsigned char c)
{
    switch (c) {
    case '"':
    case '\\':
        return (char)c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static void put_escape(struct buf *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char letter = text_short_escape(c);
    buf_put_char(out, '\\');
    if (letter) {
        buf_put_char(out, letter);
        return;
    }
    buf_put_lit(out, "u00");
    buf_put_char(out, hex[c >> 4]);
    buf_put_char(out, hex[c & 15]);
}

void json_quote(struct buf *out, struct slice utf8)
{
    struct scan s = scan_of(utf8);
    buf_put_char(out, '"');
    while (s.p < s.end) {
        const unsigned char *start = s.p;
        while (s.p < s.end && (*s.p >= 0x80 || json_classes[*s.p] & JSON_PLAIN))
            s.p++;
        buf_put_slice(out, scan_span(start, s.p));
        if (s.p < s.end)
            put_escape(out, *s.p++);
    }
    buf_put_char(out, '"');
}

/* ---- integers ---- */

/* A number taken apart: sign, significant digits d, value = 0.d * 10^order. No digits: zero. */
struct decimal {
    bool negative;
    struct slice digits; /* from the first to the last that is not 0; a point may be among them */
    int64_t count;       /* of digits, without the point */
    int64_t order;
};

enum {
    DOUBLE_ORDER_MAX = 309, /* the largest double has so many digits before the point */
    INT64_ORDER_MAX = 19,
    EXPONENT_ENOUGH = 1000000000 /* longer than any text we scan: more cannot change the answer */
};

/* read_exponent: behind the `e`. */
static int64_t read_exponent(const unsigned char *p, const unsigned char *end)
{
    bool negative = p < end && *p == '-';
    int64_t n = 0;
    for (p += p < end && !scan_is(*p, JSON_DIGIT); p < end && n < EXPONENT_ENOUGH; p++)
        n = n * 10 + (*p - '0');
    return negative ? -n : n;
}

static struct decimal take_apart(struct slice number)
{
    struct scan s = scan_of(number);
    struct decimal d = {.negative = scan_peek(&s) == '-'};
    const unsigned char *first = NULL, *last = NULL;
    int64_t since_first = 0, before_point = 0; /* digits seen from `first` on; the same when the point was met */
    int64_t zeros_behind_point = 0;            /* before `first` */
    bool point = false;
    if (d.negative)
        s.p++;
    for (; s.p < s.end && *s.p != 'e' && *s.p != 'E'; s.p++) {
        if (*s.p == '.') {
            point = true;
            continue;
        }
        if (!first && *s.p != '0')
            first = s.p;
        if (first) {
            since_first++;
            before_point += !point;
        } else if (point) {
            zeros_behind_point++;
        }
        if (*s.p != '0') {
            last = s.p;
            d.count = since_first;
        }
    }
    if (first)
        d.digits = scan_span(first, last + 1);
    d.order = before_point - zeros_behind_point;
    if (s.p < s.end)
        d.order += read_exponent(s.p + 1, s.end);
    return d;
}

/* magnitude: the digits, filled up with zeros to `order` of them, at most 19. */
static uint64_t magnitude(const struct decimal *d)
{
    uint64_t n = 0;
    for (size_t i = 0; i < d->digits.len; i++)
        if (d->digits.ptr[i] != '.')
            n = n * 10 + (uint64_t)(d->digits.ptr[i] - '0');
    for (int64_t i = d->count; i < d->order; i++)
        n *= 10;
    return n;
}

enum integral text_integer(struct slice number, int64_t *out)
{
    struct decimal d = take_apart(number);
    if (d.count == 0) {
        *out = 0;
        return INTEGRAL;
    }
    if (d.count > d.order || d.order > DOUBLE_ORDER_MAX)
        return NOT_INTEGRAL;
    uint64_t most = d.negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t n = d.order > INT64_ORDER_MAX ? UINT64_MAX : magnitude(&d);
    bool clamped = n > most;
    if (clamped)
        n = most;
    *out = d.negative ? -(int64_t)(n - 1) - 1 : (int64_t)n;
    return clamped ? CLAMPED : INTEGRAL;
}

double json_double(struct slice number)
{
    char text[64]; /* more digits than a double tells apart */
    size_t len = number.len < sizeof(text) - 1 ? number.len : sizeof(text) - 1;
    memcpy(text, number.ptr, len);
    text[len] = '\0';
    return strtod(text, NULL);
}

bool json_integer(struct slice number, int64_t *out)
{
    return text_integer(number, out) != NOT_INTEGRAL;
}
