/* The strict scanner and the conversions. json-c takes part only where a string holds escapes that must be decoded: what is
 * forwarded is never parsed by it, because even its strict mode accepts what JSON forbids. */
#include "protocol/json.h"

#include "protocol/json_scan.h"

/* The containers around the byte that is being scanned, below the value that the scan began with. */
struct nest {
    int depth, deepest, max;
    bool object[JSON_DEPTH_LIMIT]; /* written when entered: needs no clearing */
};

/* ---- containers: a loop down and up instead of recursion, because a peer decides how deep it goes ---- */

/* scan_key: a key and its colon, up to the value. */
static bool scan_key(struct scan *s)
{
    if (scan_peek(s) != '"')
        return scan_fail(s, JSON_INVALID);
    if (!scan_string(s))
        return false;
    scan_space(s);
    if (scan_peek(s) != ':')
        return scan_fail(s, JSON_INVALID);
    s->p++;
    scan_space(s);
    return true;
}

static bool enter(struct scan *s, struct nest *n, bool object)
{
    if (n->depth >= n->max)
        return scan_fail(s, JSON_TOO_DEEP);
    n->object[n->depth++] = object;
    if (n->deepest < n->depth)
        n->deepest = n->depth;
    s->p++;
    scan_space(s);
    return true;
}

/* descend: from the first byte of a value to behind its first scalar or empty container. */
static bool descend(struct scan *s, struct nest *n)
{
    for (int c = scan_peek(s); c == '{' || c == '['; c = scan_peek(s)) {
        bool object = c == '{';
        if (!enter(s, n, object))
            return false;
        if (scan_peek(s) == (object ? '}' : ']')) {
            s->p++;
            n->depth--;
            return true;
        }
        if (object && !scan_key(s))
            return false;
    }
    return scan_scalar(s);
}

/* ascend: from behind a value out of every container that it completes, up to the next value of the first that goes on. */
static bool ascend(struct scan *s, struct nest *n)
{
    while (n->depth > 0) {
        bool object = n->object[n->depth - 1];
        scan_space(s);
        int c = scan_peek(s);
        if (c == ',') {
            s->p++;
            scan_space(s);
            return !object || scan_key(s);
        }
        if (c != (object ? '}' : ']'))
            return scan_fail(s, JSON_INVALID);
        s->p++;
        n->depth--;
    }
    return true;
}

static enum json_kind type_of(int first)
{
    switch (first) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    case -1:
        return JSON_ABSENT;
    default:
        return JSON_NUMBER;
    }
}

/* scan_value: one whole value, from its first byte to behind its last. */
static bool scan_value(struct scan *s, int max_depth, struct json_value *value)
{
    const unsigned char *start = s->p;
    struct nest n;
    n.depth = n.deepest = 0;
    n.max = max_depth < JSON_DEPTH_LIMIT ? max_depth : JSON_DEPTH_LIMIT;
    do {
        if (!descend(s, &n) || !ascend(s, &n))
            return false;
    } while (n.depth > 0);
    *value = (struct json_value){.text = scan_span(start, s->p), .type = type_of(*start), .depth = n.deepest};
    return true;
}

/* scan_end: nothing but white space up to the end. */
static enum json_status scan_end(struct scan *s)
{
    scan_space(s);
    if (s->status == JSON_OK && s->p != s->end)
        s->status = JSON_INVALID;
    return s->status;
}

enum json_status json_check(struct slice text, int max_depth)
{
    struct scan s = scan_of(text);
    struct json_value whole;
    scan_space(&s);
    if (!scan_value(&s, max_depth, &whole))
        return s.status;
    return scan_end(&s);
}

/* ---- members ---- */

/* key_is: does the raw key (between its quotes) mean `name`? An escaped one is decoded, if it can be as short. */
static bool key_is(struct slice raw, bool escaped, struct slice name)
{
    if (!escaped)
        return slice_eq(raw, name);
    if (raw.len > 6 * name.len)
        return false;
    struct buf scratch;
    struct slice decoded;
    buf_init(&scratch, name.len);
    bool same =
        json_string(slice_of(raw.ptr - 1, raw.len + 2), name.len, &scratch, &decoded) && slice_eq(decoded, name);
    buf_deinit(&scratch);
    return same;
}

static struct json_value *find_key(struct slice raw, const struct slice *keys, size_t n, struct json_value *values)
{
    bool escaped = raw.len && memchr(raw.ptr, '\\', raw.len) != NULL;
    for (size_t i = 0; i < n; i++)
        if (key_is(raw, escaped, keys[i]))
            return &values[i];
    return NULL;
}

static bool scan_member(struct scan *s, int max_depth, const struct slice *keys, size_t n, struct json_value *values)
{
    const unsigned char *start = s->p + 1;
    struct json_value value;
    if (scan_peek(s) != '"')
        return scan_fail(s, JSON_INVALID);
    if (!scan_string(s))
        return false;
    struct json_value *wanted = find_key(scan_span(start, s->p - 1), keys, n, values);
    scan_space(s);
    if (scan_peek(s) != ':')
        return scan_fail(s, JSON_INVALID);
    s->p++;
    scan_space(s);
    if (!scan_value(s, max_depth, &value))
        return false;
    if (wanted)
        *wanted = value;
    scan_space(s);
    return true;
}

/* scan_members: one whole object, from its brace to behind the other. */
static bool scan_members(struct scan *s, int max_depth, const struct slice *keys, size_t n, struct json_value *values)
{
    for (size_t i = 0; i < n; i++)
        values[i] = (struct json_value){.type = JSON_ABSENT};
    if (max_depth < 1)
        return scan_fail(s, JSON_TOO_DEEP);
    s->p++;
    scan_space(s);
    if (scan_peek(s) == '}') {
        s->p++;
        return true;
    }
    for (;;) {
        if (!scan_member(s, max_depth - 1, keys, n, values))
            return false;
        int c = scan_peek(s);
        if (c != ',' && c != '}')
            return scan_fail(s, JSON_INVALID);
        s->p++;
        if (c == '}')
            return true;
        scan_space(s);
    }
}

enum json_status json_members(struct slice text, int max_depth, const struct slice *keys, size_t n,
                              struct json_value *values, enum json_kind *top)
{
    struct scan s = scan_of(text);
    struct json_value whole;
    if (max_depth > JSON_DEPTH_LIMIT)
        max_depth = JSON_DEPTH_LIMIT;
    scan_space(&s);
    *top = type_of(scan_peek(&s));
    bool good = *top == JSON_OBJECT ? scan_members(&s, max_depth, keys, n, values) : scan_value(&s, max_depth, &whole);
    return good ? scan_end(&s) : s.status;
}

enum json_kind json_next(struct slice *rest, const struct slice *keys, size_t n, struct json_value *values)
{
    struct scan s = scan_of(*rest);
    struct json_value element;
    scan_space(&s);
    int c = scan_peek(
        &s); /* the bracket before the first element, the comma before each other one, the bracket at the end */
    if (c != '[' && c != ',')
        return JSON_ABSENT;
    s.p++;
    scan_space(&s);
    enum json_kind type = type_of(scan_peek(&s));
    bool good = type == JSON_OBJECT ? scan_members(&s, JSON_DEPTH_LIMIT, keys, n, values)
                                    : scan_value(&s, JSON_DEPTH_LIMIT, &element);
    *rest = good ? scan_span(s.p, s.end) : SLICE_NONE;
    return good ? type : JSON_ABSENT; /* `[]` ends here too: a bracket is no value */
}

bool json_element(struct slice *rest, struct json_value *value)
{
    struct scan s = scan_of(*rest);
    scan_space(&s);
    int c = scan_peek(&s);
    if (c != '[' && c != ',')
        return false;
    s.p++;
    scan_space(&s);
    bool good = scan_value(&s, JSON_DEPTH_LIMIT, value);
    *rest = good ? scan_span(s.p, s.end) : SLICE_NONE;
    return good;
}
