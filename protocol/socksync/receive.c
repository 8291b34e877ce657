/* Receiving: a chain of steps, each of which checks one part of the message, fills in the action, and says whether to go on.
 * The first that fails has made the action the answer. The order is part of the contract:
 * "row" is a row of docs/protocol.md, "What is checked". */
#include "protocol/socksync/receive.h"

#include <assert.h>
#include <stdlib.h>

#include "protocol/base/alloc.h"
#include "protocol/base/map.h"
#include "protocol/json.h"
#include "protocol/message.h"
#include "protocol/socksync/encode.h"
#include "protocol/socksync/socksync.h"

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
    FIELD_WAIT,
    FIELD_TOKEN,
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
    [FIELD_WAIT] = SLICE_LIT("wait"),
    [FIELD_TOKEN] = SLICE_LIT("token"),
    [FIELD_ERROR_CODE] = SLICE_LIT("error_code"),
    [FIELD_MESSAGE] = SLICE_LIT("message"),
};

#define BIT(n) (1u << (n))

enum { VAR = BIT(KIND_VAR), LIST = BIT(KIND_LIST), FUNCTION = BIT(KIND_FUNCTION) };

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
    MAX_RATE = BIT(FIELD_MAX_RATE),
    WAIT = BIT(FIELD_WAIT),
    TOKEN = BIT(FIELD_TOKEN)
};

/* What a func may be said of, and with which fields. A func without a type has no kinds.
 *   op       the action; also what the peer's rights are asked for
 *   refusal  the text of error 1 when the subscription or the grant that it needs is missing
 *   never    refused with that text even to a peer who has the right */
struct row {
    struct slice func;
    unsigned kinds;
    enum action_op op;
    unsigned required, optional;
    const char *refusal;
    bool never;
};

#define NO_GRANT "no grant to write this name"

static const struct row rows[] = {
    {SLICE_LIT("set"), VAR, ACTION_SET, VALUE, NONE, NO_GRANT, false},
    {SLICE_LIT("set"), LIST, ACTION_SET, ID | VALUE, NONE, NO_GRANT, false},
    {SLICE_LIT("get"), VAR, ACTION_GET, NONE, NONE, "subscribe first", false},
    {SLICE_LIT("get"), LIST, ACTION_GET, NONE, ID | PAGE | PAGE_SIZE, "subscribe first", false},
    {SLICE_LIT("subscribe"), VAR, ACTION_SUBSCRIBE, NONE, MAX_RATE | WAIT, "not allowed", false},
    {SLICE_LIT("subscribe"), FUNCTION, ACTION_SUBSCRIBE, NONE, NONE, "not allowed", false},
    {SLICE_LIT("subscribe"), LIST, ACTION_SUBSCRIBE, NONE, ID | PAGE | PAGE_SIZE | MAX_RATE | WAIT, "not allowed",
     false},
    {SLICE_LIT("unsubscribe"), VAR | FUNCTION, ACTION_UNSUBSCRIBE, NONE, NONE, "not subscribed", false},
    {SLICE_LIT("unsubscribe"), LIST, ACTION_UNSUBSCRIBE, NONE, ID, "not subscribed", false},
    {SLICE_LIT("unsubscribe_all"), 0, ACTION_UNSUBSCRIBE_ALL, NONE, NONE, NULL, false},
    {SLICE_LIT("call"), FUNCTION, ACTION_CALL, ID, ARGS, "not subscribed", false},
    {SLICE_LIT("return"), FUNCTION, ACTION_RETURN, ID, VALUE, "not subscribed", false},
    {SLICE_LIT("error"), 0, ACTION_CALL_FAILED, NONE, NONE, NULL, false},
    {SLICE_LIT("insert"), LIST, ACTION_INSERT, INDEX | ID | VALUE, NONE, NO_GRANT, false},
    {SLICE_LIT("move"), LIST, ACTION_MOVE, INDEX | ID, NONE, NO_GRANT, false},
    {SLICE_LIT("delete"), LIST, ACTION_DELETE, ID, NONE, NO_GRANT, false},
    {SLICE_LIT("set_all"), LIST, ACTION_SET_ALL, PAGE | TOTAL | ITEMS, NONE, NO_GRANT, false},
    {SLICE_LIT("set_count"), LIST, ACTION_SET, TOTAL, NONE, "only the gateway sends set_count", true},
    {SLICE_LIT("auth"), 0, ACTION_AUTH, TOKEN, NONE, NULL, false},
    {SLICE_LIT("ping"), 0, ACTION_REPLY, NONE, ID, NULL, false},
};

enum { ROWS = sizeof rows / sizeof *rows };

/* ---- one message on its way ---- */

struct message {
    const struct dialect_limits *limits;
    struct dialect_peer *peer;
    struct json_value fields[FIELDS];
    const struct row *row;
    enum json_id_result id; /* of a field `id` that the row knows and that is there */
    struct action *a;
    int64_t total; /* set_all: total_item_count */
};

/* Memory behind the slices of the last action. Names and ids fit the fixed part, so it never moves. */
enum {
    WORD_MAX = 32,    /* longer than any func or type */
    TOKEN_MAX = 8192, /* bytes of a token */
    SCRATCH = MESSAGE_NAME_MAX + 6 * SOCKSYNC_ITEM_ID_MAX + 2 + 2 * WORD_MAX,
    ITEMS_KEPT = 1024 /* elements whose memory stays for the next message */
};

static struct buf scratch = {.max = SCRATCH};
static struct buf item_ids;
static struct slice *ids; /* of the elements of one set_all, canonical JSON text; ptr NULL: missing */
static size_t ids_len, ids_cap;

static void reset_memory(void)
{
    buf_reset(&scratch);
    (void)buf_reserve(&scratch, SCRATCH);
    buf_reset(&item_ids);
    buf_trim(&item_ids, 0);
    ids_len = 0;
    if (ids_cap > ITEMS_KEPT) {
        free(ids);
        ids = NULL;
        ids_cap = 0;
    }
}

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

/* ---- steps, in order ---- */

/* read_json: rows 2 and 4 to 7. Whether bytes are UTF-8 comes before whether they are JSON, but is only asked when the
 * scanner, which checks both at once, has refused them. */
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

/* word decodes a string that is compared with the vocabulary; longer ones are not in it. */
static struct slice word(const struct message *m, enum field f)
{
    struct slice text;
    return json_string(m->fields[f].text, WORD_MAX, &scratch, &text) ? text : SLICE_NONE;
}

static const struct row *find_row(struct slice func, unsigned kind_bits)
{
    for (size_t i = 0; i < ROWS; i++)
        if (slice_eq(rows[i].func, func) && (rows[i].kinds & kind_bits) == kind_bits)
            return &rows[i];
    return NULL;
}

/* read_func: rows 8 to 10. m->row is any row of that func. */
static bool read_func(struct message *m)
{
    if (!present(m, FIELD_FUNC))
        return fault(m, ERROR_MISSING, "func is missing");
    if (m->fields[FIELD_FUNC].type != JSON_STRING)
        return fault(m, ERROR_ARGUMENTS, "func must be a string");
    m->row = find_row(word(m, FIELD_FUNC), 0);
    return m->row || fault(m, ERROR_FUNC, "unknown func");
}

/* read_type: rows 13 to 16. m->row becomes the one for this type. */
static bool read_type(struct message *m)
{
    if (!present(m, FIELD_TYPE))
        return fault(m, ERROR_MISSING, "type is missing");
    if (m->fields[FIELD_TYPE].type != JSON_STRING)
        return fault(m, ERROR_ARGUMENTS, "type must be a string");
    m->a->kind = message_kind(word(m, FIELD_TYPE));
    if (m->a->kind == KIND_NONE)
        return fault(m, ERROR_TYPE, "unknown type");
    m->row = find_row(m->row->func, BIT(m->a->kind));
    return m->row || fault(m, ERROR_FUNC, "not available for this type");
}

/* note_id: a well-formed id goes with every answer from here on, so that a caller can settle its call whatever else is
 * wrong; what is wrong with the id itself waits for its turn. */
static void note_id(struct message *m)
{
    struct json_value *id = &m->fields[FIELD_ID];
    if ((m->row->optional & ID) && id->type == JSON_NULL)
        id->type = JSON_ABSENT;
    if (!((m->row->required | m->row->optional) & ID) || id->type == JSON_ABSENT)
        return;
    size_t max = m->a->kind == KIND_LIST ? SOCKSYNC_ITEM_ID_MAX : MESSAGE_CALL_ID_MAX;
    m->id = json_id(id, max, &scratch, &m->a->id);
    m->a->has_id = m->id == JSON_ID_OK;
}

/* read_name: rows 17, 18 and what of 19 the name itself tells. */
static bool read_name(struct message *m)
{
    struct slice name;
    if (!present(m, FIELD_NAME))
        return fault(m, ERROR_MISSING, "name is missing");
    if (m->fields[FIELD_NAME].type != JSON_STRING)
        return fault(m, ERROR_ARGUMENTS, "name must be a string");
    if (!json_string(m->fields[FIELD_NAME].text, MESSAGE_NAME_MAX, &scratch, &name) || !message_name_valid(name))
        return fault(m, ERROR_NAME, "invalid name");
    m->a->name = name;
    return true;
}

/* ask_peer: rows 19 and 20, one question. */
static bool ask_peer(struct message *m)
{
    struct action *a = m->a;
    switch (m->peer->host->access(m->peer, m->row->op, a->kind, a->name, a->has_id ? &a->id : NULL)) {
    case ACCESS_OK:
        return !m->row->never || fault(m, ERROR_FUNC, m->row->refusal);
    case ACCESS_UNKNOWN:
        return fault(m, ERROR_NAME, "unknown name");
    case ACCESS_UNSUBSCRIBED:
        return fault(m, ERROR_FUNC, m->row->refusal);
    case ACCESS_UNRESOLVED:
        break;
    }
    (void)fault(m, ERROR_FUNC, m->row->refusal);
    a->op = ACTION_FAULT_IF_KNOWN;
    return false;
}

/* ---- fields ---- */

static bool is_deep(const struct message *m, const struct json_value *v)
{
    return v->depth > m->limits->value_depth;
}

static bool take_json(struct message *m, const struct json_value *v)
{
    if (is_deep(m, v))
        return fault(m, ERROR_JSON, "nesting too deep");
    m->a->value = v->text;
    m->a->has_value = true;
    return true;
}

static bool take_integer(struct message *m, const struct json_value *v, int64_t *n, const char *wrong)
{
    bool good = v->type == JSON_NUMBER && json_integer(v->text, n);
    return good || fault(m, ERROR_ARGUMENTS, wrong);
}

static bool take_id(struct message *m, const struct json_value *v)
{
    (void)v; /* read already, by note_id */
    return m->id != JSON_ID_TYPE || fault(m, ERROR_ARGUMENTS, "id must be a string or an integer");
}

static bool take_args(struct message *m, const struct json_value *v)
{
    return v->type == JSON_OBJECT ? take_json(m, v) : fault(m, ERROR_ARGUMENTS, "args must be an object");
}

static bool take_items(struct message *m, const struct json_value *v)
{
    m->a->items_json = v->text;
    return v->type == JSON_ARRAY || fault(m, ERROR_ARGUMENTS, "items must be an array");
}

static bool take_page(struct message *m, const struct json_value *v)
{
    return take_integer(m, v, &m->a->page, "page must be an integer");
}

static bool take_page_size(struct message *m, const struct json_value *v)
{
    return take_integer(m, v, &m->a->page_size, "page_size must be an integer");
}

static bool take_index(struct message *m, const struct json_value *v)
{
    return take_integer(m, v, &m->a->index, "index must be an integer");
}

static bool take_total(struct message *m, const struct json_value *v)
{
    return take_integer(m, v, &m->total, "total_item_count must be an integer");
}

/* Updates per second, of which there may be less than one. */
static bool take_max_rate(struct message *m, const struct json_value *v)
{
    enum { LONGEST_MS = 3600 * 1000 };
    double rate = v->type == JSON_NUMBER ? json_double(v->text) : 0;
    if (!(rate > 0 && rate < 1e9))
        return fault(m, ERROR_ARGUMENTS, "max_rate must be a positive number");
    double ms = 1000 / rate;
    m->a->interval_ms = ms > (double)LONGEST_MS ? LONGEST_MS : (int64_t)(ms + 0.999);
    return true;
}

static bool take_wait(struct message *m, const struct json_value *v)
{
    m->a->wait = slice_eq(v->text, SLICE_LIT("true"));
    return v->type == JSON_BOOL || fault(m, ERROR_ARGUMENTS, "wait must be true or false");
}

static bool take_token(struct message *m, const struct json_value *v)
{
    static struct buf token = {.max = TOKEN_MAX};
    buf_reset(&token);
    if (v->type != JSON_STRING)
        return fault(m, ERROR_ARGUMENTS, "token must be a string");
    m->a->has_value = true;
    return json_string(v->text, TOKEN_MAX, &token, &m->a->value) ||
           fault(m, ERROR_ARGUMENTS, "auth: the token is too long");
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
    [FIELD_PAGE] = {take_page, "page is missing"},
    [FIELD_PAGE_SIZE] = {take_page_size, NULL},
    [FIELD_INDEX] = {take_index, "index is missing"},
    [FIELD_TOTAL] = {take_total, "total_item_count is missing"},
    [FIELD_MAX_RATE] = {take_max_rate, NULL},
    [FIELD_WAIT] = {take_wait, NULL},
    [FIELD_TOKEN] = {take_token, "token is missing"},
};

/* read_fields: rows 21 to 23. Everything that is missing comes before anything that is wrong. */
static bool read_fields(struct message *m)
{
    for (unsigned f = 0; f < FIELDS; f++) {
        bool null = m->fields[f].type == JSON_NULL && f != FIELD_VALUE;
        if ((m->row->optional & BIT(f)) && null)
            m->fields[f].type = JSON_ABSENT;
        if ((m->row->required & BIT(f)) && !present(m, f))
            return fault(m, ERROR_MISSING, takers[f].missing);
    }
    for (unsigned f = 0; f < FIELDS; f++)
        if (((m->row->required | m->row->optional) & BIT(f)) && present(m, f) && !takers[f].take(m, &m->fields[f]))
            return false;
    return true;
}

/* ---- the items of set_all ---- */

enum { ITEM_ID, ITEM_VALUE, ITEM_FIELDS };

static const struct slice item_keys[ITEM_FIELDS] = {
    [ITEM_ID] = SLICE_LIT("id"),
    [ITEM_VALUE] = SLICE_LIT("value"),
};

/* What is wrong with some item, to be told in the order of the rows and not of the items. */
struct item_faults {
    bool id_length, missing;
};

static struct slice *next_id(void)
{
    if (ids_len == ids_cap) {
        ids_cap = ids_cap ? ids_cap * 2 : 64;
        ids = sg_realloc(ids, ids_cap * sizeof *ids);
    }
    ids[ids_len] = SLICE_NONE;
    return &ids[ids_len++];
}

static bool read_item(struct message *m, const struct json_value v[ITEM_FIELDS], struct item_faults *faults)
{
    struct slice *item = next_id();
    if (v[ITEM_ID].type == JSON_ABSENT || v[ITEM_VALUE].type == JSON_ABSENT)
        faults->missing = true;
    if (v[ITEM_ID].type != JSON_ABSENT) {
        enum json_id_result id = json_id(&v[ITEM_ID], SOCKSYNC_ITEM_ID_MAX, &item_ids, item);
        if (id == JSON_ID_TYPE)
            return fault(m, ERROR_ARGUMENTS, "id must be a string or an integer");
        faults->id_length |= id == JSON_ID_LENGTH;
    }
    if (is_deep(m, &v[ITEM_VALUE]))
        return fault(m, ERROR_JSON, "nesting too deep");
    return true;
}

static bool read_items(struct message *m, struct item_faults *faults)
{
    struct json_value v[ITEM_FIELDS];
    struct slice rest = m->a->items_json;
    enum json_kind kind;
    item_ids.max = 2 * rest.len; /* an id takes more than the item that it comes from only in {"id":-1e18} */
    while ((kind = json_next(&rest, item_keys, ITEM_FIELDS, v)) != JSON_ABSENT) {
        if (kind != JSON_OBJECT)
            return fault(m, ERROR_ARGUMENTS, "items must be objects");
        if (ids_len == m->limits->max_items)
            return fault(m, ERROR_ARGUMENTS, "too many items");
        if (item_ids.cap == 0)
            (void)buf_reserve(&item_ids, item_ids.max); /* at once, so that it never moves */
        if (!read_item(m, v, faults))
            return false;
    }
    return true;
}

static bool has_duplicates(void)
{
    struct map_node *nodes = sg_calloc(ids_len, sizeof *nodes);
    struct map seen;
    bool twice = false;
    map_init(&seen);
    for (size_t i = 0; i < ids_len && !twice; i++) {
        if (ids[i].len == 0)
            continue;
        nodes[i].key = ids[i];
        twice = map_find(&seen, nodes[i].key) != NULL;
        if (!twice)
            map_insert(&seen, &nodes[i]);
    }
    map_deinit(&seen);
    free(nodes);
    return twice;
}

/* check_items: rows 22, 29 and 31 for the elements, and what set_all promises about itself. */
static bool check_items(struct message *m)
{
    struct item_faults faults = {.id_length = false};
    if (!read_items(m, &faults))
        return false;
    if (m->a->page != 0)
        return fault(m, ERROR_ARGUMENTS, "page must be 0");
    if (m->total < 0 || (uint64_t)m->total != ids_len)
        return fault(m, ERROR_ARGUMENTS, "total_item_count must be the number of items");
    if (faults.id_length)
        return fault(m, ERROR_ID, "id is empty or too long");
    if (has_duplicates())
        return fault(m, ERROR_ID, "duplicate id");
    return !faults.missing || fault(m, ERROR_MISSING, "an item lacks id or value");
}

/* check_ranges: rows 24, 27, the lengths of ids, and the items of a list. The rest takes the list itself: so does a negative
 * index, because an id that is there already comes before it (29, 30). It goes as one that no list can have. */
static bool check_ranges(struct message *m)
{
    struct action *a = m->a;
    if (a->op == ACTION_SET_ALL)
        return check_items(m);
    if (a->page < 0)
        a->page = 0;
    if (a->index < 0 && a->index != ACTION_END)
        a->index = INT64_MAX;
    if (present(m, FIELD_PAGE_SIZE) && (m->row->optional & PAGE_SIZE) && a->page_size <= 0)
        return fault(m, ERROR_ARGUMENTS, "page_size must be positive");
    return m->id != JSON_ID_LENGTH || fault(m, ERROR_ID, "id is empty or too long");
}

/* ---- error frames ---- */

/* read_failure: an error frame is never answered, whatever it holds. It matters when it can settle a call. */
static void read_failure(struct message *m)
{
    struct action *a = m->a;
    const struct json_value *type = &m->fields[FIELD_TYPE], *name = &m->fields[FIELD_NAME];
    const struct json_value *code = &m->fields[FIELD_ERROR_CODE];
    int64_t n;
    if (type->type != JSON_ABSENT && type->type != JSON_NULL &&
        !(type->type == JSON_STRING && message_kind(word(m, FIELD_TYPE)) == KIND_FUNCTION))
        return;
    if (json_id(&m->fields[FIELD_ID], MESSAGE_CALL_ID_MAX, &scratch, &a->id) != JSON_ID_OK)
        return;
    a->op = ACTION_CALL_FAILED;
    a->kind = KIND_FUNCTION;
    a->has_id = true;
    if (name->type == JSON_STRING &&
        (!json_string(name->text, MESSAGE_NAME_MAX, &scratch, &a->name) || !message_name_valid(a->name)))
        a->name = SLICE_NONE;
    bool known = code->type == JSON_NUMBER && json_integer(code->text, &n) && n >= ERROR_FUNC && n <= ERROR_OTHER;
    a->error = known ? (enum error_code)n : ERROR_OTHER;
    if (m->fields[FIELD_MESSAGE].type == JSON_STRING)
        a->text_json = m->fields[FIELD_MESSAGE].text;
}

/* ---- the whole ---- */

/* read_addressed: a func that has a type and a name. */
static void read_addressed(struct message *m)
{
    if (!read_type(m))
        return;
    note_id(m);
    if (!read_name(m) || !ask_peer(m) || !read_fields(m))
        return;
    m->a->op = m->row->op;
    (void)check_ranges(m); /* last: whatever it finds is in the action */
}

/* read_bare: a func that is said of nothing. Row 12: only the fields that it knows are looked at. */
static bool read_bare(struct message *m)
{
    note_id(m);
    if (!read_fields(m))
        return false;
    m->a->op = m->row->op;
    return check_ranges(m);
}

static void pong(const struct message *m, const struct actions *out)
{
    size_t from = out->bytes->len;
    uint32_t messages = encode_pong(out->bytes, m->a->has_id ? m->a->id : SLICE_NONE);
    actions_reply(out, m->a, from, messages);
}

void receive_message(struct dialect_peer *peer, struct slice text, bool binary, struct actions *out)
{
    struct message m = {.limits = peer->host->limits(peer), .peer = peer, .a = actions_add(out, ACTION_NONE)};
    reset_memory();
    if (binary) {
        (void)fault(&m, ERROR_JSON, "text frames only");
        return;
    }
    if (!read_json(&m, text) || !read_func(&m))
        return;
    if (m.row->op == ACTION_CALL_FAILED)
        read_failure(&m);
    else if (m.row->kinds != 0)
        read_addressed(&m);
    else if (read_bare(&m) && m.row->op == ACTION_REPLY)
        pong(&m, out);
}
