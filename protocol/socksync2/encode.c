/* Encoding by concatenation, as in v1; an item of a list is a value at a place. */
#include "protocol/socksync2/encode.h"

#include "protocol/base/frame.h"
#include "protocol/message.h"

uint32_t v2_encode_var_set(struct buf *out, struct slice name, struct slice value)
{
    size_t mark = message_begin(out, message_head("set", "var"), name);
    message_put(out, message_key("value"), value);
    return message_end(out, mark);
}

/* --- lists --- */

uint32_t v2_encode_page(struct buf *out, struct slice name, const struct page *p)
{
    size_t mark = message_begin(out, message_head("set_all", "list"), name);
    message_put_number(out, message_key("page"), p->number);
    message_put_number(out, message_key("page_size"), p->size);
    message_put_number(out, message_key("total_item_count"), p->total);
    buf_put_lit(out, ",\"items\":[");
    for (uint32_t i = 0; i < p->count; i++) {
        if (i > 0)
            buf_put_char(out, ',');
        buf_put_slice(out, entry_value(p->slots[i]));
    }
    buf_put_char(out, ']');
    return message_end(out, mark);
}

static uint32_t encode_step(struct buf *out, struct slice name, const struct step *s)
{
    static const struct slice heads[] = {
        [STEP_DELETE] = message_head("delete", "list"),
        [STEP_INSERT] = message_head("insert", "list"),
        [STEP_SET] = message_head("set", "list"),
    };
    size_t mark = message_begin(out, heads[s->op], name);
    message_put_number(out, message_key("index"), s->index);
    if (s->op != STEP_DELETE)
        message_put(out, message_key("value"), entry_value(s->entry));
    return message_end(out, mark);
}

static uint32_t encode_count(struct buf *out, struct slice name, int64_t total)
{
    size_t mark = message_begin(out, message_head("set_count", "list"), name);
    message_put_number(out, message_key("total_item_count"), total);
    return message_end(out, mark);
}

uint32_t v2_encode_steps(struct buf *out, struct slice name, const struct dialect_limits *limits, const struct page *to,
                         const struct page_steps *steps)
{
    (void)limits; /* the index is always that in the page */
    if (steps->replace)
        return v2_encode_page(out, name, to);
    uint32_t messages = 0;
    if (steps->recounted || steps->set_count)
        messages += encode_count(out, name, to->total);
    for (size_t i = 0; i < steps->len; i++)
        messages += encode_step(out, name, &steps->steps[i]);
    return messages;
}

/* --- errors --- */

enum { BAD_FUNC = 1, BAD_TYPE, BAD_NAME, MISSING_FIELD, BAD_INDEX, BAD_ID, BAD_JSON, OTHER };

/* An id names a call. What an item is found by, or may not be, is its index. */
static int v2_code(enum error_code code, enum kind kind)
{
    static const int codes[] = {
        [ERROR_FUNC] = BAD_FUNC, [ERROR_TYPE] = BAD_TYPE,         [ERROR_NAME] = BAD_NAME,   [ERROR_ID] = BAD_ID,
        [ERROR_JSON] = BAD_JSON, [ERROR_MISSING] = MISSING_FIELD, [ERROR_ARGUMENTS] = OTHER, [ERROR_OTHER] = OTHER,
    };
    if (kind == KIND_LIST && (code == ERROR_ID || code == ERROR_ARGUMENTS))
        return BAD_INDEX;
    return codes[code];
}

uint32_t v2_encode_error(struct buf *out, enum error_code code, struct slice text, enum kind kind, struct slice name,
                         struct slice id)
{
    size_t mark = frame_begin(out);
    buf_put_lit(out, "{\"func\":\"error\"");
    message_put_number(out, message_key("error_code"), v2_code(code, kind));
    if (text.len)
        message_put_text(out, message_key("message"), text);
    if (kind != KIND_NONE)
        message_put_text(out, message_key("type"), message_kind_name(kind));
    if (name.len)
        message_put_text(out, message_key("name"), name);
    if (id.len && kind != KIND_LIST) /* items have none */
        message_put(out, message_key("id"), id);
    return message_end(out, mark);
}

/* --- functions, and what is offered --- */

static uint32_t encode_interest(struct buf *out, struct slice head, enum kind kind, struct slice name)
{
    size_t mark = frame_begin(out);
    buf_put_slice(out, head);
    message_put_text(out, message_key("type"), message_kind_name(kind));
    message_put_text(out, message_key("name"), name);
    return message_end(out, mark);
}

uint32_t v2_encode_subscribe(struct buf *out, enum kind kind, struct slice name)
{
    return encode_interest(out, SLICE_LIT("{\"func\":\"subscribe\""), kind, name);
}

uint32_t v2_encode_unsubscribe(struct buf *out, enum kind kind, struct slice name)
{
    return encode_interest(out, SLICE_LIT("{\"func\":\"unsubscribe\""), kind, name);
}

uint32_t v2_encode_call(struct buf *out, struct slice name, struct slice id, struct slice args)
{
    size_t mark = message_begin(out, message_head("call", "function"), name);
    message_put(out, message_key("id"), id);
    if (args.len)
        message_put(out, message_key("args"), args);
    return message_end(out, mark);
}

uint32_t v2_encode_return(struct buf *out, struct slice name, struct slice id, struct slice value)
{
    size_t mark = message_begin(out, message_head("return", "function"), name);
    message_put(out, message_key("id"), id);
    if (value.len)
        message_put(out, message_key("value"), value);
    return message_end(out, mark);
}

uint32_t v2_encode_pong(struct buf *out, struct slice id)
{
    size_t mark = frame_begin(out);
    buf_put_lit(out, "{\"func\":\"pong\"");
    if (id.len)
        message_put(out, message_key("id"), id);
    return message_end(out, mark);
}
