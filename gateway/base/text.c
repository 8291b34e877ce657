/* A decoder for one UTF-8 character that takes printable ones only. */
#include "gateway/base/text.h"

#include <assert.h>

/* Marks of direction make what stands beside them read as something else, separators of lines and paragraphs end a line for some. */
static bool is_disguise(uint32_t code)
{
    return code == 0x061C || code == 0x200E || code == 0x200F || (code >= 0x2028 && code <= 0x202E) ||
           (code >= 0x2066 && code <= 0x2069);
}

/* Of two or three bytes, all of them. */
size_t text_disguise(struct slice s, uint32_t *code)
{
    const unsigned char *p = (const unsigned char *)s.ptr;
    size_t len = s.len >= 2 && p[0] == 0xD8 ? 2 : s.len >= 3 && p[0] == 0xE2 ? 3 : 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    *code = len == 2 ? (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu)
            : len    ? (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu)
                     : 0;
    return is_disguise(*code) ? len : 0;
}

size_t text_char_len(struct slice s)
{
    assert(s.len > 0);
    const unsigned char *p = (const unsigned char *)s.ptr;
    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7F;
    size_t len = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
    if (p[0] < 0xC2 || p[0] > 0xF4 || len > s.len)
        return 0;
    uint32_t code = p[0] & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (p[i] & 0x3F);
    }
    static const uint32_t least[] = {0, 0, 0xA0, 0x800, 0x10000}; /* from U+00A0 on: no C1 controls */
    bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    return code >= least[len] && code <= 0x10FFFF && !surrogate && !is_disguise(code) ? len : 0;
}

bool text_is_printable(struct slice s)
{
    while (s.len > 0) {
        size_t len = text_char_len(s);
        if (len == 0)
            return false;
        s = slice_of(s.ptr + len, s.len - len);
    }
    return true;
}

struct slice text_cut(struct slice s, size_t max)
{
    if (s.len <= max)
        return s;
    size_t len = max;
    while (len > max - 4 && ((unsigned char)s.ptr[len] & 0xC0) == 0x80)
        len--;
    return slice_of(s.ptr, len);
}
