/* Writing by concatenation: a fixed head, the bytes we were given, a tail. */
#include "protocol/message.h"

#include "protocol/base/frame.h"
#include "protocol/json.h"

static const struct slice kind_names[KINDS] = {
    [KIND_VAR] = SLICE_LIT("var"),
    [KIND_LIST] = SLICE_LIT("list"),
    [KIND_FUNCTION] = SLICE_LIT("function"),
};

size_t message_begin(struct buf *out, struct slice head, struct slice name)
{
    size_t mark = frame_begin(out);
    buf_put_slice(out, head);
    json_quote(out, name);
    return mark;
}

uint32_t message_end(struct buf *out, size_t mark)
{
    buf_put_char(out, '}');
    frame_end(out, mark);
    return 1;
}

void message_put(struct buf *out, struct slice key, struct slice json)
{
    buf_put_slice(out, key);
    buf_put_slice(out, json);
}

void message_put_number(struct buf *out, struct slice key, int64_t n)
{
    buf_put_slice(out, key);
    buf_put_i64(out, n);
}

void message_put_text(struct buf *out, struct slice key, struct slice utf8)
{
    buf_put_slice(out, key);
    json_quote(out, utf8);
}

struct slice message_kind_name(enum kind kind)
{
    return kind_names[kind];
}

enum kind message_kind(struct slice name)
{
    for (int kind = KIND_NONE + 1; kind < KINDS; kind++)
        if (slice_eq(kind_names[kind], name))
            return (enum kind)kind;
    return KIND_NONE;
}

bool message_name_valid(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        if (c < 0x20 || c == 0x7f || c == '{' || c == '}')
            return false;
    }
    return name.len > 0;
}

/* The name member of a message of ours. It stands before everything of variable content, and a quote within a string is
 * escaped, so the first match is it. */
static struct slice name_of_ours(struct slice text)
{
    enum { HEAD_BYTES = 8192 }; /* it stands within them */
    static const char key[] = "\"name\":";
    const char *at = memmem(text.ptr, text.len < HEAD_BYTES ? text.len : HEAD_BYTES, key, sizeof(key) - 1);
    if (!at)
        return SLICE_NONE;
    const char *from = at + sizeof(key) - 1, *end = text.ptr + text.len, *p = from + 1;
    while (p < end && *p != '"')
        p += *p == '\\' ? 2 : 1;
    return p < end && *from == '"' ? slice_of(from, (size_t)(p + 1 - from)) : SLICE_NONE;
}

/* The same of a message that a client made up. */
static struct slice name_of_theirs(struct slice text)
{
    static const struct slice key = {"name", 4};
    struct json_value value;
    enum json_kind top;
    if (json_members(text, JSON_DEPTH_LIMIT, &key, 1, &value, &top) != JSON_OK || top != JSON_OBJECT)
        return SLICE_NONE;
    return value.type == JSON_STRING ? value.text : SLICE_NONE;
}

struct slice message_about(struct slice message, bool ours, struct buf *scratch)
{
    struct slice quoted = ours ? name_of_ours(message) : name_of_theirs(message), name;
    return quoted.ptr && json_string(quoted, MESSAGE_NAME_MAX, scratch, &name) ? name : SLICE_NONE;
}
