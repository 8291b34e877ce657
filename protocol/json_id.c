/* The one text by which an id is known. */
#include <assert.h>

#include "protocol/json_scan.h"

/* plain_integer: canonical already? */
static bool plain_integer(struct slice number)
{
    struct scan s = scan_of(number);
    bool negative = scan_peek(&s) == '-';
    if (negative)
        s.p++;
    if (scan_peek(&s) == '0')
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
    if (text_integer(number, &n) != INTEGRAL)
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
    uint32_t c = (s->p[3] == '1' ? 16 : 0) + scan_hex(last);
    s->p += 5;
    return minimal && (last < 'A' || last > 'F') && !text_short_escape((unsigned char)c);
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
