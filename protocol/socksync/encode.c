/* Encoding by concatenation: a fixed head, the bytes we were given, a tail. */
#include "protocol/socksync/encode.h"

#include <assert.h>

#include "protocol/base/frame.h"
#include "protocol/json.h"
#include "protocol/message.h"

uint32_t encode_var_set(struct buf *out, struct slice name, struct slice value)
{
    size_t mark = message_begin(out, message_head("set", "var"), name);
    message_put(out, message_key("value"), value);
    return message_end(out, mark);
}

uint32_t encode_item_set(struct buf *out, struct slice name, const struct entry *e)
{
    size_t mark = message_begin(out, message_head("set", "list"), name);
    message_put(out, message_key("id"), entry_id(e));
    message_put(out, message_key("value"), entry_value(e));
    return message_end(out, mark);
}

uint32_t encode_item_delete(struct buf *out, struct slice name, struct slice id, bool gone)
{
    size_t mark = message_begin(out, message_head("delete", "list"), name);
    message_put(out, message_key("id"), id);
    if (gone)
        buf_put_lit(out, ",\"gone\":true");
    return message_end(out, mark);
}

static void put_item(struct buf *out, const struct entry *e)
{
    buf_put_lit(out, "{\"id\":");
    buf_put_slice(out, entry_id(e));
    message_put(out, message_key("value"), entry_value(e));
    buf_put_char(out, '}');
}

uint32_t encode_page(struct buf *out, struct slice name, const struct page *p)
{
    size_t mark = message_begin(out, message_head("set_all", "list"), name);
    message_put_number(out, message_key("page"), p->number);
    message_put_number(out, message_key("total_item_count"), p->total);
    buf_put_lit(out, ",\"items\":[");
    for (uint32_t i = 0; i < p->count; i++) {
        if (i > 0)
            buf_put_char(out, ',');
        put_item(out, p->slots[i]);
    }
    buf_put_char(out, ']');
    return message_end(out, mark);
}

static uint32_t encode_insert(struct buf *out, struct slice name, int64_t index, const struct entry *e)
{
    size_t mark = message_begin(out, message_head("insert", "list"), name);
    message_put_number(out, message_key("index"), index);
    message_put(out, message_key("id"), entry_id(e));
    message_put(out, message_key("value"), entry_value(e));
    return message_end(out, mark);
}

static uint32_t encode_count(struct buf *out, struct slice name, int64_t total)
{
    size_t mark = message_begin(out, message_head("set_count", "list"), name);
    message_put_number(out, message_key("total_item_count"), total);
    return message_end(out, mark);
}

static uint32_t encode_step(struct buf *out, struct slice name, int64_t index_base, const struct step *s)
{
    if (s->op == STEP_DELETE)
        return encode_item_delete(out, name, entry_id(s->entry), s->gone);
    if (s->op == STEP_INSERT)
        return encode_insert(out, name, index_base + s->index, s->entry);
    assert(s->op == STEP_SET);
    return encode_item_set(out, name, s->entry);
}

uint32_t encode_steps(struct buf *out, struct slice name, const struct dialect_limits *limits, const struct page *to,
                      const struct page_steps *steps)
{
    if (steps->replace)
        return encode_page(out, name, to);
    int64_t index_base = limits->index_absolute ? to->number * to->size : 0;
    uint32_t messages = 0;
    for (size_t i = 0; i < steps->len; i++)
        messages += encode_step(out, name, index_base, &steps->steps[i]);
    if (steps->set_count)
        messages += encode_count(out, name, to->total);
    return messages;
}

/* As far as the last field. */
static size_t begin_error(struct buf *out, enum error_code code, struct slice text, enum kind kind, struct slice name,
                          struct slice id)
{
    size_t mark = frame_begin(out);
    buf_put_lit(out, "{\"func\":\"error\"");
    message_put_number(out, message_key("error_code"), code);
    if (text.len) {
        buf_put_lit(out, ",\"message\":");
        json_quote(out, text);
    }
    if (kind != KIND_NONE) {
        buf_put_lit(out, ",\"type\":");
        json_quote(out, message_kind_name(kind));
    }
    if (name.len) {
        buf_put_lit(out, ",\"name\":");
        json_quote(out, name);
    }
    if (id.len)
        message_put(out, message_key("id"), id);
    return mark;
}

uint32_t encode_error(struct buf *out, enum error_code code, struct slice text, enum kind kind, struct slice name,
                      struct slice id)
{
    return message_end(out, begin_error(out, code, text, kind, name, id));
}

uint32_t encode_waiting(struct buf *out, struct slice text, enum kind kind, struct slice name, struct slice id)
{
    size_t mark = begin_error(out, ERROR_NAME, text, kind, name, id);
    buf_put_lit(out, ",\"waiting\":true");
    return message_end(out, mark);
}

static uint32_t encode_interest(struct buf *out, struct slice head, enum kind kind, struct slice name)
{
    assert(kind != KIND_NONE);
    size_t mark = frame_begin(out);
    buf_put_slice(out, head);
    json_quote(out, message_kind_name(kind));
    buf_put_lit(out, ",\"name\":");
    json_quote(out, name);
    return message_end(out, mark);
}

uint32_t encode_subscribe(struct buf *out, enum kind kind, struct slice name)
{
    return encode_interest(out, SLICE_LIT("{\"func\":\"subscribe\",\"type\":"), kind, name);
}

uint32_t encode_unsubscribe(struct buf *out, enum kind kind, struct slice name)
{
    return encode_interest(out, SLICE_LIT("{\"func\":\"unsubscribe\",\"type\":"), kind, name);
}

uint32_t encode_call(struct buf *out, struct slice name, struct slice id, struct slice args)
{
    size_t mark = message_begin(out, message_head("call", "function"), name);
    message_put(out, message_key("id"), id);
    if (args.len)
        message_put(out, message_key("args"), args);
    return message_end(out, mark);
}

uint32_t encode_return(struct buf *out, struct slice name, struct slice id, struct slice value)
{
    size_t mark = message_begin(out, message_head("return", "function"), name);
    message_put(out, message_key("id"), id);
    if (value.len)
        message_put(out, message_key("value"), value);
    return message_end(out, mark);
}

uint32_t encode_pong(struct buf *out, struct slice id)
{
    size_t mark = frame_begin(out);
    buf_put_lit(out, "{\"func\":\"pong\"");
    if (id.len)
        message_put(out, message_key("id"), id);
    return message_end(out, mark);
}

uint32_t encode_auth(struct buf *out, struct slice user, int64_t expires_s)
{
    size_t mark = frame_begin(out);
    buf_put_lit(out, "{\"func\":\"auth\"");
    if (user.ptr)
        message_put_text(out, message_key("user"), user);
    else
        message_put(out, message_key("user"), SLICE_LIT("null"));
    if (expires_s)
        message_put_number(out, message_key("expires"), expires_s);
    else
        message_put(out, message_key("expires"), SLICE_LIT("null"));
    return message_end(out, mark);
}
