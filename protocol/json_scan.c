/* One byte class table, and a function for each form of a scalar. */
#include "protocol/json_scan.h"

/* clang-format off */
const unsigned char json_classes[256] = {
    ['\t'] = JSON_SPACE, ['\n'] = JSON_SPACE, ['\r'] = JSON_SPACE, [' '] = JSON_SPACE | JSON_PLAIN,
    ['!'] = JSON_PLAIN, ['#'] = JSON_PLAIN, ['$'] = JSON_PLAIN, ['%'] = JSON_PLAIN, ['&'] = JSON_PLAIN, ['\''] = JSON_PLAIN, ['('] = JSON_PLAIN,
    [')'] = JSON_PLAIN, ['*'] = JSON_PLAIN, ['+'] = JSON_PLAIN, [','] = JSON_PLAIN, ['-'] = JSON_PLAIN, ['.'] = JSON_PLAIN, ['/'] = JSON_PLAIN,
    ['0'] = JSON_PLAIN | JSON_DIGIT | JSON_HEX, ['1'] = JSON_PLAIN | JSON_DIGIT | JSON_HEX, ['2'] = JSON_PLAIN | JSON_DIGIT | JSON_HEX, ['3'] = JSON_PLAIN | JSON_DIGIT | JSON_HEX,
    ['4'] = JSON_PLAIN | JSON_DIGIT | JSON_HEX, ['5'] = JSON_PLAIN | JSON_DIGIT | JSON_HEX, ['6'] = JSON_PLAIN | JSON_DIGIT | JSON_HEX, ['7'] = JSON_PLAIN | JSON_DIGIT | JSON_HEX,
    ['8'] = JSON_PLAIN | JSON_DIGIT | JSON_HEX, ['9'] = JSON_PLAIN | JSON_DIGIT | JSON_HEX,
    [':'] = JSON_PLAIN, [';'] = JSON_PLAIN, ['<'] = JSON_PLAIN, ['='] = JSON_PLAIN, ['>'] = JSON_PLAIN, ['?'] = JSON_PLAIN, ['@'] = JSON_PLAIN,
    ['A'] = JSON_PLAIN | JSON_HEX, ['B'] = JSON_PLAIN | JSON_HEX, ['C'] = JSON_PLAIN | JSON_HEX, ['D'] = JSON_PLAIN | JSON_HEX, ['E'] = JSON_PLAIN | JSON_HEX,
    ['F'] = JSON_PLAIN | JSON_HEX, ['G'] = JSON_PLAIN, ['H'] = JSON_PLAIN, ['I'] = JSON_PLAIN, ['J'] = JSON_PLAIN, ['K'] = JSON_PLAIN, ['L'] = JSON_PLAIN,
    ['M'] = JSON_PLAIN, ['N'] = JSON_PLAIN, ['O'] = JSON_PLAIN, ['P'] = JSON_PLAIN, ['Q'] = JSON_PLAIN, ['R'] = JSON_PLAIN, ['S'] = JSON_PLAIN,
    ['T'] = JSON_PLAIN, ['U'] = JSON_PLAIN, ['V'] = JSON_PLAIN, ['W'] = JSON_PLAIN, ['X'] = JSON_PLAIN, ['Y'] = JSON_PLAIN, ['Z'] = JSON_PLAIN,
    ['['] = JSON_PLAIN, [']'] = JSON_PLAIN, ['^'] = JSON_PLAIN, ['_'] = JSON_PLAIN, ['`'] = JSON_PLAIN,
    ['a'] = JSON_PLAIN | JSON_HEX, ['b'] = JSON_PLAIN | JSON_HEX, ['c'] = JSON_PLAIN | JSON_HEX, ['d'] = JSON_PLAIN | JSON_HEX, ['e'] = JSON_PLAIN | JSON_HEX,
    ['f'] = JSON_PLAIN | JSON_HEX, ['g'] = JSON_PLAIN, ['h'] = JSON_PLAIN, ['i'] = JSON_PLAIN, ['j'] = JSON_PLAIN, ['k'] = JSON_PLAIN, ['l'] = JSON_PLAIN,
    ['m'] = JSON_PLAIN, ['n'] = JSON_PLAIN, ['o'] = JSON_PLAIN, ['p'] = JSON_PLAIN, ['q'] = JSON_PLAIN, ['r'] = JSON_PLAIN, ['s'] = JSON_PLAIN,
    ['t'] = JSON_PLAIN, ['u'] = JSON_PLAIN, ['v'] = JSON_PLAIN, ['w'] = JSON_PLAIN, ['x'] = JSON_PLAIN, ['y'] = JSON_PLAIN, ['z'] = JSON_PLAIN,
    ['{'] = JSON_PLAIN, ['|'] = JSON_PLAIN, ['}'] = JSON_PLAIN, ['~'] = JSON_PLAIN, [0x7f] = JSON_PLAIN,
};
/* clang-format on */

/* ---- strings ---- */

#define EACH_BYTE(b) (0x0101010101010101u * (uint64_t)(b))

/* all_plain: are the eight bytes at p JSON_PLAIN? A borrow can only raise a false alarm above a byte that is a true one. */
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
    while (p < end && json_classes[*p] & JSON_PLAIN)
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

/* scan_unit reads `uXXXX`, behind the backslash. */
static bool scan_unit(struct scan *s, uint32_t *unit)
{
    if (s->end - s->p < 5 || *s->p != 'u')
        return scan_fail(s, JSON_INVALID);
    *unit = 0;
    for (int i = 1; i <= 4; i++) {
        if (!scan_is(s->p[i], JSON_HEX))
            return scan_fail(s, JSON_INVALID);
        *unit = *unit << 4 | scan_hex(s->p[i]);
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
    if (unit > 0xdbff || scan_peek(s) != '\\')
        return scan_fail(s, JSON_INVALID);
    s->p++;
    if (!scan_unit(s, &second))
        return false;
    return (second >= 0xdc00 && second <= 0xdfff) || scan_fail(s, JSON_INVALID);
}

/* scan_escape: behind the backslash. */
static bool scan_escape(struct scan *s)
{
    switch (scan_peek(s)) {
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
        return scan_fail(s, JSON_INVALID);
    }
}

bool scan_string(struct scan *s)
{
    s->p++; /* the quote that brought us here */
    for (;;) {
        s->p = skip_plain(s->p, s->end);
        int c = scan_peek(s);
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
            return scan_fail(s, JSON_INVALID);
        s->p += len;
    }
}

/* ---- other scalars ---- */

bool scan_digits(struct scan *s)
{
    if (!scan_is(scan_peek(s), JSON_DIGIT))
        return scan_fail(s, JSON_INVALID);
    while (scan_is(scan_peek(s), JSON_DIGIT))
        s->p++;
    return true;
}

static bool scan_number(struct scan *s)
{
    if (scan_peek(s) == '-')
        s->p++;
    if (scan_peek(s) == '0')
        s->p++; /* alone: a digit behind it is garbage */
    else if (!scan_digits(s))
        return false;
    if (scan_peek(s) == '.') {
        s->p++;
        if (!scan_digits(s))
            return false;
    }
    if (scan_peek(s) == 'e' || scan_peek(s) == 'E') {
        s->p++;
        if (scan_peek(s) == '+' || scan_peek(s) == '-')
            s->p++;
        return scan_digits(s);
    }
    return true;
}

static bool scan_word(struct scan *s, const char *word, size_t len)
{
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, word, len) != 0)
        return scan_fail(s, JSON_INVALID);
    s->p += len;
    return true;
}

bool scan_scalar(struct scan *s)
{
    switch (scan_peek(s)) {
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
