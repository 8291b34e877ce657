/* Splits events into their fields. One row per kind names the fields in the order of the wire; one loop reads them. */
#include "redis/change.h"

/* --- a reader of fields that are separated by single spaces --- */

static bool take_i64(struct slice *rest, int64_t least, int64_t *out)
{
    struct slice field;
    return slice_cut(rest, ' ', &field) && slice_i64(field, out) && *out >= least;
}

static bool take_word(struct slice *rest, struct slice *out)
{
    return slice_cut(rest, ' ', out) && out->len > 0;
}

/* take_counted reads "<length> <bytes>"; what follows the bytes stays in rest. */
static bool take_counted(struct slice *rest, struct slice *out)
{
    int64_t len;
    if (!take_i64(rest, 1, &len) || (uint64_t)len > rest->len)
        return false;
    *out = slice_of(rest->ptr, (size_t)len);
    *rest = slice_of(rest->ptr + len, rest->len - (size_t)len);
    return true;
}

static bool take_space(struct slice *rest)
{
    if (rest->len == 0 || rest->ptr[0] != ' ')
        return false;
    *rest = slice_of(rest->ptr + 1, rest->len - 1);
    return true;
}

/* The last field of an event is a number without a space behind it. */
static bool last_i64(struct slice rest, int64_t least, int64_t *out)
{
    return slice_i64(rest, out) && *out >= least;
}

static bool last_text(struct slice rest, struct slice *out)
{
    *out = rest;
    return rest.len > 0;
}

/* --- changes --- */

static bool only_rev(struct slice rest, struct change *c)
{
    return last_i64(rest, 1, &c->rev);
}

static bool var_set(struct slice rest, struct change *c)
{
    return take_i64(&rest, 1, &c->rev) && last_text(rest, &c->value);
}

static bool take_place(struct slice *rest, struct change *c)
{
    return take_i64(rest, 1, &c->rev) && take_i64(rest, 0, &c->index) && take_i64(rest, 0, &c->total);
}

static bool list_put(struct slice rest, struct change *c)
{
    return take_place(&rest, c) && c->index < c->total && take_counted(&rest, &c->id) && take_space(&rest) &&
           last_text(rest, &c->value);
}

/* The total is the one after, so the item may have been the last and its index equal to the total. */
static bool list_delete(struct slice rest, struct change *c)
{
    return take_place(&rest, c) && c->index <= c->total && take_counted(&rest, &c->id) && rest.len == 0;
}

static bool list_move(struct slice rest, struct change *c)
{
    return take_i64(&rest, 1, &c->rev) && take_i64(&rest, 0, &c->from) && take_i64(&rest, 0, &c->index) &&
           take_i64(&rest, 1, &c->total) && c->from < c->total && c->index < c->total && take_counted(&rest, &c->id) &&
           take_space(&rest) && last_text(rest, &c->value);
}

static bool list_all(struct slice rest, struct change *c)
{
    return take_i64(&rest, 1, &c->rev) && last_i64(rest, 0, &c->total);
}

static const struct {
    char word[2];
    enum change_op op;
    bool (*read)(struct slice rest, struct change *c);
} changes[] = {
    {{'v', 's'}, CHANGE_VAR_SET, var_set},         {{'v', 'd'}, CHANGE_VAR_DELETE, only_rev},
    {{'l', 'i'}, CHANGE_LIST_INSERT, list_put},    {{'l', 's'}, CHANGE_LIST_SET, list_put},
    {{'l', 'x'}, CHANGE_LIST_DELETE, list_delete}, {{'l', 'm'}, CHANGE_LIST_MOVE, list_move},
    {{'l', 'a'}, CHANGE_LIST_ALL, list_all},       {{'l', 'z'}, CHANGE_LIST_DROP, only_rev},
};

bool change_parse(struct slice payload, struct change *out)
{
    *out = (struct change){.rev = 0};
    if (payload.len < 3 || payload.ptr[2] != ' ')
        return false;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        if (memcmp(payload.ptr, changes[i].word, 2) != 0)
            continue;
        out->op = changes[i].op;
        return changes[i].read(slice_of(payload.ptr + 3, payload.len - 3), out);
    }
    return false;
}

/* --- calls --- */

/* Arguments are optional: nothing or just the space may follow the name. */
static bool call_made(struct slice rest, struct call_event *e)
{
    bool head = take_word(&rest, &e->corr) && take_word(&rest, &e->gw) && take_word(&rest, &e->exec) &&
                take_i64(&rest, 0, &e->timeout_ms) && take_counted(&rest, &e->name);
    if (!head || (rest.len > 0 && !take_space(&rest)))
        return false;
    e->body = rest;
    return true;
}

static bool is_result(struct slice body)
{
    struct slice kind, code;
    int64_t number;
    if (slice_eq(body, SLICE_LIT("n")) || slice_eq(body, SLICE_LIT("t")))
        return true;
    if (!slice_cut(&body, ' ', &kind) || body.len == 0)
        return false;
    if (slice_eq(kind, SLICE_LIT("v")))
        return true;
    return slice_eq(kind, SLICE_LIT("e")) && slice_cut(&body, ' ', &code) && slice_i64(code, &number);
}

static bool call_ended(struct slice rest, struct call_event *e)
{
    if (!take_word(&rest, &e->corr) || !is_result(rest))
        return false;
    e->body = rest;
    return true;
}

static bool call_again(struct slice rest, struct call_event *e)
{
    return take_word(&rest, &e->corr) && last_text(rest, &e->gw);
}

static bool catalogue_name(struct slice rest, struct call_event *e)
{
    return take_i64(&rest, 1, &e->rev) && last_text(rest, &e->name);
}

static bool catalogue_gateway(struct slice rest, struct call_event *e)
{
    return take_i64(&rest, 1, &e->rev) && last_text(rest, &e->gw);
}

static bool gateway_back(struct slice rest, struct call_event *e)
{
    return last_text(rest, &e->gw);
}

static const struct {
    const char *word;
    enum call_event_op op;
    bool (*read)(struct slice rest, struct call_event *e);
} call_events[] = {
    {"c", CALL_EVENT_CALL, call_made},
    {"r", CALL_EVENT_RESULT, call_ended},
    {"a", CALL_EVENT_AGAIN, call_again},
    {"f+", CALL_EVENT_APPEARED, catalogue_name},
    {"f-", CALL_EVENT_ENDED, catalogue_name},
    {"g-", CALL_EVENT_GATEWAY_GONE, catalogue_gateway},
    {"b", CALL_EVENT_GATEWAY_BACK, gateway_back},
};

bool call_event_parse(struct slice payload, struct call_event *out)
{
    struct slice word;
    *out = (struct call_event){.rev = 0};
    if (!slice_cut(&payload, ' ', &word))
        return false;
    for (size_t i = 0; i < sizeof call_events / sizeof call_events[0]; i++) {
        if (!slice_eq(word, slice_str(call_events[i].word)))
            continue;
        out->op = call_events[i].op;
        return call_events[i].read(payload, out);
    }
    return false;
}
