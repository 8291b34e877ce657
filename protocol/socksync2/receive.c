/* Receiving: a chain of steps, each of which checks one part of the message, fills in the action, and says whether to go on. The
 * first that fails has made the action the answer. */
#include "protocol/socksync2/receive.h"

#include "protocol/json.h"
#include "protocol/message.h"
#include "protocol/socksync2/encode.h"

/* ---- the vocabulary ---- */

enum field {
    FIELD_FUNC,
    FIELD_TYPE,
    FIELD_NAME,
    FIELD_ID,
    FIELD_VALUE,
    FIELD_ARGS,
    FIELD_ITEMS,
    FIELD_PAGE,
    FIELD_PAGE_SIZE,
    FIELD_INDEX,
    FIELD_TOTAL,
    FIELD_MAX_RATE,
    FIELD_ERROR_CODE,
    FIELD_MESSAGE,
    FIELDS
};

static const struct slice keys[FIELDS] = {
    [FIELD_FUNC] = SLICE_LIT("func"),
    [FIELD_TYPE] = SLICE_LIT("type"),
    [FIELD_NAME] = SLICE_LIT("name"),
    [FIELD_ID] = SLICE_LIT("id"),
    [FIELD_VALUE] = SLICE_LIT("value"),
    [FIELD_ARGS] = SLICE_LIT("args"),
    [FIELD_ITEMS] = SLICE_LIT("items"),
    [FIELD_PAGE] = SLICE_LIT("page"),
    [FIELD_PAGE_SIZE] = SLICE_LIT("page_size"),
    [FIELD_INDEX] = SLICE_LIT("index"),
    [FIELD_TOTAL] = SLICE_LIT("total_item_count"),
    [FIELD_MAX_RATE] = SLICE_LIT("max_rate"),
    [FIELD_ERROR_CODE] = SLICE_LIT("error_code"),
    [FIELD_MESSAGE] = SLICE_LIT("message"),
};

#define BIT(n) (1u << (n))

enum { VAR = BIT(KIND_VAR), LIST = BIT(KIND_LIST), FUNCTION = BIT(KIND_FUNCTION), STATE = VAR | LIST };

enum {
    NONE = 0,
    ID = BIT(FIELD_ID),
    VALUE = BIT(FIELD_VALUE),
    ARGS = BIT(FIELD_ARGS),
    ITEMS = BIT(FIELD_ITEMS),
    PAGE = BIT(FIELD_PAGE),
    PAGE_SIZE = BIT(FIELD_PAGE_SIZE),
    INDEX = BIT(FIELD_INDEX),
    TOTAL = BIT(FIELD_TOTAL),
    MAX_RATE = BIT(FIELD_MAX_RATE)
};

/* What a func may be said of, and with which fields.
 *   op       the action; also what the peer's rights are asked for
 *   refusal  the text of error 1 when the subscription or the grant that it needs is missing
 *   never    refused with that text even to a peer who has the right */
static const struct row {
    struct slice func;
    unsigned kinds;
    enum action_op op;
    unsigned required, optional;
    const char *refusal;
    bool never;
} rows[] = {
    {SLICE_LIT("set"), VAR, ACTION_SET, VALUE, NONE, "no grant to write this name", false},
    {SLICE_LIT("set"), LIST, ACTION_SET, INDEX | VALUE, NONE, "no grant to write this name", false},
    {SLICE_LIT("get"), VAR, ACTION_GET, NONE, NONE, "subscribe first", false},
    {SLICE_LIT("get"), LIST, ACTION_GET, NONE, PAGE | PAGE_SIZE, "subscribe first", false},
    {SLICE_LIT("subscribe"), STATE, ACTION_SUBSCRIBE, NONE, MAX_RATE, "not allowed", false},
    {SLICE_LIT("subscribe"), FUNCTION, ACTION_SUBSCRIBE, NONE, NONE, "not allowed", false},
    {SLICE_LIT("unsubscribe"), STATE | FUNCTION, ACTION_UNSUBSCRIBE, NONE, NONE, "not subscribed", false},
    {SLICE_LIT("call"), FUNCTION, ACTION_CALL, ID, ARGS, "not subscribed", false},
    {SLICE_LIT("return"), FUNCTION, ACTION_RETURN, ID, VALUE, "not subscribed", false},
    {SLICE_LIT("insert"), LIST, ACTION_INSERT, INDEX | VALUE, NONE, "no grant to write this name", false},
    {SLICE_LIT("delete"), LIST, ACTION_DELETE, INDEX, NONE, "no grant to write this name", false},
    {SLICE_LIT("set_all"), LIST, ACTION_SET_ALL, ITEMS, PAGE | PAGE_SIZE | TOTAL, "no grant to write this name", false},
    {SLICE_LIT("set_count"), LIST, ACTION_SET, TOTAL, NONE, "only the gateway sends set_count", true},
};

enum { ROWS = sizeof rows / sizeof *rows };

/* ---- one message on its way ---- */

struct message {
    const struct dialect_limits *limits;
    struct dialect_peer *peer;
    struct json_value fields[FIELDS];
    struct slice func;
    const struct row *row;
    struct action *a;
};

/* Memory behind the slices of the last action. Names and ids fit, so it never moves. */
enum { WORD_MAX = 32, SCRATCH = MESSAGE_NAME_MAX + 6 * MESSAGE_CALL_ID_MAX + 2 + 2 * WORD_MAX };

static struct buf scratch = {.max = SCRATCH};
static struct buf items; /* of set_all, with ids */

/* fault makes the action an answer; what is known of kind, name and id goes with it. */
static bool fault(struct message *m, enum error_code error, const char *text)
{
    struct action *a = m->a;
    *a = (struct action){.op = ACTION_FAULT,
                         .kind = a->kind,
                         .name = a->name,
                         .id = a->id,
                         .has_id = a->has_id,
                         .error = error,
                         .text = text};
    return false;
}

static bool present(const struct message *m, enum field f)
{
    return m->fields[f].type != JSON_ABSENT;
}

/* word decodes a string that is compared with the vocabulary; longer ones, and what is no string, are not in it. */
static struct slice word(const struct message *m, enum field f)
{
    struct slice text;
    bool good = m->fields[f].type == JSON_STRING && json_string(m->fields[f].text, WORD_MAX, &scratch, &text);
    return good ? text : SLICE_NONE;
}

/* ---- steps, in order ---- */

static bool read_json(struct message *m, struct slice text)
{
    enum json_kind top;
    if (text.len == 0)
        return fault(m, ERROR_JSON, "empty message");
    enum json_status status = json_members(text, m->limits->max_depth, keys, FIELDS, m->fields, &top);
    if (status != JSON_OK && !json_utf8(text)) {
        *m->a = (struct action){.op = ACTION_CLOSE, .close_code = 1007, .text = "invalid UTF-8"};
        return false;
    }
    if (status == JSON_TOO_DEEP)
        return fault(m, ERROR_JSON, "nesting too deep");
    if (status != JSON_OK)
        return fault(m, ERROR_JSON, "invalid JSON");
    return top == JSON_OBJECT || fault(m, ERROR_JSON, "object expected");
}

static bool read_func(struct message *m)
{
    m->func = word(m, FIELD_FUNC);
    return m->func.len || fault(m, ERROR_FUNC, "func is missing or no known word");
}

/* Type and name are there before either is looked at. */
static bool read_target(struct message *m)
{
    struct slice name;
    if (!present(m, FIELD_TYPE))
        return fault(m, ERROR_TYPE, "type is missing");
    if (!present(m, FIELD_NAME))
        return fault(m, ERROR_NAME, "name is missing");
    m->a->kind = message_kind(word(m, FIELD_TYPE));
    if (m->a->kind == KIND_NONE)
        return fault(m, ERROR_TYPE, "unknown type");
    if (m->fields[FIELD_NAME].type != JSON_STRING ||
        !json_string(m->fields[FIELD_NAME].text, MESSAGE_NAME_MAX, &scratch, &name) || !message_name_valid(name))
        return fault(m, ERROR_NAME, "invalid name");
    m->a->name = name;
    return true;
}

/* A call id goes with every answer from here on, so that a caller can settle its call whatever else is wrong. */
static enum json_id_result note_call_id(struct message *m)
{
    enum json_id_result found = json_id(&m->fields[FIELD_ID], MESSAGE_CALL_ID_MAX, &scratch, &m->a->id);
    m->a->has_id = found == JSON_ID_OK;
    return found;
}

static const struct row *find_row(const struct message *m)
{
    for (size_t i = 0; i < ROWS; i++)
        if (slice_eq(rows[i].func, m->func) && (rows[i].kinds & BIT(m->a->kind)))
            return &rows[i];
    return NULL;
}

static bool refuse_if_known(struct message *m, const char *text)
{
    (void)fault(m, ERROR_FUNC, text);
    m->a->op = ACTION_FAULT_IF_KNOWN;
    return false;
}

/* Whether the name is known comes before whether the func may be said of it, which comes before whether it may be said now. */
static bool ask_host(struct message *m)
{
    enum action_op op = m->row ? m->row->op : ACTION_GET;
    enum access access = m->peer->host->access(m->peer, op, m->a->kind, m->a->name, NULL);
    const char *refusal = m->row ? m->row->refusal : "not available for this type";
    if (access == ACCESS_UNKNOWN)
        return fault(m, ERROR_NAME, "unknown name");
    if (access == ACCESS_UNRESOLVED)
        return refuse_if_known(m, refusal);
    if (access == ACCESS_UNSUBSCRIBED || !m->row || m->row->never)
        return fault(m, ERROR_FUNC, refusal);
    return true;
}

/* ---- fields ---- */

static bool take_json(struct message *m, const struct json_value *v)
{
    m->a->value = v->text;
    m->a->has_value = true;
    return v->depth <= m->limits->value_depth || fault(m, ERROR_JSON, "nesting too deep");
}

static bool take_args(struct message *m, const struct json_value *v)
{
    return v->type == JSON_OBJECT ? take_json(m, v) : fault(m, ERROR_OTHER, "args must be an object");
}

static bool is_integer(const struct json_value *v, int64_t *n)
{
    return v->type == JSON_NUMBER && json_integer(v->text, n);
}

static bool take_page(struct message *m, const struct json_value *v)
{
    if (!is_integer(v, &m->a->page))
        return fault(m, ERROR_OTHER, "page must be an integer");
    if (m->a->page < 0)
        m->a->page = 0;
    return true;
}

static bool take_page_size(struct message *m, const struct json_value *v)
{
    bool good = is_integer(v, &m->a->page_size) && m->a->page_size > 0;
    return good || fault(m, ERROR_OTHER, "page_size must be a positive integer");
}

static bool take_index(struct message *m, const struct json_value *v)
{
    bool good = is_integer(v, &m->a->index) && m->a->index >= 0;
    return good || fault(m, ERROR_ARGUMENTS, "index must be an integer from 0 on");
}

static bool take_total(struct message *m, const struct json_value *v)
{
    int64_t n;
    (void)m;
    return is_integer(v, &n) || fault(m, ERROR_OTHER, "total_item_count must be an integer");
}

static bool take_id(struct message *m, const struct json_value *v)
{
    (void)v;
    return note_call_id(m) == JSON_ID_OK || fault(m, ERROR_ID, "id must be a short string or an integer");
}

/* Updates per second, of which there may be less than one. */
static bool take_max_rate(struct message *m, const struct json_value *v)
{
    enum { LONGEST_MS = 3600 * 1000 };
    double rate = v->type == JSON_NUMBER ? json_double(v->text) : 0;
    if (!(rate > 0 && rate < 1e9))
        return fault(m, ERROR_OTHER, "max_rate must be a positive number");
    double ms = 1000 / rate;
    m->a->interval_ms = ms > (double)LONGEST_MS ? LONGEST_MS : (int64_t)(ms + 0.999);
    return true;
}

/* The items get their places as ids: they are unique in this list, which is new as a whole. */
static bool take_items(struct message *m, const struct json_value *v)
{
    struct slice rest = v->text;
    struct json_value each;
    size_t n = 0;
    if (v->type != JSON_ARRAY)
        return fault(m, ERROR_OTHER, "items must be an array");
    buf_reset(&items);
    buf_trim(&items, 0);
    items.max = 32 * (rest.len + 1);
    buf_put_char(&items, '[');
    for (; json_element(&rest, &each); n++) {
        if (n == m->limits->max_items)
            return fault(m, ERROR_OTHER, "too many items");
        if (each.depth > m->limits->value_depth)
            return fault(m, ERROR_JSON, "nesting too deep");
        buf_put_slice(&items, n ? SLICE_LIT(",{\"id\":") : SLICE_LIT("{\"id\":"));
        buf_put_i64(&items, (int64_t)n);
        message_put(&items, message_key("value"), each.text);
        buf_put_char(&items, '}');
    }
    buf_put_char(&items, ']');
    m->a->items_json = buf_slice(&items);
    m->a->index = (int64_t)n;
    return true;
}

/* The fields that a row may ask for: how each is read, and what is said when it is not there. */
static const struct {
    bool (*take)(struct message *m, const struct json_value *v);
    const char *missing;
} takers[FIELDS] = {
    [FIELD_ID] = {take_id, "id is missing"},
    [FIELD_VALUE] = {take_json, "value is missing"},
    [FIELD_ARGS] = {take_args, NULL},
    [FIELD_ITEMS] = {take_items, "items is missing"},
    [FIELD_PAGE] = {take_page, NULL},
    [FIELD_PAGE_SIZE] = {take_page_size, NULL},
    [FIELD_INDEX] = {take_index, "index is missing"},
    [FIELD_TOTAL] = {take_total, "total_item_count is missing"},
    [FIELD_MAX_RATE] = {take_max_rate, NULL},
};

/* Everything that is missing comes before anything that is wrong. */
static bool read_fields(struct message *m)
{
    unsigned known = m->row->required | m->row->optional;
    for (unsigned f = 0; f < FIELDS; f++) {
        if ((m->row->optional & BIT(f)) && f != FIELD_VALUE && m->fields[f].type == JSON_NULL)
            m->fields[f].type = JSON_ABSENT;
        if ((m->row->required & BIT(f)) && !present(m, f))
            return fault(m, ERROR_MISSING, takers[f].missing);
    }
    for (unsigned f = 0; f < FIELDS; f++)
        if ((known & BIT(f)) && present(m, f) && !takers[f].take(m, &m->fields[f]))
            return false;
    return true;
}

/* What set_all says of itself. */
static bool check_set_all(struct message *m)
{
    int64_t total;
    if (m->a->op != ACTION_SET_ALL)
        return true;
    if (m->a->page != 0)
        return fault(m, ERROR_OTHER, "page must be 0");
    if (present(m, FIELD_TOTAL) && (!is_integer(&m->fields[FIELD_TOTAL], &total) || total != m->a->index))
        return fault(m, ERROR_OTHER, "total_item_count must be the number of items");
    return true;
}

/* ---- the whole ---- */

/* An error frame is never answered. It matters when it can settle a call. */
static void read_failure(struct message *m)
{
    static const enum error_code codes[] = {ERROR_OTHER,     ERROR_FUNC, ERROR_TYPE, ERROR_NAME, ERROR_MISSING,
                                            ERROR_ARGUMENTS, ERROR_ID,   ERROR_JSON, ERROR_OTHER};
    int64_t n;
    if (note_call_id(m) != JSON_ID_OK)
        return;
    bool known = is_integer(&m->fields[FIELD_ERROR_CODE], &n) && n > 0 && n < (int64_t)(sizeof codes / sizeof *codes);
    m->a->op = ACTION_CALL_FAILED;
    m->a->kind = KIND_FUNCTION;
    m->a->error = codes[known ? n : 0];
    if (m->fields[FIELD_MESSAGE].type == JSON_STRING)
        m->a->text_json = m->fields[FIELD_MESSAGE].text;
}

static void read_addressed(struct message *m)
{
    if (!read_target(m))
        return;
    if (m->a->kind == KIND_FUNCTION)
        (void)note_call_id(m);
    m->row = find_row(m);
    if (!ask_host(m) || !read_fields(m))
        return;
    m->a->op = m->row->op;
    m->a->silent = m->row->op == ACTION_SUBSCRIBE;
    (void)check_set_all(m);
}

static void pong(struct message *m, const struct actions *out)
{
    bool has_id = present(m, FIELD_ID) && m->fields[FIELD_ID].type != JSON_NULL;
    if (has_id && !take_id(m, &m->fields[FIELD_ID]))
        return;
    size_t from = out->bytes->len;
    uint32_t messages = v2_encode_pong(out->bytes, m->a->id);
    actions_reply(out, m->a, from, messages);
}

static bool func_is(const struct message *m, const char *text)
{
    return slice_eq(m->func, slice_str(text));
}

void v2_receive(struct dialect_peer *peer, struct slice text, bool binary, struct actions *out)
{
    struct message m = {.limits = peer->host->limits(peer), .peer = peer, .a = actions_add(out, ACTION_NONE)};
    buf_reset(&scratch);
    (void)buf_reserve(&scratch, SCRATCH);
    if (binary)
        (void)fault(&m, ERROR_JSON, "text frames only");
    else if (!read_json(&m, text) || !read_func(&m))
        return;
    else if (func_is(&m, "error"))
        read_failure(&m);
    else if (func_is(&m, "unsubscribe_all"))
        m.a->op = ACTION_UNSUBSCRIBE_ALL;
    else if (func_is(&m, "ping"))
        pong(&m, out);
    else
        read_addressed(&m);
}
