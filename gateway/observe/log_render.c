/* The two formats differ in how a field is written, how a line begins and ends, and how one ends that was cut: a table with
 * these. Every byte that is not plain text leaves escaped. */
#include "gateway/observe/log_render.h"
#include "gateway/base/text.h"

#include <assert.h>
#include <stdio.h>
#include <time.h>

enum { TEXT_MAX_BYTES = 4096 };

/* Text that grows in a fixed buffer and stops, whole characters only, when it is full. */
struct text {
    char *ptr;
    size_t len;
    size_t size;
    bool full;
    bool open; /* inside quotes */
};

/* One `key=value` of the text. */
struct field {
    struct slice key;
    struct slice value; /* as it stands in the text */
    bool quoted;        /* the value is `"…"` with escapes, as log_render_quoted makes it */
};

static void put(struct text *t, const char *bytes, size_t len)
{
    if (t->full || len > t->size - t->len) {
        t->full = true;
        return;
    }
    memcpy(t->ptr + t->len, bytes, len);
    t->len += len;
}

static void put_str(struct text *t, const char *s)
{
    put(t, s, strlen(s));
}

static void put_slice(struct text *t, struct slice s)
{
    put(t, s.ptr, s.len);
}

static struct slice rest_of(struct slice s, size_t from)
{
    return slice_of(s.ptr + from, s.len - from);
}

/* Puts `"`, what `body` makes of the bytes, and `"`. */
static void put_in_quotes(struct text *t, struct slice bytes, void (*body)(struct text *t, struct slice bytes))
{
    put(t, "\"", 1);
    t->open = !t->full;
    body(t, bytes);
    put(t, "\"", 1);
    t->open = t->open && t->full;
}

/* --- the pairs of a text ---------------------------------------------------------------------------------- */

/* The length of `"…"` at the front of s when it is what log_render_quoted made (of printable characters and escapes, closed,
 * then a space or the end); 0 otherwise. */
static size_t quoted_len(struct slice s)
{
    if (s.len < 2 || s.ptr[0] != '"')
        return 0;
    for (size_t i = 1; i < s.len;) {
        size_t len = text_char_len(rest_of(s, i));
        if (len == 0)
            return 0;
        if (s.ptr[i] == '"')
            return i + 1 == s.len || s.ptr[i + 1] == ' ' ? i + 1 : 0;
        if (s.ptr[i] == '\\' && ++i < s.len && (s.ptr[i] < 0x20 || s.ptr[i] >= 0x7F))
            return 0;
        i += len;
    }
    return 0;
}

/* The length of `key` when s starts with `key=`; 0 otherwise. */
static size_t key_len(struct slice s)
{
    size_t i = 0;
    while (i < s.len &&
           (s.ptr[i] == '_' || (s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || (s.ptr[i] >= '0' && s.ptr[i] <= '9')))
        i++;
    return i < s.len && s.ptr[i] == '=' ? i : 0;
}

/* Takes everything up to the next ` key=` (or the end) off the front of *rest, with the space. */
static struct slice take_value(struct slice *rest)
{
    size_t len = quoted_len(*rest);
    while (len < rest->len && !(rest->ptr[len] == ' ' && key_len(rest_of(*rest, len + 1)) > 0))
        len++;
    struct slice value = slice_of(rest->ptr, len);
    *rest = rest_of(*rest, len < rest->len ? len + 1 : len);
    return value;
}

static struct field take_field(struct slice *rest)
{
    struct field f = {.key = SLICE_LIT("msg")};
    size_t len = key_len(*rest);
    if (len > 0) {
        f.key = slice_of(rest->ptr, len);
        *rest = rest_of(*rest, len + 1);
    }
    f.value = take_value(rest);
    f.quoted = f.value.len > 0 && quoted_len(f.value) == f.value.len;
    return f;
}

/* --- logfmt ----------------------------------------------------------------------------------------------- */

static void put_escaped_byte(struct text *t, char c)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char byte = (unsigned char)c;
    char escape[4] = {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    switch (c) {
    case '\n':
        put_str(t, "\\n");
        break;
    case '\r':
        put_str(t, "\\r");
        break;
    case '\t':
        put_str(t, "\\t");
        break;
    default:
        put(t, escape, sizeof(escape));
    }
}

static void put_logfmt_text(struct text *t, struct slice s)
{
    while (s.len > 0) {
        size_t len = text_char_len(s);
        char escape[2] = {'\\', s.ptr[0]};
        if (len == 0)
            put_escaped_byte(t, s.ptr[0]);
        else if (s.ptr[0] == '"' || s.ptr[0] == '\\')
            put(t, escape, sizeof(escape));
        else
            put(t, s.ptr, len);
        s = rest_of(s, len > 0 ? len : 1);
    }
}

/* True for a value that stands without quotes: not empty, printable ASCII, no space, quote, equals sign or backslash. */
static bool is_bare(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] <= 0x20 || s.ptr[i] >= 0x7F || strchr("\"=\\", s.ptr[i]))
            return false;
    }
    return s.len > 0;
}

static void put_logfmt_field(struct text *t, const struct field *f)
{
    if (t->len > 0)
        put(t, " ", 1);
    put_slice(t, f->key);
    put(t, "=", 1);
    if (f->quoted || is_bare(f->value))
        put_slice(t, f->value);
    else
        put_in_quotes(t, f->value, put_logfmt_text);
}

/* --- JSON ------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that the escape at the front of s stands for; *len is how long it is. */
static char unescape(struct slice s, size_t *len)
{
    *len = 2;
    switch (s.ptr[1]) {
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'x':
        if (s.len < 4 || hex_digit(s.ptr[2]) < 0 || hex_digit(s.ptr[3]) < 0)
            return 'x';
        *len = 4;
        return (char)(hex_digit(s.ptr[2]) << 4 | hex_digit(s.ptr[3]));
    default:
        return s.ptr[1];
    }
}

/* The bytes that a quoted value stands for. */
static struct slice unquote(struct slice quoted, char out[TEXT_MAX_BYTES])
{
    struct slice s = slice_of(quoted.ptr + 1, quoted.len - 2);
    size_t n = 0;
    while (s.len > 0 && n < TEXT_MAX_BYTES) {
        size_t len = 1;
        out[n++] = s.ptr[0] == '\\' && s.len > 1 ? unescape(s, &len) : s.ptr[0];
        s = rest_of(s, len);
    }
    return slice_of(out, n);
}

/* Puts the escape of what stands at the front of s and is no printable character; returns how many bytes that was: a
 * control character of one byte or (C1) two, or a byte that is not UTF-8. */
static size_t put_json_escape(struct text *t, struct slice s)
{
    unsigned char byte = (unsigned char)s.ptr[0], next = s.len > 1 ? (unsigned char)s.ptr[1] : 0;
    bool c1 = byte == 0xC2 && next >= 0x80 && next < 0xA0;
    char escape[8];
    if (byte >= 0x80 && !c1)
        put_str(t, "\\ufffd");
    else
        put(t, escape, (size_t)snprintf(escape, sizeof(escape), "\\u%04x", c1 ? next : byte));
    return c1 ? 2 : 1;
}

static void put_json_text(struct text *t, struct slice s)
{
    while (s.len > 0) {
        size_t len = text_char_len(s);
        char escape[2] = {'\\', s.ptr[0]};
        if (len == 0)
            len = put_json_escape(t, s);
        else if (s.ptr[0] == '"' || s.ptr[0] == '\\')
            put(t, escape, sizeof(escape));
        else
            put(t, s.ptr, len);
        s = rest_of(s, len);
    }
}

/* Whole numbers stand without quotes, unless they were quoted: then they are somebody's text. */
static void put_json_value(struct text *t, const struct field *f)
{
    char bytes[TEXT_MAX_BYTES];
    int64_t number;
    if (!f->quoted && slice_i64(f->value, &number))
        put_slice(t, f->value);
    else
        put_in_quotes(t, f->quoted ? unquote(f->value, bytes) : f->value, put_json_text);
}

/* A field of which not even the value's first quote has room is left out. */
static void put_json_field(struct text *t, const struct field *f)
{
    size_t start = t->len;
    put_str(t, start == 1 ? "\"" : ",\"");
    put_slice(t, f->key);
    put_str(t, "\":");
    put_json_value(t, f);
    if (t->full && !t->open)
        t->len = start;
}

/* --- lines ------------------------------------------------------------------------------------------------ */

static const struct renderer {
    const char *begin, *end;
    const char *cut, *cut_open; /* the end of a cut line, outside and inside of quotes */
    void (*field)(struct text *t, const struct field *f);
} renderers[] = {
    [LOG_FORMAT_LOGFMT] = {"", "\n", "…\n", "…\"\n", put_logfmt_field},
    [LOG_FORMAT_JSON] = {"{", "}\n", "}\n", "…\"}\n", put_json_field},
};

enum { END_MAX_BYTES = sizeof("…\"}\n") - 1 };

static void put_own_field(struct text *t, const struct renderer *r, const char *key, const char *value)
{
    struct field f = {slice_str(key), slice_str(value), false};
    r->field(t, &f);
}

static void put_head(struct text *t, const struct renderer *r, const struct log_head *head)
{
    static const char *const levels[] = {"error", "warn", "info", "debug"};
    time_t seconds = (time_t)(head->now_ms / 1000);
    struct tm utc;
    char day[32] = "", stamp[48], worker[16];
    if (gmtime_r(&seconds, &utc))
        strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp, sizeof(stamp), "%s.%03dZ", day, (int)(head->now_ms % 1000));
    put_own_field(t, r, "ts", stamp);
    put_own_field(t, r, "level", levels[head->level]);
    if (head->worker >= 0) {
        snprintf(worker, sizeof(worker), "%d", head->worker);
        put_own_field(t, r, "worker", worker);
    }
}

size_t log_render(char *out, size_t size, const struct log_head *head, const char *text)
{
    assert(size > END_MAX_BYTES);
    const struct renderer *r = &renderers[head->format];
    struct text t = {.ptr = out, .size = size - END_MAX_BYTES};
    struct slice rest = slice_str(text);
    put_str(&t, r->begin);
    put_head(&t, r, head);
    bool is_pairs = key_len(rest) > 0;
    while (!t.full && (rest.len > 0 || !is_pairs)) {
        struct field f = take_field(&rest);
        r->field(&t, &f);
        is_pairs = true;
    }
    const char *end = t.open ? r->cut_open : t.full ? r->cut : r->end;
    memcpy(out + t.len, end, strlen(end));
    return t.len + strlen(end);
}

size_t log_render_quoted(char *out, size_t size, struct slice bytes)
{
    struct text t = {.ptr = out, .size = size - 1};
    put_in_quotes(&t, bytes, put_logfmt_text);
    assert(!t.full);
    out[t.len] = '\0';
    return t.len;
}
