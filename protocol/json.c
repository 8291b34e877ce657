/* The strict scanner and the conversions. json-c takes part only where a string holds escapes that must be decoded: what is
 * forwarded is never parsed by it, because even its strict mode accepts what JSON forbids. */
#include "protocol/json.h"

#include <stdlib.h>

#include <assert.h>
#include <json-c/json_object.h>
#include <json-c/json_tokener.h>
#include <limits.h>

/* What each byte is to the scanner. */
enum {
    PLAIN = 1, /* stands for itself inside a string: ASCII but quote, backslash and control characters */
    SPACE = 2,
    DIGIT = 4,
    HEX = 8
};

/* clang-format off */
static const unsigned char classes[256] = {
    ['\t'] = SPACE, ['\n'] = SPACE, ['\r'] = SPACE, [' '] = SPACE | PLAIN,
    ['!'] = PLAIN, ['#'] = PLAIN, ['$'] = PLAIN, ['%'] = PLAIN, ['&'] = PLAIN, ['\''] = PLAIN, ['('] = PLAIN,
    [')'] = PLAIN, ['*'] = PLAIN, ['+'] = PLAIN, [','] = PLAIN, ['-'] = PLAIN, ['.'] = PLAIN, ['/'] = PLAIN,
    ['0'] = PLAIN | DIGIT | HEX, ['1'] = PLAIN | DIGIT | HEX, ['2'] = PLAIN | DIGIT | HEX, ['3'] = PLAIN | DIGIT | HEX,
    ['4'] = PLAIN | DIGIT | HEX, ['5'] = PLAIN | DIGIT | HEX, ['6'] = PLAIN | DIGIT | HEX, ['7'] = PLAIN | DIGIT | HEX,
    ['8'] = PLAIN | DIGIT | HEX, ['9'] = PLAIN | DIGIT | HEX,
    [':'] = PLAIN, [';'] = PLAIN, ['<'] = PLAIN, ['='] = PLAIN, ['>'] = PLAIN, ['?'] = PLAIN, ['@'] = PLAIN,
    ['A'] = PLAIN | HEX, ['B'] = PLAIN | HEX, ['C'] = PLAIN | HEX, ['D'] = PLAIN | HEX, ['E'] = PLAIN | HEX,
    ['F'] = PLAIN | HEX, ['G'] = PLAIN, ['H'] = PLAIN, ['I'] = PLAIN, ['J'] = PLAIN, ['K'] = PLAIN, ['L'] = PLAIN,
    ['M'] = PLAIN, ['N'] = PLAIN, ['O'] = PLAIN, ['P'] = PLAIN, ['Q'] = PLAIN, ['R'] = PLAIN, ['S'] = PLAIN,
    ['T'] = PLAIN, ['U'] = PLAIN, ['V'] = PLAIN, ['W'] = PLAIN, ['X'] = PLAIN, ['Y'] = PLAIN, ['Z'] = PLAIN,
    ['['] = PLAIN, [']'] = PLAIN, ['^'] = PLAIN, ['_'] = PLAIN, ['`'] = PLAIN,
    ['a'] = PLAIN | HEX, ['b'] = PLAIN | HEX, ['c'] = PLAIN | HEX, ['d'] = PLAIN | HEX, ['e'] = PLAIN | HEX,
    ['f'] = PLAIN | HEX, ['g'] = PLAIN, ['h'] = PLAIN, ['i'] = PLAIN, ['j'] = PLAIN, ['k'] = PLAIN, ['l'] = PLAIN,
    ['m'] = PLAIN, ['n'] = PLAIN, ['o'] = PLAIN, ['p'] = PLAIN, ['q'] = PLAIN, ['r'] = PLAIN, ['s'] = PLAIN,
    ['t'] = PLAIN, ['u'] = PLAIN, ['v'] = PLAIN, ['w'] = PLAIN, ['x'] = PLAIN, ['y'] = PLAIN, ['z'] = PLAIN,
    ['{'] = PLAIN, ['|'] = PLAIN, ['}'] = PLAIN, ['~'] = PLAIN, [0x7f] = PLAIN,
};
/* clang-format on */

struct scan {
    const unsigned char *p, *end;
    enum json_status status; /* JSON_OK until something failed */
};

/* The containers around the byte that is being scanned, below the value that the scan began with. */
struct nest {
    int depth, deepest, max;
    bool object[JSON_DEPTH_LIMIT]; /* written when entered: needs no clearing */
};

static struct scan scan_of(struct slice text)
{
    const unsigned char *p = (const unsigned char *)text.ptr;
    return (struct scan){.p = p, .end = text.len ? p + text.len : p, .status = JSON_OK};
}

static bool fail(struct scan *s, enum json_status why)
{
    s->status = why;
    return false;
}

/* peek returns the next byte, -1 at the end. */
static inline int peek(const struct scan *s)
{
    return s->p < s->end ? *s->p : -1;
}

static inline bool is(int byte, int class)
{
    return byte >= 0 && classes[byte] & class;
}

static inline void skip_space(struct scan *s)
{
    while (s->p < s->end && classes[*s->p] & SPACE)
        s->p++;
}

static struct slice span(const unsigned char *from, const unsigned char *to)
{
    return slice_of((const char *)from, (size_t)(to - from));
}

/* ---- strings ---- */

#define EACH_BYTE(b) (0x0101010101010101u * (uint64_t)(b))

/* all_plain: are the eight bytes at p PLAIN? A borrow can only raise a false alarm above a byte that is a true one. */
static inline bool all_plain(const unsigned char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    uint64_t quote = w ^ EACH_BYTE('"'), backslash = w ^ EACH_BYTE('\\');
    uint64_t control = w - EACH_BYTE(0x20);
    return ((control | (quote - EACH_BYTE(1)) | (backslash - EACH_BYTE(1)) | w) & EACH_BYTE(0x80)) == 0;
}

static inline const unsigned char *skip_plain(const unsigned char *p, const unsigned char *end)
{
    while (end - p >= 8 && all_plain(p))
        p += 8;
    while (p < end && classes[*p] & PLAIN)
        p++;
    return p;
}

static inline bool continues(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return false;
    return true;
}

/* utf8_length: bytes of the well-formed sequence that starts at p with a byte above 0x7f; 0 when there is none. The second
 * byte's range excludes overlong forms, surrogates and what is beyond U+10FFFF (Unicode, table 3-7). */
static size_t utf8_length(const unsigned char *p, const unsigned char *end)
{
    size_t len = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    unsigned char low = 0x80, high = 0xbf;
    if (*p < 0xc2 || *p > 0xf4 || (size_t)(end - p) < len)
        return 0;
    if (*p == 0xe0)
        low = 0xa0;
    else if (*p == 0xed)
        high = 0x9f;
    else if (*p == 0xf0)
        low = 0x90;
    else if (*p == 0xf4)
        high = 0x8f;
    return p[1] >= low && p[1] <= high && continues(p + 2, len - 2) ? len : 0;
}

bool json_utf8(struct slice text)
{
    struct scan s = scan_of(text);
    while (s.p < s.end) {
        size_t len = *s.p < 0x80 ? 1 : utf8_length(s.p, s.end);
        if (len == 0)
            return false;
        s.p += len;
    }
    return true;
}

static inline uint32_t hex_value(unsigned char c)
{
    return c <= '9' ? (uint32_t)(c - '0') : (uint32_t)((c | 0x20) - 'a' + 10);
}

/* scan_unit reads `uXXXX`, behind the backslash. */
static bool scan_unit(struct scan *s, uint32_t *unit)
{
    if (s->end - s->p < 5 || *s->p != 'u')
        return fail(s, JSON_INVALID);
    *unit = 0;
    for (int i = 1; i <= 4; i++) {
        if (!is(s->p[i], HEX))
            return fail(s, JSON_INVALID);
        *unit = *unit << 4 | hex_value(s->p[i]);
    }
    s->p += 5;
    return true;
}

static bool scan_unicode_escape(struct scan *s)
{
    uint32_t unit, second;
    if (!scan_unit(s, &unit))
        return false;
    if (unit < 0xd800 || unit > 0xdfff)
        return true;
    if (unit > 0xdbff || peek(s) != '\\')
        return fail(s, JSON_INVALID);
    s->p++;
    if (!scan_unit(s, &second))
        return false;
    return (second >= 0xdc00 && second <= 0xdfff) || fail(s, JSON_INVALID);
}

/* scan_escape: behind the backslash. */
static bool scan_escape(struct scan *s)
{
    switch (peek(s)) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        s->p++;
        return true;
    case 'u':
        return scan_unicode_escape(s);
    default:
        return fail(s, JSON_INVALID);
    }
}

static bool scan_string(struct scan *s)
{
    s->p++; /* the quote that brought us here */
    for (;;) {
        s->p = skip_plain(s->p, s->end);
        int c = peek(s);
        if (c == '"') {
            s->p++;
            return true;
        }
        if (c == '\\') {
            s->p++;
            if (!scan_escape(s))
                return false;
            continue;
        }
        size_t len = c >= 0x80 ? utf8_length(s->p, s->end) : 0;
        if (len == 0) /* the end, a control character, or not UTF-8 */
            return fail(s, JSON_INVALID);
        s->p += len;
    }
}

/* ---- other scalars ---- */

/* scan_digits: one or more. */
static bool scan_digits(struct scan *s)
{
    if (!is(peek(s), DIGIT))
        return fail(s, JSON_INVALID);
    while (is(peek(s), DIGIT))
        s->p++;
    return true;
}

static bool scan_number(struct scan *s)
{
    if (peek(s) == '-')
        s->p++;
    if (peek(s) == '0')
        s->p++; /* alone: a digit behind it is garbage */
    else if (!scan_digits(s))
        return false;
    if (peek(s) == '.') {
        s->p++;
        if (!scan_digits(s))
            return false;
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->p++;
        if (peek(s) == '+' || peek(s) == '-')
            s->p++;
        return scan_digits(s);
    }
    return true;
}

static bool scan_word(struct scan *s, const char *word, size_t len)
{
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
        return fail(s, JSON_INVALID);
    s->p += len;
    return true;
}

static bool scan_scalar(struct scan *s)
{
    switch (peek(s)) {
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, "true", 4);
    case 'f':
        return scan_word(s, "false", 5);
    case 'n':
        return scan_word(s, "null", 4);
    default:
        return scan_number(s);
    }
}

/* ---- containers: a loop down and up instead of recursion, because a peer decides how deep it goes ---- */

/* scan_key: a key and its colon, up to the value. */
static bool scan_key(struct scan *s)
{
    if (peek(s) != '"')
        return fail(s, JSON_INVALID);
    if (!scan_string(s))
        return false;
    skip_space(s);
    if (peek(s) != ':')
        return fail(s, JSON_INVALID);
    s->p++;
    skip_space(s);
    return true;
}

static bool enter(struct scan *s, struct nest *n, bool object)
{
    if (n->depth >= n->max)
        return fail(s, JSON_TOO_DEEP);
    n->object[n->depth++] = object;
    if (n->deepest < n->depth)
        n->deepest = n->depth;
    s->p++;
    skip_space(s);
    return true;
}

/* descend: from the first byte of a value to behind its first scalar or empty container. */
static bool descend(struct scan *s, struct nest *n)
{
    for (int c = peek(s); c == '{' || c == '['; c = peek(s)) {
        bool object = c == '{';
        if (!enter(s, n, object))
            return false;
        if (peek(s) == (object ? '}' : ']')) {
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
        skip_space(s);
        int c = peek(s);
        if (c == ',') {
            s->p++;
            skip_space(s);
            return !object || scan_key(s);
        }
        if (c != (object ? '}' : ']'))
            return fail(s, JSON_INVALID);
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
    *value = (struct json_value){.text = span(start, s->p), .type = type_of(*start), .depth = n.deepest};
    return true;
}

/* scan_end: nothing but white space up to the end. */
static enum json_status scan_end(struct scan *s)
{
    skip_space(s);
    if (s->status == JSON_OK && s->p != s->end)
        s->status = JSON_INVALID;
    return s->status;
}

enum json_status json_check(struct slice text, int max_depth)
{
    struct scan s = scan_of(text);
    struct json_value whole;
    skip_space(&s);
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
    if (peek(s) != '"')
        return fail(s, JSON_INVALID);
    if (!scan_string(s))
        return false;
    struct json_value *wanted = find_key(span(start, s->p - 1), keys, n, values);
    skip_space(s);
    if (peek(s) != ':')
        return fail(s, JSON_INVALID);
    s->p++;
    skip_space(s);
    if (!scan_value(s, max_depth, &value))
        return false;
    if (wanted)
        *wanted = value;
    skip_space(s);
    return true;
}

/* scan_members: one whole object, from its brace to behind the other. */
static bool scan_members(struct scan *s, int max_depth, const struct slice *keys, size_t n, struct json_value *values)
{
    for (size_t i = 0; i < n; i++)
        values[i] = (struct json_value){.type = JSON_ABSENT};
    if (max_depth < 1)
        return fail(s, JSON_TOO_DEEP);
    s->p++;
    skip_space(s);
    if (peek(s) == '}') {
        s->p++;
        return true;
    }
    for (;;) {
        if (!scan_member(s, max_depth - 1, keys, n, values))
            return false;
        int c = peek(s);
        if (c != ',' && c != '}')
            return fail(s, JSON_INVALID);
        s->p++;
        if (c == '}')
            return true;
        skip_space(s);
    }
}

enum json_status json_members(struct slice text, int max_depth, const struct slice *keys, size_t n,
                              struct json_value *values, enum json_kind *top)
{
    struct scan s = scan_of(text);
    struct json_value whole;
    if (max_depth > JSON_DEPTH_LIMIT)
        max_depth = JSON_DEPTH_LIMIT;
    skip_space(&s);
    *top = type_of(peek(&s));
    bool good = *top == JSON_OBJECT ? scan_members(&s, max_depth, keys, n, values) : scan_value(&s, max_depth, &whole);
    return good ? scan_end(&s) : s.status;
}

enum json_kind json_next(struct slice *rest, const struct slice *keys, size_t n, struct json_value *values)
{
    struct scan s = scan_of(*rest);
    struct json_value element;
    skip_space(&s);
    int c =
        peek(&s); /* the bracket before the first element, the comma before each other one, the bracket at the end */
    if (c != '[' && c != ',')
        return JSON_ABSENT;
    s.p++;
    skip_space(&s);
    enum json_kind type = type_of(peek(&s));
    bool good = type == JSON_OBJECT ? scan_members(&s, JSON_DEPTH_LIMIT, keys, n, values)
                                    : scan_value(&s, JSON_DEPTH_LIMIT, &element);
    *rest = good ? span(s.p, s.end) : SLICE_NONE;
    return good ? type : JSON_ABSENT; /* `[]` ends here too: a bracket is no value */
}

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
static char short_escape(unsigned char c)
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
    char letter = short_escape(c);
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
        while (s.p < s.end && (*s.p >= 0x80 || classes[*s.p] & PLAIN))
            s.p++;
        buf_put_slice(out, span(start, s.p));
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
    for (p += p < end && !is(*p, DIGIT); p < end && n < EXPONENT_ENOUGH; p++)
        n = n * 10 + (*p - '0');
    return negative ? -n : n;
}

static struct decimal take_apart(struct slice number)
{
    struct scan s = scan_of(number);
    struct decimal d = {.negative = peek(&s) == '-'};
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
        d.digits = span(first, last + 1);
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

enum integral { NOT_INTEGRAL, INTEGRAL, CLAMPED };

static enum integral read_integer(struct slice number, int64_t *out)
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
    return read_integer(number, out) != NOT_INTEGRAL;
}

/* ---- ids ---- */

/* plain_integer: canonical already? */
static bool plain_integer(struct slice number)
{
    struct scan s = scan_of(number);
    bool negative = peek(&s) == '-';
    if (negative)
        s.p++;
    if (peek(&s) == '0')
        return !negative && s.p + 1 == s.end;
    return scan_digits(&s) && s.p == s.end;
}

static enum json_id_result id_of_number(struct slice number, size_t max, struct buf *scratch, struct slice *out)
{
    int64_t n;
    if (plain_integer(number)) {
        if (number.len > max)
            return JSON_ID_LENGTH;
        *out = number;
        return JSON_ID_OK;
    }
    if (read_integer(number, &n) != INTEGRAL)
        return JSON_ID_TYPE;
    size_t before = scratch->len;
    buf_put_i64(scratch, n);
    if (scratch->failed || scratch->len - before > max)
        return JSON_ID_LENGTH;
    *out = slice_of(scratch->ptr + before, scratch->len - before);
    return JSON_ID_OK;
}

static enum json_id_result id_of_string(struct slice text, size_t max, struct buf *scratch, struct slice *out)
{
    struct buf decoded;
    struct slice id;
    buf_init(&decoded, max);
    bool good = json_string(text, max, &decoded, &id) && id.len > 0;
    if (good && decoded.len == 0) { /* no escapes: canonical as it is */
        *out = text;
    } else if (good) {
        size_t before = scratch->len;
        json_quote(scratch, id);
        good = !scratch->failed;
        if (good)
            *out = slice_of(scratch->ptr + before, scratch->len - before);
    }
    buf_deinit(&decoded);
    return good ? JSON_ID_OK : JSON_ID_LENGTH;
}

enum json_id_result json_id(const struct json_value *value, size_t max, struct buf *scratch, struct slice *out)
{
    if (value->type == JSON_STRING)
        return id_of_string(value->text, max, scratch, out);
    if (value->type == JSON_NUMBER)
        return id_of_number(value->text, max, scratch, out);
    return JSON_ID_TYPE;
}

/* canonical_escape: takes a minimal escape off, behind its backslash. */
static bool canonical_escape(struct scan *s)
{
    if (*s->p != 'u')
        return *s->p++ != '/';
    bool minimal = memcmp(s->p, "u000", 4) == 0 || memcmp(s->p, "u001", 4) == 0;
    unsigned char last = s->p[4];
    uint32_t c = (s->p[3] == '1' ? 16 : 0) + hex_value(last);
    s->p += 5;
    return minimal && (last < 'A' || last > 'F') && !short_escape((unsigned char)c);
}

static bool canonical_string(struct slice text, size_t max)
{
    struct scan s = scan_of(text);
    if (!scan_string(&s) || s.p != s.end)
        return false;
    size_t len = 0;
    s = scan_of(slice_of(text.ptr + 1, text.len - 2));
    for (; s.p < s.end; len++) {
        if (*s.p++ != '\\')
            continue;
        if (!canonical_escape(&s))
            return false;
    }
    return len > 0 && len <= max;
}

bool json_id_canonical(struct slice text, size_t max)
{
    if (text.len && text.ptr[0] == '"')
        return canonical_string(text, max);
    return plain_integer(text) && text.len <= max;
}
