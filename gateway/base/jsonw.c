/* A bracket, a key or a value at a time; whether a comma is due is all that has to be remembered. */
#include "gateway/base/jsonw.h"

#include "gateway/base/text.h"
#include "protocol/json.h"

static void begin(struct jsonw *w, const char *key)
{
    if (w->comma)
        buf_put_char(w->out, ',');
    w->comma = true;
    if (!key)
        return;
    json_quote(w->out, slice_str(key));
    buf_put_char(w->out, ':');
}

void jsonw_open(struct jsonw *w, const char *key, char bracket)
{
    begin(w, key);
    buf_put_char(w->out, bracket);
    w->comma = false;
}

void jsonw_close(struct jsonw *w, char bracket)
{
    buf_put_char(w->out, bracket);
    w->comma = true;
}

void jsonw_i64(struct jsonw *w, const char *key, int64_t n)
{
    begin(w, key);
    buf_put_i64(w->out, n);
}

void jsonw_bool(struct jsonw *w, const char *key, bool yes)
{
    begin(w, key);
    buf_put_slice(w->out, yes ? SLICE_LIT("true") : SLICE_LIT("false"));
}

void jsonw_raw(struct jsonw *w, const char *key, struct slice json)
{
    begin(w, key);
    buf_put_slice(w->out, json);
}

static void put_escaped(struct buf *out, char c)
{
    if (c == '"' || c == '\\')
        buf_put_char(out, '\\');
    buf_put_char(out, c);
}

static void put_unprintable(struct buf *out, char c)
{
    switch (c) {
    case '\n':
        buf_put_lit(out, "\\n");
        return;
    case '\t':
        buf_put_lit(out, "\\t");
        return;
    default:
        buf_put_lit(out, "\xEF\xBF\xBD");
    }
}

/* By its number: what is written is what it was, and is seen. */
static size_t put_disguise(struct buf *out, struct slice text)
{
    static const char digits[] = "0123456789abcdef";
    uint32_t code;
    size_t len = text_disguise(text, &code);
    if (!len)
        return 0;
    buf_put_lit(out, "\\u");
    for (int shift = 12; shift >= 0; shift -= 4)
        buf_put_char(out, digits[code >> shift & 15]);
    return len;
}

void jsonw_text(struct jsonw *w, const char *key, struct slice text)
{
    begin(w, key);
    buf_put_char(w->out, '"');
    while (text.len > 0) {
        size_t len = text_char_len(text);
        if (len > 1)
            buf_put(w->out, text.ptr, len);
        else if (len == 1)
            put_escaped(w->out, text.ptr[0]);
        else if (!(len = put_disguise(w->out, text)))
            put_unprintable(w->out, text.ptr[0]);
        len = len ? len : 1;
        text = slice_of(text.ptr + len, text.len - len);
    }
    buf_put_char(w->out, '"');
}
