/* What each message asks for: one named case per row of the order of checks, and per way to be right. */
#include "protocol/socksync/receive.h"

#include "protocol/message.h"
#include "protocol/socksync/encode.h"

#include "protocol/base/alloc.h"
#include "protocol/base/list.h"
#include "protocol/socksync/socksync.h"
#include "tests/unit/unit.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- a peer whose rights are in the names ---- */

struct asked {
    struct dialect_peer peer;
    int times;
    enum action_op op;
    enum kind kind;
    char name[MESSAGE_NAME_MAX + 1];
    char id[2000]; /* "-" when none was handed over */
};

static void copy(char *to, size_t room, struct slice from)
{
    CU_ASSERT_FATAL(from.len < room);
    if (from.len)
        memcpy(to, from.ptr, from.len);
    to[from.len] = '\0';
}

static enum access answer(struct dialect_peer *peer, enum action_op op, enum kind kind, struct slice name,
                          const struct slice *id)
{
    struct asked *a = container_of(peer, struct asked, peer);
    a->times++;
    a->op = op;
    a->kind = kind;
    copy(a->name, sizeof a->name, name);
    copy(a->id, sizeof a->id, id ? *id : SLICE_LIT("-"));
    if (slice_eq(name, SLICE_LIT("unknown")))
        return ACCESS_UNKNOWN;
    if (slice_eq(name, SLICE_LIT("unsubscribed")))
        return ACCESS_UNSUBSCRIBED;
    return slice_eq(name, SLICE_LIT("unresolved")) ? ACCESS_UNRESOLVED : ACCESS_OK;
}

static struct asked asked;
static struct dialect_limits limits = {.max_depth = 64, .value_depth = 60, .max_items = 3};

static const struct dialect_limits *limits_of(const struct dialect_peer *peer)
{
    (void)peer;
    return &limits;
}

static const struct dialect_host host = {.access = answer, .limits = limits_of};
static struct buf replies = {.max = 4096};
static struct actions actions;

/* receive hands over a copy that ends where its memory ends, so that a sanitizer sees a read past the end. */
static struct action receive_bytes(struct slice text, bool binary)
{
    static char *message;
    free(message);
    message = sg_malloc(text.len);
    if (text.len)
        memcpy(message, text.ptr, text.len);
    asked = (struct asked){.peer.host = &host};
    memset(&actions, 0x5a, sizeof actions);
    actions_init(&actions, &replies);
    receive_message(&asked.peer, slice_of(message, text.len), binary, &actions);
    CU_ASSERT_EQUAL_FATAL(actions.len, 1);
    CU_ASSERT_FALSE(actions.overflow);
    return actions.list[0];
}

static struct action receive(const char *text)
{
    return receive_bytes(slice_str(text), false);
}

/* ---- messages that are answered ---- */

#define LONG_16    "0123456789abcdef"
#define LONG_128   LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16 LONG_16
#define LONG_256   LONG_128 LONG_128
#define LONG_512   LONG_256 LONG_256
#define DIGITS_32  "12345678901234567890123456789012"
#define DIGITS_256 DIGITS_32 DIGITS_32 DIGITS_32 DIGITS_32 DIGITS_32 DIGITS_32 DIGITS_32 DIGITS_32

#define VAR_A  "\"type\":\"var\",\"name\":\"a\""
#define LIST_A "\"type\":\"list\",\"name\":\"a\""
#define FUNC_A "\"type\":\"function\",\"name\":\"a\""

struct faulty {
    const char *title, *message;
    enum error_code error;
    const char *text; /* NULL: not looked at */
    enum kind kind;   /* what the answer carries */
    const char *name, *id;
};

static const struct faulty faults[] = {
    {"4 empty", "", 7, "empty message", KIND_NONE, "", ""},
    {"5 not JSON", "{{", 7, "invalid JSON", KIND_NONE, "", ""},
    {"5 white space only", " \n", 7, "invalid JSON", KIND_NONE, "", ""},
    {"5 trailing garbage", "{\"func\":\"get\"," VAR_A "} x", 7, "invalid JSON", KIND_NONE, "", ""},
    {"5 two objects", "{}{}", 7, "invalid JSON", KIND_NONE, "", ""},
    {"5 NaN", "{\"func\":\"set\"," VAR_A ",\"value\":NaN}", 7, "invalid JSON", KIND_NONE, "", ""},
    {"5 Infinity", "{\"func\":\"set\"," VAR_A ",\"value\":-Infinity}", 7, "invalid JSON", KIND_NONE, "", ""},
    {"5 lone surrogate", "{\"func\":\"set\"," VAR_A ",\"value\":\"\\ud800\"}", 7, "invalid JSON", KIND_NONE, "", ""},
    {"5 lone surrogate in a field that nobody reads", "{\"func\":\"unsubscribe_all\",\"x\":\"\\udc00\"}", 7,
     "invalid JSON", KIND_NONE, "", ""},
    {"5 control character", "{\"func\":\"set\"," VAR_A ",\"value\":\"\x01\"}", 7, "invalid JSON", KIND_NONE, "", ""},
    {"5 single quotes", "{'func':'get'}", 7, "invalid JSON", KIND_NONE, "", ""},
    {"5 byte order mark", "\xef\xbb\xbf{\"func\":\"unsubscribe_all\"}", 7, "invalid JSON", KIND_NONE, "", ""},
    {"6 array", "[1,2]", 7, "object expected", KIND_NONE, "", ""},
    {"6 string", "\"get\"", 7, "object expected", KIND_NONE, "", ""},
    {"6 number", "5", 7, "object expected", KIND_NONE, "", ""},
    {"6 null", "null", 7, "object expected", KIND_NONE, "", ""},
    {"6 true", "true", 7, "object expected", KIND_NONE, "", ""},
    {"6 array of a message", "[{\"func\":\"unsubscribe_all\"}]", 7, "object expected", KIND_NONE, "", ""},
    {"7 last func wins", "{\"func\":\"unsubscribe_all\",\"func\":\"jump\"}", 1, "unknown func", KIND_NONE, "", ""},
    {"7 last name wins", "{\"func\":\"get\",\"type\":\"var\",\"name\":\"a\",\"name\":\"unknown\"}", 3, "unknown name",
     KIND_VAR, "unknown", ""},
    {"8 func absent", "{}", 5, "func is missing", KIND_NONE, "", ""},
    {"8 func absent, rest fine", "{" VAR_A "}", 5, "func is missing", KIND_NONE, "", ""},
    {"9 func null", "{\"func\":null," VAR_A "}", 6, "func must be a string", KIND_NONE, "", ""},
    {"9 func number", "{\"func\":1," VAR_A "}", 6, "func must be a string", KIND_NONE, "", ""},
    {"9 func array", "{\"func\":[\"get\"]," VAR_A "}", 6, "func must be a string", KIND_NONE, "", ""},
    {"10 unknown func", "{\"func\":\"jump\"}", 1, "unknown func", KIND_NONE, "", ""},
    {"10 unknown func before its type", "{\"func\":\"jump\",\"type\":5}", 1, "unknown func", KIND_NONE, "", ""},
    {"10 empty func", "{\"func\":\"\"}", 1, "unknown func", KIND_NONE, "", ""},
    {"10 other case", "{\"func\":\"Get\"," VAR_A "}", 1, "unknown func", KIND_NONE, "", ""},
    {"10 func with a tail", "{\"func\":\"get\\u0000\"," VAR_A "}", 1, "unknown func", KIND_NONE, "", ""},
    {"10 very long func", "{\"func\":\"" LONG_512 "\"}", 1, "unknown func", KIND_NONE, "", ""},
    {"10 very long func with escapes", "{\"func\":\"\\u0000" LONG_512 "\"}", 1, "unknown func", KIND_NONE, "", ""},
    {"13 type absent", "{\"func\":\"get\",\"name\":\"a\"}", 5, "type is missing", KIND_NONE, "", ""},
    {"14 type null", "{\"func\":\"get\",\"type\":null,\"name\":\"a\"}", 6, "type must be a string", KIND_NONE, "", ""},
    {"14 type number", "{\"func\":\"get\",\"type\":0}", 6, "type must be a string", KIND_NONE, "", ""},
    {"15 unknown type", "{\"func\":\"get\",\"type\":\"tree\",\"name\":\"a\"}", 2, "unknown type", KIND_NONE, "", ""},
    {"15 empty type", "{\"func\":\"get\",\"type\":\"\"}", 2, "unknown type", KIND_NONE, "", ""},
    {"15 other case", "{\"func\":\"get\",\"type\":\"Var\"}", 2, "unknown type", KIND_NONE, "", ""},
    {"16 get function", "{\"func\":\"get\"," FUNC_A "}", 1, "not available for this type", KIND_FUNCTION, "", ""},
    {"16 set function", "{\"func\":\"set\"," FUNC_A "}", 1, NULL, KIND_FUNCTION, "", ""},
    {"16 insert var", "{\"func\":\"insert\"," VAR_A "}", 1, NULL, KIND_VAR, "", ""},
    {"16 delete var", "{\"func\":\"delete\"," VAR_A "}", 1, NULL, KIND_VAR, "", ""},
    {"16 set_all var", "{\"func\":\"set_all\"," VAR_A "}", 1, NULL, KIND_VAR, "", ""},
    {"16 set_count function", "{\"func\":\"set_count\"," FUNC_A "}", 1, NULL, KIND_FUNCTION, "", ""},
    {"16 call var", "{\"func\":\"call\"," VAR_A ",\"id\":\"x\"}", 1, NULL, KIND_VAR, "", ""},
    {"16 call list", "{\"func\":\"call\"," LIST_A ",\"id\":\"x\"}", 1, NULL, KIND_LIST, "", ""},
    {"16 return var", "{\"func\":\"return\"," VAR_A ",\"id\":\"x\"}", 1, NULL, KIND_VAR, "", ""},
    {"16 before the name", "{\"func\":\"insert\",\"type\":\"var\"}", 1, NULL, KIND_VAR, "", ""},
    {"17 name absent", "{\"func\":\"get\",\"type\":\"var\"}", 5, "name is missing", KIND_VAR, "", ""},
    {"17 name absent, id known", "{\"func\":\"call\",\"type\":\"function\",\"id\":\"7\"}", 5, "name is missing",
     KIND_FUNCTION, "", "\"7\""},
    {"18 name null", "{\"func\":\"get\",\"type\":\"var\",\"name\":null}", 6, "name must be a string", KIND_VAR, "", ""},
    {"18 name number", "{\"func\":\"get\",\"type\":\"var\",\"name\":5}", 6, "name must be a string", KIND_VAR, "", ""},
    {"19 name empty", "{\"func\":\"get\",\"type\":\"var\",\"name\":\"\"}", 3, "invalid name", KIND_VAR, "", ""},
    {"19 name with zero", "{\"func\":\"get\",\"type\":\"var\",\"name\":\"a\\u0000b\"}", 3, "invalid name", KIND_VAR, "",
     ""},
    {"19 name with U+001F", "{\"func\":\"get\",\"type\":\"var\",\"name\":\"a\\u001fb\"}", 3, "invalid name", KIND_VAR,
     "", ""},
    {"19 name with newline", "{\"func\":\"get\",\"type\":\"var\",\"name\":\"\\n\"}", 3, "invalid name", KIND_VAR, "",
     ""},
    {"19 name with U+007F", "{\"func\":\"get\",\"type\":\"var\",\"name\":\"a\x7f\"}", 3, "invalid name", KIND_VAR, "",
     ""},
    {"19 name with {", "{\"func\":\"get\",\"type\":\"var\",\"name\":\"a{b\"}", 3, "invalid name", KIND_VAR, "", ""},
    {"19 name with }", "{\"func\":\"get\",\"type\":\"var\",\"name\":\"}\"}", 3, "invalid name", KIND_VAR, "", ""},
    {"19 name of 513 bytes", "{\"func\":\"get\",\"type\":\"var\",\"name\":\"" LONG_512 "x\"}", 3, "invalid name",
     KIND_VAR, "", ""},
    {"19 name of 514 bytes with an escape", "{\"func\":\"get\",\"type\":\"var\",\"name\":\"\\u00e9" LONG_512 "\"}", 3,
     "invalid name", KIND_VAR, "", ""},
    {"19 malformed name, id known", "{\"func\":\"call\",\"type\":\"function\",\"name\":\"{\",\"id\":7}", 3,
     "invalid name", KIND_FUNCTION, "", "7"},
    {"19 unknown variable", "{\"func\":\"subscribe\",\"type\":\"var\",\"name\":\"unknown\"}", 3, "unknown name",
     KIND_VAR, "unknown", ""},
    {"19 unknown function before anything else about the call",
     "{\"func\":\"call\",\"type\":\"function\",\"name\":\"unknown\",\"id\":{},\"args\":[]}", 3, "unknown name",
     KIND_FUNCTION, "unknown", ""},
    {"19 unknown function, call without id", "{\"func\":\"call\",\"type\":\"function\",\"name\":\"unknown\"}", 3,
     "unknown name", KIND_FUNCTION, "unknown", ""},
    {"19 unknown function, id known", "{\"func\":\"call\",\"type\":\"function\",\"name\":\"unknown\",\"id\":\"7f1e\"}",
     3, "unknown name", KIND_FUNCTION, "unknown", "\"7f1e\""},
    {"19 unknown list item, id known", "{\"func\":\"subscribe\",\"type\":\"list\",\"name\":\"unknown\",\"id\":-0}", 3,
     "unknown name", KIND_LIST, "unknown", "0"},
    {"19 no id where there is none", "{\"func\":\"set\",\"type\":\"var\",\"name\":\"unknown\",\"id\":5,\"value\":1}", 3,
     NULL, KIND_VAR, "unknown", ""},
    {"20 set", "{\"func\":\"set\",\"type\":\"var\",\"name\":\"unsubscribed\",\"value\":1}", 1,
     "no grant to write this name", KIND_VAR, "unsubscribed", ""},
    {"20 get", "{\"func\":\"get\",\"type\":\"var\",\"name\":\"unsubscribed\"}", 1, "subscribe first", KIND_VAR,
     "unsubscribed", ""},
    {"20 get list", "{\"func\":\"get\",\"type\":\"list\",\"name\":\"unsubscribed\",\"id\":\"a\"}", 1, "subscribe first",
     KIND_LIST, "unsubscribed", "\"a\""},
    {"20 unsubscribe", "{\"func\":\"unsubscribe\",\"type\":\"var\",\"name\":\"unsubscribed\"}", 1, "not subscribed",
     KIND_VAR, "unsubscribed", ""},
    {"20 before missing fields", "{\"func\":\"insert\",\"type\":\"list\",\"name\":\"unsubscribed\"}", 1,
     "no grant to write this name", KIND_LIST, "unsubscribed", ""},
    {"20 before wrong fields", "{\"func\":\"get\",\"type\":\"list\",\"name\":\"unsubscribed\",\"page\":\"1\"}", 1, NULL,
     KIND_LIST, "unsubscribed", ""},
    {"20 set_count, even with the right to write", "{\"func\":\"set_count\"," LIST_A ",\"total_item_count\":1}", 1,
     "only the gateway sends set_count", KIND_LIST, "a", ""},
    {"20 set_count of something unknown", "{\"func\":\"set_count\",\"type\":\"list\",\"name\":\"unknown\"}", 3,
     "unknown name", KIND_LIST, "unknown", ""},
    {"21 set var without value", "{\"func\":\"set\"," VAR_A "}", 5, "value is missing", KIND_VAR, "a", ""},
    {"21 set list without id", "{\"func\":\"set\"," LIST_A ",\"value\":1}", 5, "id is missing", KIND_LIST, "a", ""},
    {"21 set list without value", "{\"func\":\"set\"," LIST_A ",\"id\":\"i\"}", 5, "value is missing", KIND_LIST, "a",
     "\"i\""},
    {"21 insert without index", "{\"func\":\"insert\"," LIST_A ",\"id\":1,\"value\":1}", 5, "index is missing",
     KIND_LIST, "a", "1"},
    {"21 insert without id", "{\"func\":\"insert\"," LIST_A ",\"index\":1,\"value\":1}", 5, "id is missing", KIND_LIST,
     "a", ""},
    {"21 insert without value", "{\"func\":\"insert\"," LIST_A ",\"index\":1,\"id\":1}", 5, "value is missing",
     KIND_LIST, "a", "1"},
    {"21 delete without id", "{\"func\":\"delete\"," LIST_A "}", 5, "id is missing", KIND_LIST, "a", ""},
    {"21 set_all without page", "{\"func\":\"set_all\"," LIST_A ",\"total_item_count\":0,\"items\":[]}", 5,
     "page is missing", KIND_LIST, "a", ""},
    {"21 set_all without total", "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"items\":[]}", 5,
     "total_item_count is missing", KIND_LIST, "a", ""},
    {"21 set_all without items", "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":0}", 5,
     "items is missing", KIND_LIST, "a", ""},
    {"21 call without id", "{\"func\":\"call\"," FUNC_A "}", 5, "id is missing", KIND_FUNCTION, "a", ""},
    {"21 return without id", "{\"func\":\"return\"," FUNC_A ",\"value\":1}", 5, "id is missing", KIND_FUNCTION, "a",
     ""},
    {"21 missing before wrong", "{\"func\":\"insert\"," LIST_A ",\"index\":\"0\",\"id\":{}}", 5, "value is missing",
     KIND_LIST, "a", ""},
    {"22 page string", "{\"func\":\"get\"," LIST_A ",\"page\":\"1\"}", 6, "page must be an integer", KIND_LIST, "a",
     ""},
    {"22 page fraction", "{\"func\":\"get\"," LIST_A ",\"page\":1.5}", 6, "page must be an integer", KIND_LIST, "a",
     ""},
    {"22 page 1e400", "{\"func\":\"get\"," LIST_A ",\"page\":1e400}", 6, "page must be an integer", KIND_LIST, "a", ""},
    {"22 page true", "{\"func\":\"get\"," LIST_A ",\"page\":true}", 6, NULL, KIND_LIST, "a", ""},
    {"22 page_size array", "{\"func\":\"get\"," LIST_A ",\"page_size\":[1]}", 6, "page_size must be an integer",
     KIND_LIST, "a", ""},
    {"22 page wrong though id is given", "{\"func\":\"get\"," LIST_A ",\"id\":1,\"page\":\"x\"}", 6, NULL, KIND_LIST,
     "a", "1"},
    {"22 id object", "{\"func\":\"get\"," LIST_A ",\"id\":{}}", 6, "id must be a string or an integer", KIND_LIST, "a",
     ""},
    {"22 id fraction", "{\"func\":\"delete\"," LIST_A ",\"id\":1.5}", 6, NULL, KIND_LIST, "a", ""},
    {"22 id 1e400", "{\"func\":\"delete\"," LIST_A ",\"id\":1e400}", 6, NULL, KIND_LIST, "a", ""},
    {"22 id bool", "{\"func\":\"subscribe\"," LIST_A ",\"id\":true}", 6, NULL, KIND_LIST, "a", ""},
    {"22 required id null", "{\"func\":\"delete\"," LIST_A ",\"id\":null}", 6, NULL, KIND_LIST, "a", ""},
    {"22 call id null", "{\"func\":\"call\"," FUNC_A ",\"id\":null}", 6, NULL, KIND_FUNCTION, "a", ""},
    {"22 required index null", "{\"func\":\"insert\"," LIST_A ",\"index\":null,\"id\":1,\"value\":1}", 6,
     "index must be an integer", KIND_LIST, "a", "1"},
    {"22 required page null", "{\"func\":\"set_all\"," LIST_A ",\"page\":null,\"total_item_count\":0,\"items\":[]}", 6,
     "page must be an integer", KIND_LIST, "a", ""},
    {"22 required items null", "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":0,\"items\":null}", 6,
     "items must be an array", KIND_LIST, "a", ""},
    {"22 total string", "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":\"0\",\"items\":[]}", 6,
     "total_item_count must be an integer", KIND_LIST, "a", ""},
    {"22 items object", "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":0,\"items\":{}}", 6,
     "items must be an array", KIND_LIST, "a", ""},
    {"22 item not an object", "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":1,\"items\":[1]}", 6,
     "items must be objects", KIND_LIST, "a", ""},
    {"22 item id null",
     "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":1,\"items\":[{\"id\":null,\"value\":1}]}", 6,
     NULL, KIND_LIST, "a", ""},
    {"22 args array", "{\"func\":\"call\"," FUNC_A ",\"id\":\"x\",\"args\":[]}", 6, "args must be an object",
     KIND_FUNCTION, "a", "\"x\""},
    {"22 args string", "{\"func\":\"call\"," FUNC_A ",\"id\":\"x\",\"args\":\"{}\"}", 6, NULL, KIND_FUNCTION, "a",
     "\"x\""},
    {"22 ping id object", "{\"func\":\"ping\",\"id\":{}}", 6, "id must be a string or an integer", KIND_NONE, "", ""},
    {"22 ping id fraction", "{\"func\":\"ping\",\"id\":1.5}", 6, NULL, KIND_NONE, "", ""},
    {"22 max_rate text", "{\"func\":\"subscribe\"," LIST_A ",\"max_rate\":\"9\"}", 6,
     "max_rate must be a positive number", KIND_LIST, "a", ""},
    {"22 wait", "{\"func\":\"subscribe\"," LIST_A ",\"wait\":1}", 6, "wait must be true or false", KIND_LIST, "a", ""},
    {"27 max_rate 0", "{\"func\":\"subscribe\"," VAR_A ",\"max_rate\":0}", 6, "max_rate must be a positive number",
     KIND_VAR, "a", ""},
    {"27 max_rate negative", "{\"func\":\"subscribe\"," VAR_A ",\"max_rate\":-1}", 6, NULL, KIND_VAR, "a", ""},
    {"27 max_rate beyond numbers", "{\"func\":\"subscribe\"," VAR_A ",\"max_rate\":1e400}", 6, NULL, KIND_VAR, "a", ""},
    {"27 page_size 0", "{\"func\":\"get\"," LIST_A ",\"page_size\":0}", 6, "page_size must be positive", KIND_LIST, "a",
     ""},
    {"27 page_size negative", "{\"func\":\"get\"," LIST_A ",\"page_size\":-5}", 6, NULL, KIND_LIST, "a", ""},
    {"27 page_size huge negative", "{\"func\":\"get\"," LIST_A ",\"page_size\":-1e300}", 6, NULL, KIND_LIST, "a", ""},
    {"28 ping id empty", "{\"func\":\"ping\",\"id\":\"\"}", 4, "id is empty or too long", KIND_NONE, "", ""},
    {"28 ping id of 129 bytes", "{\"func\":\"ping\",\"id\":\"" LONG_128 "x\"}", 4, NULL, KIND_NONE, "", ""},
    {"10 pong, for the gateway asks nothing", "{\"func\":\"pong\"}", 1, "unknown func", KIND_NONE, "", ""},
    {"28 id empty", "{\"func\":\"get\"," LIST_A ",\"id\":\"\"}", 4, "id is empty or too long", KIND_LIST, "a", ""},
    {"28 id of 257 bytes", "{\"func\":\"delete\"," LIST_A ",\"id\":\"" LONG_256 "x\"}", 4, NULL, KIND_LIST, "a", ""},
    {"28 integer of 257 digits", "{\"func\":\"delete\"," LIST_A ",\"id\":1" DIGITS_256 "}", 4, NULL, KIND_LIST, "a",
     ""},
    {"28 call id empty", "{\"func\":\"call\"," FUNC_A ",\"id\":\"\"}", 4, NULL, KIND_FUNCTION, "a", ""},
    {"28 call id of 129 bytes", "{\"func\":\"call\"," FUNC_A ",\"id\":\"" LONG_128 "x\"}", 4, NULL, KIND_FUNCTION, "a",
     ""},
    {"28 return id of 129 bytes", "{\"func\":\"return\"," FUNC_A ",\"id\":\"" LONG_128 "x\"}", 4, NULL, KIND_FUNCTION,
     "a", ""},
    {"28 item id empty",
     "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":1,\"items\":[{\"id\":\"\",\"value\":1}]}", 4,
     NULL, KIND_LIST, "a", ""},
    {"29 two equal ids",
     "{\"func\":\"set_all\"," LIST_A
     ",\"page\":0,\"total_item_count\":3,\"items\":[{\"id\":\"a\",\"value\":1},{\"id\":\"b\","
     "\"value\":2},{\"id\":\"\\u0061\",\"value\":3}]}",
     4, "duplicate id", KIND_LIST, "a", ""},
    {"29 two equal integers",
     "{\"func\":\"set_all\"," LIST_A
     ",\"page\":0,\"total_item_count\":2,\"items\":[{\"id\":1,\"value\":1},{\"id\":1.0,\"value\":2}"
     "]}",
     4, "duplicate id", KIND_LIST, "a", ""},
    {"29 before 31",
     "{\"func\":\"set_all\"," LIST_A
     ",\"page\":0,\"total_item_count\":3,\"items\":[{\"id\":1},{\"id\":2,\"value\":1},{\"id\":2,"
     "\"value\":1}]}",
     4, "duplicate id", KIND_LIST, "a", ""},
    {"31 item without value",
     "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":1,\"items\":[{\"id\":1e18}]}", 5,
     "an item lacks id or value", KIND_LIST, "a", ""},
    {"31 item without id",
     "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":2,\"items\":[{\"value\":1},{}]}", 5,
     "an item lacks id or value", KIND_LIST, "a", ""},
    {"set_all of another page", "{\"func\":\"set_all\"," LIST_A ",\"page\":1,\"total_item_count\":0,\"items\":[]}", 6,
     "page must be 0", KIND_LIST, "a", ""},
    {"set_all of a negative page", "{\"func\":\"set_all\"," LIST_A ",\"page\":-1,\"total_item_count\":0,\"items\":[]}",
     6, "page must be 0", KIND_LIST, "a", ""},
    {"set_all with another total", "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":1,\"items\":[]}",
     6, "total_item_count must be the number of items", KIND_LIST, "a", ""},
    {"set_all with a negative total",
     "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":-1,\"items\":[]}", 6, NULL, KIND_LIST, "a", ""},
    {"set_all with more items than allowed",
     "{\"func\":\"set_all\"," LIST_A
     ",\"page\":0,\"total_item_count\":4,\"items\":[{\"id\":1,\"value\":1},{\"id\":2,\"value\":1},{"
     "\"id\":3,\"value\":1},{\"id\":4,\"value\":1}]}",
     6, "too many items", KIND_LIST, "a", ""},
};

static bool same(struct slice s, const char *text)
{
    return slice_eq(s, slice_str(text));
}

static bool fault_is(const struct action *a, const struct faulty *want)
{
    return a->op == ACTION_FAULT && a->error == want->error && a->kind == want->kind && same(a->name, want->name) &&
           same(a->id, want->id) && a->has_id == (want->id[0] != '\0') && a->text &&
           (!want->text || strcmp(a->text, want->text) == 0);
}

static void test_faults(void)
{
    for (size_t i = 0; i < COUNT(faults); i++) {
        struct action a = receive(faults[i].message);
        if (fault_is(&a, &faults[i]))
            continue;
        printf("\n    %s: op %d, error %d, %s\n", faults[i].title, a.op, a.error, a.text ? a.text : "");
        CU_FAIL("another answer");
    }
    CU_PASS("all answered");
}

/* 1: whatever is in it, even a good message. */
static void test_binary(void)
{
    static const struct faulty want = {"binary", "", 7, "text frames only", KIND_NONE, "", ""};
    struct action a = receive_bytes(SLICE_LIT("{\"func\":\"unsubscribe_all\"}"), true);
    CU_ASSERT_TRUE(fault_is(&a, &want));
    a = receive_bytes(SLICE_LIT("\xff"), true);
    CU_ASSERT_TRUE(fault_is(&a, &want));
    a = receive_bytes(SLICE_NONE, true);
    CU_ASSERT_TRUE(fault_is(&a, &want));
}

/* 2: before everything that is wrong with the JSON, wherever the bytes are. */
static void test_invalid_utf8(void)
{
    static const char *const messages[] = {
        "\xff",
        "{\"func\":\"set\"," VAR_A ",\"value\":\"\xc3\"}",
        "{\"func\":\"set\"," VAR_A ",\"value\":\"\xed\xa0\x80\"}",
        "{\"func\":\"\xc0\x80\"}",
        "{\"\xf5\":1}",
        "{{ \xe2\x82",
        "[1,\"\x80\"]",
        "{\"func\":\"error\",\"message\":\"\xff\"}",
        "{\"func\":\"unsubscribe_all\"} \xc3",
    };
    for (size_t i = 0; i < COUNT(messages); i++) {
        struct action a = receive(messages[i]);
        CU_ASSERT_EQUAL(a.op, ACTION_CLOSE);
        CU_ASSERT_EQUAL(a.close_code, 1007);
        CU_ASSERT_EQUAL(asked.times, 0);
    }
    /* Behind the depth at which the scanner stopped, too. */
    char deep[200];
    memset(deep, '[', sizeof deep);
    deep[199] = (char)0xff;
    CU_ASSERT_EQUAL(receive_bytes(slice_of(deep, sizeof deep), false).op, ACTION_CLOSE);
}

static struct slice nested_value(char *room, size_t room_size, const char *head, size_t depth, const char *tail)
{
    int len = snprintf(room, room_size, "%s%.*s%.*s%s", head, (int)depth,
                       "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", (int)depth,
                       "]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", tail);
    CU_ASSERT_FATAL(len > 0 && (size_t)len < room_size);
    return slice_of(room, (size_t)len);
}

/* 5: the message nests at most 64, a value at most 60, wherever it stands. */
static void test_depth(void)
{
    static const struct {
        const char *head, *tail;
        size_t deepest;
    } cases[] = {
        {"{\"func\":\"set\"," VAR_A ",\"value\":", "}", 60},
        {"{\"func\":\"set\"," LIST_A ",\"id\":1,\"value\":", "}", 60},
        {"{\"func\":\"insert\"," LIST_A ",\"index\":0,\"id\":1,\"value\":", "}", 60},
        {"{\"func\":\"return\"," FUNC_A ",\"id\":1,\"value\":", "}", 60},
        {"{\"func\":\"call\"," FUNC_A ",\"id\":1,\"args\":{\"a\":", "}}", 59},
        {"{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":1,\"items\":[{\"id\":1,\"value\":", "}]}",
         60},
        {"{\"func\":\"unsubscribe_all\",\"ignored\":", "}", 63},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char room[400];
        struct slice text = nested_value(room, sizeof room, cases[i].head, cases[i].deepest, cases[i].tail);
        CU_ASSERT_NOT_EQUAL(receive_bytes(text, false).op, ACTION_FAULT);
        text = nested_value(room, sizeof room, cases[i].head, cases[i].deepest + 1, cases[i].tail);
        struct action a = receive_bytes(text, false);
        CU_ASSERT_EQUAL(a.op, ACTION_FAULT);
        CU_ASSERT_EQUAL(a.error, ERROR_JSON);
        CU_ASSERT_STRING_EQUAL(a.text, "nesting too deep");
    }
}

/* 19 and 20 when the peer cannot tell yet: the answer waits for Redis. */
static void test_unresolved(void)
{
    struct action a = receive("{\"func\":\"get\",\"type\":\"var\",\"name\":\"unresolved\"}");
    CU_ASSERT_EQUAL(a.op, ACTION_FAULT_IF_KNOWN);
    CU_ASSERT_EQUAL(a.error, ERROR_FUNC);
    CU_ASSERT_STRING_EQUAL(a.text, "subscribe first");
    CU_ASSERT_EQUAL(a.kind, KIND_VAR);
    CU_ASSERT_TRUE(same(a.name, "unresolved"));
    a = receive("{\"func\":\"set\",\"type\":\"list\",\"name\":\"unresolved\",\"id\":\"x\"}");
    CU_ASSERT_EQUAL(a.op, ACTION_FAULT_IF_KNOWN);
    CU_ASSERT_STRING_EQUAL(a.text, "no grant to write this name");
    CU_ASSERT_TRUE(a.has_id && same(a.id, "\"x\""));
    a = receive("{\"func\":\"set_count\",\"type\":\"list\",\"name\":\"unresolved\"}");
    CU_ASSERT_EQUAL(a.op, ACTION_FAULT_IF_KNOWN);
}

/* What the peer is asked, and that it is asked once and only about well-formed names. */
static void test_questions(void)
{
    static const struct {
        const char *message;
        enum action_op op;
        enum kind kind;
        const char *id;
    } cases[] = {
        {"{\"func\":\"subscribe\"," VAR_A "}", ACTION_SUBSCRIBE, KIND_VAR, "-"},
        {"{\"func\":\"subscribe\"," VAR_A ",\"id\":1}", ACTION_SUBSCRIBE, KIND_VAR, "-"},
        {"{\"func\":\"subscribe\"," LIST_A ",\"id\":1}", ACTION_SUBSCRIBE, KIND_LIST, "1"},
        {"{\"func\":\"subscribe\"," FUNC_A "}", ACTION_SUBSCRIBE, KIND_FUNCTION, "-"},
        {"{\"func\":\"get\"," LIST_A ",\"id\":null}", ACTION_GET, KIND_LIST, "-"},
        {"{\"func\":\"get\"," LIST_A ",\"id\":\"\\u0062\"}", ACTION_GET, KIND_LIST, "\"b\""},
        {"{\"func\":\"get\"," LIST_A ",\"id\":[]}", ACTION_GET, KIND_LIST, "-"},
        {"{\"func\":\"unsubscribe\"," LIST_A ",\"id\":2}", ACTION_UNSUBSCRIBE, KIND_LIST, "2"},
        {"{\"func\":\"set\"," VAR_A "}", ACTION_SET, KIND_VAR, "-"},
        {"{\"func\":\"set_all\"," LIST_A "}", ACTION_SET_ALL, KIND_LIST, "-"},
        {"{\"func\":\"set_count\"," LIST_A "}", ACTION_SET, KIND_LIST, "-"},
        {"{\"func\":\"insert\"," LIST_A "}", ACTION_INSERT, KIND_LIST, "-"},
        {"{\"func\":\"delete\"," LIST_A "}", ACTION_DELETE, KIND_LIST, "-"},
        {"{\"func\":\"call\"," FUNC_A ",\"id\":\"c\"}", ACTION_CALL, KIND_FUNCTION, "\"c\""},
        {"{\"func\":\"return\"," FUNC_A ",\"id\":\"c\"}", ACTION_RETURN, KIND_FUNCTION, "\"c\""},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        (void)receive(cases[i].message);
        CU_ASSERT_EQUAL(asked.times, 1);
        CU_ASSERT_EQUAL(asked.op, cases[i].op);
        CU_ASSERT_EQUAL(asked.kind, cases[i].kind);
        CU_ASSERT_STRING_EQUAL(asked.name, "a");
        CU_ASSERT_STRING_EQUAL(asked.id, cases[i].id);
    }
    (void)receive("{\"func\":\"get\",\"type\":\"var\",\"name\":\"a{\"}");
    CU_ASSERT_EQUAL(asked.times, 0);
    (void)receive("{\"func\":\"insert\"," VAR_A "}");
    CU_ASSERT_EQUAL(asked.times, 0);
}

/* ---- messages that are right ---- */

struct good {
    const char *title, *message;
    enum action_op op;
    enum kind kind;
    const char *id;    /* "" none */
    const char *value; /* NULL none */
    int64_t page, page_size, index;
};

static const struct good goods[] = {
    {"subscribe var", "{\"func\":\"subscribe\"," VAR_A "}", ACTION_SUBSCRIBE, KIND_VAR, "", NULL, 0, 0, 0},
    {"subscribe var, id ignored", "{\"func\":\"subscribe\"," VAR_A ",\"id\":{}}", ACTION_SUBSCRIBE, KIND_VAR, "", NULL,
     0, 0, 0},
    {"subscribe function, id ignored", "{\"func\":\"subscribe\"," FUNC_A ",\"id\":\"\"}", ACTION_SUBSCRIBE,
     KIND_FUNCTION, "", NULL, 0, 0, 0},
    {"subscribe list", "{\"func\":\"subscribe\"," LIST_A "}", ACTION_SUBSCRIBE, KIND_LIST, "", NULL, 0, 0, 0},
    {"subscribe list, id null", "{\"func\":\"subscribe\"," LIST_A ",\"id\":null}", ACTION_SUBSCRIBE, KIND_LIST, "",
     NULL, 0, 0, 0},
    {"subscribe item", "{\"func\":\"subscribe\"," LIST_A ",\"id\":\"c\"}", ACTION_SUBSCRIBE, KIND_LIST, "\"c\"", NULL,
     0, 0, 0},
    {"subscribe item 1.0", "{\"func\":\"subscribe\"," LIST_A ",\"id\":1.0}", ACTION_SUBSCRIBE, KIND_LIST, "1", NULL, 0,
     0, 0},
    {"id of 256 bytes", "{\"func\":\"subscribe\"," LIST_A ",\"id\":\"" LONG_256 "\"}", ACTION_SUBSCRIBE, KIND_LIST,
     "\"" LONG_256 "\"", NULL, 0, 0, 0},
    {"id with escapes", "{\"func\":\"subscribe\"," LIST_A ",\"id\":\"\\u0001\\/\\u00e9\"}", ACTION_SUBSCRIBE, KIND_LIST,
     "\"\\u0001/\xc3\xa9\"", NULL, 0, 0, 0},
    {"id of 256 digits", "{\"func\":\"subscribe\"," LIST_A ",\"id\":" DIGITS_256 "}", ACTION_SUBSCRIBE, KIND_LIST,
     DIGITS_256, NULL, 0, 0, 0},
    {"unsubscribe", "{\"func\":\"unsubscribe\"," VAR_A "}", ACTION_UNSUBSCRIBE, KIND_VAR, "", NULL, 0, 0, 0},
    {"unsubscribe item", "{\"func\":\"unsubscribe\"," LIST_A ",\"id\":-5}", ACTION_UNSUBSCRIBE, KIND_LIST, "-5", NULL,
     0, 0, 0},
    {"get var", "{\"func\":\"get\"," VAR_A "}", ACTION_GET, KIND_VAR, "", NULL, 0, 0, 0},
    {"get var, page ignored", "{\"func\":\"get\"," VAR_A ",\"page\":\"x\",\"page_size\":0}", ACTION_GET, KIND_VAR, "",
     NULL, 0, 0, 0},
    {"get list", "{\"func\":\"get\"," LIST_A "}", ACTION_GET, KIND_LIST, "", NULL, 0, 0, 0},
    {"get page", "{\"func\":\"get\"," LIST_A ",\"page\":3,\"page_size\":50}", ACTION_GET, KIND_LIST, "", NULL, 3, 50,
     0},
    {"22 page 1.0", "{\"func\":\"get\"," LIST_A ",\"page\":1.0,\"page_size\":1e1}", ACTION_GET, KIND_LIST, "", NULL, 1,
     10, 0},
    {"23 optional null", "{\"func\":\"get\"," LIST_A ",\"page\":null,\"page_size\":null,\"id\":null}", ACTION_GET,
     KIND_LIST, "", NULL, 0, 0, 0},
    {"24 page negative", "{\"func\":\"get\"," LIST_A ",\"page\":-3}", ACTION_GET, KIND_LIST, "", NULL, 0, 0, 0},
    {"24 page very negative", "{\"func\":\"get\"," LIST_A ",\"page\":-1e300}", ACTION_GET, KIND_LIST, "", NULL, 0, 0,
     0},
    {"25 page huge", "{\"func\":\"get\"," LIST_A ",\"page\":99999999999999999999}", ACTION_GET, KIND_LIST, "", NULL,
     INT64_MAX, 0, 0},
    {"26 page_size huge", "{\"func\":\"get\"," LIST_A ",\"page_size\":1e300}", ACTION_GET, KIND_LIST, "", NULL, 0,
     INT64_MAX, 0},
    {"get item", "{\"func\":\"get\"," LIST_A ",\"id\":\"c\",\"page\":2}", ACTION_GET, KIND_LIST, "\"c\"", NULL, 2, 0,
     0},
    {"set var", "{\"func\":\"set\"," VAR_A ",\"value\":{\"x\":3}}", ACTION_SET, KIND_VAR, "", "{\"x\":3}", 0, 0, 0},
    {"21 value null is present", "{\"func\":\"set\"," VAR_A ",\"value\":null}", ACTION_SET, KIND_VAR, "", "null", 0, 0,
     0},
    {"value byte for byte",
     "{ \"func\" : \"set\" , " VAR_A " , \"value\" :\t[ 1.50 ,\"\\u0061\\/\" , -0e+0 ,\n{ } ] \r}", ACTION_SET,
     KIND_VAR, "", "[ 1.50 ,\"\\u0061\\/\" , -0e+0 ,\n{ } ]", 0, 0, 0},
    {"value first", "{\"value\":1,\"name\":\"a\",\"type\":\"var\",\"func\":\"set\"}", ACTION_SET, KIND_VAR, "", "1", 0,
     0, 0},
    {"7 last value wins", "{\"func\":\"set\"," VAR_A ",\"value\":1,\"value\":2}", ACTION_SET, KIND_VAR, "", "2", 0, 0,
     0},
    {"unknown fields are ignored", "{\"func\":\"set\"," VAR_A ",\"value\":1,\"page\":{},\"id\":[],\"zz\":[[]]}",
     ACTION_SET, KIND_VAR, "", "1", 0, 0, 0},
    {"escaped keys and words", "{\"\\u0066unc\":\"s\\u0065t\",\"type\":\"v\\u0061r\",\"name\":\"\\u0061\",\"value\":1}",
     ACTION_SET, KIND_VAR, "", "1", 0, 0, 0},
    {"set item", "{\"func\":\"set\"," LIST_A ",\"id\":7,\"value\":\"v\"}", ACTION_SET, KIND_LIST, "7", "\"v\"", 0, 0,
     0},
    {"insert", "{\"func\":\"insert\"," LIST_A ",\"index\":4,\"id\":\"n\",\"value\":true}", ACTION_INSERT, KIND_LIST,
     "\"n\"", "true", 0, 0, 4},
    {"insert far behind", "{\"func\":\"insert\"," LIST_A ",\"index\":1e30,\"id\":\"n\",\"value\":1}", ACTION_INSERT,
     KIND_LIST, "\"n\"", "1", 0, 0, INT64_MAX},
    {"30 index negative: Redis knows whether the id is there, which comes first",
     "{\"func\":\"insert\"," LIST_A ",\"index\":-2,\"id\":\"n\",\"value\":1}", ACTION_INSERT, KIND_LIST, "\"n\"", "1",
     0, 0, INT64_MAX},
    {"insert at the end", "{\"func\":\"insert\"," LIST_A ",\"index\":-1,\"id\":\"n\",\"value\":1}", ACTION_INSERT,
     KIND_LIST, "\"n\"", "1", 0, 0, ACTION_END},
    {"move", "{\"func\":\"move\"," LIST_A ",\"index\":4,\"id\":\"n\"}", ACTION_MOVE, KIND_LIST, "\"n\"", NULL, 0, 0, 4},
    {"move to the end", "{\"func\":\"move\"," LIST_A ",\"index\":-1e0,\"id\":7,\"value\":1}", ACTION_MOVE, KIND_LIST,
     "7", NULL, 0, 0, ACTION_END},
    {"30 move negative", "{\"func\":\"move\"," LIST_A ",\"index\":-9,\"id\":7}", ACTION_MOVE, KIND_LIST, "7", NULL, 0,
     0, INT64_MAX},
    {"subscribe a page", "{\"func\":\"subscribe\"," LIST_A ",\"page\":3,\"page_size\":20}", ACTION_SUBSCRIBE, KIND_LIST,
     "", NULL, 3, 20, 0},
    {"24 subscribe a negative page", "{\"func\":\"subscribe\"," LIST_A ",\"page\":-3,\"page_size\":null}",
     ACTION_SUBSCRIBE, KIND_LIST, "", NULL, 0, 0, 0},
    {"delete", "{\"func\":\"delete\"," LIST_A ",\"id\":\"n\"}", ACTION_DELETE, KIND_LIST, "\"n\"", NULL, 0, 0, 0},
    {"call", "{\"func\":\"call\"," FUNC_A ",\"id\":\"c1\",\"args\":{\"a\":1, \"b\":[]}}", ACTION_CALL, KIND_FUNCTION,
     "\"c1\"", "{\"a\":1, \"b\":[]}", 0, 0, 0},
    {"call without args", "{\"func\":\"call\"," FUNC_A ",\"id\":12}", ACTION_CALL, KIND_FUNCTION, "12", NULL, 0, 0, 0},
    {"call with args null", "{\"func\":\"call\"," FUNC_A ",\"id\":12,\"args\":null}", ACTION_CALL, KIND_FUNCTION, "12",
     NULL, 0, 0, 0},
    {"call id of 128 bytes", "{\"func\":\"call\"," FUNC_A ",\"id\":\"" LONG_128 "\"}", ACTION_CALL, KIND_FUNCTION,
     "\"" LONG_128 "\"", NULL, 0, 0, 0},
    {"return", "{\"func\":\"return\"," FUNC_A ",\"id\":\"s-1\",\"value\":[1]}", ACTION_RETURN, KIND_FUNCTION, "\"s-1\"",
     "[1]", 0, 0, 0},
    {"return without value", "{\"func\":\"return\"," FUNC_A ",\"id\":\"s-1\"}", ACTION_RETURN, KIND_FUNCTION, "\"s-1\"",
     NULL, 0, 0, 0},
    {"a null result is a result", "{\"func\":\"return\"," FUNC_A ",\"id\":\"s-1\",\"value\":null}", ACTION_RETURN,
     KIND_FUNCTION, "\"s-1\"", "null", 0, 0, 0},
    {"white space around", " \t\r\n{\"func\":\"get\"," VAR_A "}\n ", ACTION_GET, KIND_VAR, "", NULL, 0, 0, 0},
};

static bool action_is(const struct action *a, const struct good *want)
{
    return a->op == want->op && a->kind == want->kind && same(a->name, "a") && a->has_id == (want->id[0] != '\0') &&
           same(a->id, want->id) && a->has_value == (want->value != NULL) &&
           (!want->value || same(a->value, want->value)) && a->page == want->page && a->page_size == want->page_size &&
           a->index == want->index;
}

static void test_goods(void)
{
    for (size_t i = 0; i < COUNT(goods); i++) {
        struct action a = receive(goods[i].message);
        if (action_is(&a, &goods[i]))
            continue;
        printf("\n    %s: op %d, %s\n", goods[i].title, a.op, a.text ? a.text : "");
        CU_FAIL("another action");
    }
    CU_PASS("all right");
}

static bool refused_as_json(const struct action *a)
{
    return a->op == ACTION_CLOSE || (a->op == ACTION_FAULT && a->error == ERROR_JSON);
}

/* Every proper prefix of a good message is refused as JSON (or closes, when it cuts a character). */
static void test_prefixes(void)
{
    for (size_t i = 0; i < COUNT(goods); i++) {
        size_t end = strlen(goods[i].message);
        while (end && goods[i].message[end - 1] != '}') /* white space behind the object may be cut */
            end--;
        for (size_t len = 0; len < end; len++) {
            struct action a = receive_bytes(slice_of(goods[i].message, len), false);
            CU_ASSERT_TRUE(refused_as_json(&a));
        }
    }
    struct action a = receive("{\"func\":\"set\"," VAR_A ",\"value\":\"\xc3");
    CU_ASSERT_EQUAL(a.op, ACTION_CLOSE);
}

static void test_unsubscribe_all(void)
{
    static const char *const messages[] = {
        "{\"func\":\"unsubscribe_all\"}",
        "{\"func\":\"unsubscribe_all\",\"type\":5,\"name\":null,\"id\":{}}",
    };
    for (size_t i = 0; i < COUNT(messages); i++) {
        struct action a = receive(messages[i]);
        CU_ASSERT_EQUAL(a.op, ACTION_UNSUBSCRIBE_ALL);
        CU_ASSERT_EQUAL(a.kind, KIND_NONE);
        CU_ASSERT_EQUAL(asked.times, 0);
    }
}

/* Its id is all that is looked at, and goes back as it came. */
static void test_ping(void)
{
    static const struct {
        const char *message, *id;
    } pings[] = {
        {"{\"func\":\"ping\"}", ""},
        {"{\"func\":\"ping\",\"id\":null}", ""},
        {"{\"func\":\"ping\",\"id\":\"a\"}", "\"a\""},
        {"{\"func\":\"ping\",\"id\":1.0}", "1"},
        {"{\"func\":\"ping\",\"id\":\"" LONG_128 "\"}", "\"" LONG_128 "\""},
        {"{\"func\":\"ping\",\"type\":\"tree\",\"name\":5,\"page\":\"x\",\"value\":1}", ""},
    };
    for (size_t i = 0; i < COUNT(pings); i++) {
        struct action a = receive(pings[i].message);
        struct buf pong = {.max = 4096};
        CU_ASSERT_EQUAL(a.op, ACTION_REPLY);
        CU_ASSERT_EQUAL(a.messages, encode_pong(&pong, slice_str(pings[i].id)));
        CU_ASSERT_TRUE(slice_eq(slice_of(replies.ptr + a.bytes_at, a.bytes_len), buf_slice(&pong)));
        buf_deinit(&pong);
        CU_ASSERT_EQUAL(asked.times, 0);
    }
}

/* Names are compared decoded, up to 512 bytes. */
static void test_names(void)
{
    struct action a = receive("{\"func\":\"get\",\"type\":\"var\",\"name\":\"caf\\u00e9 \\ud83d\\ude00 \\\"\\/\"}");
    CU_ASSERT_EQUAL(a.op, ACTION_GET);
    CU_ASSERT_TRUE(same(a.name, "caf\xc3\xa9 \xf0\x9f\x98\x80 \"/"));
    a = receive("{\"func\":\"get\",\"type\":\"var\",\"name\":\"" LONG_512 "\"}");
    CU_ASSERT_EQUAL(a.op, ACTION_GET);
    CU_ASSERT_TRUE(same(a.name, LONG_512));
}

/* The longest name and the longest id, both with escapes, together. */
static void test_scratch_is_enough(void)
{
    static char message[12000];
    size_t len = 0;
#define ADD(text) len += (size_t)snprintf(message + len, sizeof message - len, "%s", text)
    ADD("{\"func\":\"\\u0073\\u0065\\u0074\",\"type\":\"\\u006c\\u0069\\u0073\\u0074\",\"value\":1,\"name\":\"");
    for (int i = 0; i < 512; i++)
        ADD("\\u0041");
    ADD("\",\"id\":\"");
    for (int i = 0; i < 256; i++)
        ADD("\\u0001");
    ADD("\"}");
#undef ADD
    struct action a = receive_bytes(slice_of(message, len), false);
    CU_ASSERT_EQUAL(a.op, ACTION_SET);
    CU_ASSERT_EQUAL(a.name.len, 512);
    CU_ASSERT_EQUAL(a.id.len, 6 * 256 + 2);
    for (size_t i = 0; i < a.name.len; i++)
        CU_ASSERT_EQUAL(a.name.ptr[i], 'A');
}

static void test_set_all(void)
{
    const char *text = "{\"func\":\"set_all\"," LIST_A
                       ",\"page\":0,\"total_item_count\":3,\"items\": [ {\"id\":\"\\u0061\",\"value\":1.0},"
                       "{\"value\":null,\"id\":-1e18} , {\"id\":\"1\",\"x\":0,\"value\":[ 1 ]}]}";
    struct action a = receive(text);
    CU_ASSERT_EQUAL(a.op, ACTION_SET_ALL);
    CU_ASSERT_TRUE(a.items_json.ptr[0] == '[' && a.items_json.ptr[a.items_json.len - 1] == ']');

    a = receive("{\"func\":\"set_all\"," LIST_A ",\"page\":0.0,\"total_item_count\":0e5,\"items\":[ ]}");
    CU_ASSERT_EQUAL(a.op, ACTION_SET_ALL);
    CU_ASSERT_TRUE(same(a.items_json, "[ ]"));
}

/* Thousands of items, and that a small message afterwards is none the worse. */
static void test_set_all_large(void)
{
    enum { ITEMS = 5000 };
    const struct dialect_limits narrow = limits;
    struct buf b;
    limits.max_items = ITEMS;
    buf_init(&b, 1 << 20);
    buf_put_lit(&b, "{\"func\":\"set_all\"," LIST_A ",\"page\":0,\"total_item_count\":5000,\"items\":[");
    for (int i = 0; i < ITEMS; i++) {
        buf_put_slice(&b, i ? SLICE_LIT(",{\"id\":\"\\/") : SLICE_LIT("{\"id\":\"\\/"));
        buf_put_i64(&b, i);
        buf_put_lit(&b, "\",\"value\":1}");
    }
    buf_put_lit(&b, "]}");
    struct action a = receive_bytes(buf_slice(&b), false);
    CU_ASSERT_EQUAL(a.op, ACTION_SET_ALL);
    CU_ASSERT_EQUAL(a.items_json.ptr[a.items_json.len - 1], ']');
    buf_deinit(&b);
    limits = narrow;
    test_set_all();
}

static void test_error_is_never_answered(void)
{
    static const char *const messages[] = {
        "{\"func\":\"error\"}",
        "{\"func\":\"error\",\"error_code\":99}",
        "{\"func\":\"error\",\"error_code\":\"x\",\"type\":7,\"name\":{},\"id\":[]}",
        "{\"func\":\"error\",\"error_code\":1,\"type\":\"list\",\"name\":\"a\",\"id\":\"s-1\"}",
        "{\"func\":\"error\",\"error_code\":1,\"type\":\"tree\",\"id\":\"s-1\"}",
        "{\"func\":\"error\",\"error_code\":1,\"id\":null}",
        "{\"func\":\"error\",\"error_code\":1,\"id\":\"\"}",
        "{\"func\":\"error\",\"error_code\":1,\"id\":\"" LONG_128 "x\"}",
    };
    for (size_t i = 0; i < COUNT(messages); i++) {
        CU_ASSERT_EQUAL(receive(messages[i]).op, ACTION_NONE);
        CU_ASSERT_EQUAL(asked.times, 0);
    }
}

static void test_error_settles_a_call(void)
{
    static const struct {
        const char *message;
        enum error_code error;
        const char *text_json, *name, *id;
    } cases[] = {
        {"{\"func\":\"error\",\"error_code\":6,\"message\":\"no "
         "\\u0062\",\"type\":\"function\",\"name\":\"f\",\"id\":\"s-1\"}",
         ERROR_ARGUMENTS, "\"no \\u0062\"", "f", "\"s-1\""},
        {"{\"func\":\"error\",\"id\":5.0}", ERROR_OTHER, "", "", "5"},
        {"{\"func\":\"error\",\"error_code\":0,\"id\":5}", ERROR_OTHER, "", "", "5"},
        {"{\"func\":\"error\",\"error_code\":9,\"id\":5}", ERROR_OTHER, "", "", "5"},
        {"{\"func\":\"error\",\"error_code\":1.5,\"id\":5}", ERROR_OTHER, "", "", "5"},
        {"{\"func\":\"error\",\"error_code\":1.0,\"id\":5}", ERROR_FUNC, "", "", "5"},
        {"{\"func\":\"error\",\"error_code\":null,\"message\":5,\"type\":null,\"name\":\"{\",\"id\":5}", ERROR_OTHER,
         "", "", "5"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct action a = receive(cases[i].message);
        CU_ASSERT_EQUAL(a.op, ACTION_CALL_FAILED);
        CU_ASSERT_EQUAL(a.kind, KIND_FUNCTION);
        CU_ASSERT_EQUAL(a.error, cases[i].error);
        CU_ASSERT_TRUE(same(a.text_json, cases[i].text_json));
        CU_ASSERT_TRUE(same(a.name, cases[i].name));
        CU_ASSERT_TRUE(a.has_id && same(a.id, cases[i].id));
    }
}

UNIT_MAIN("protocol/socksync/receive", UNIT(test_faults), UNIT(test_binary), UNIT(test_invalid_utf8), UNIT(test_depth),
          UNIT(test_unresolved), UNIT(test_questions), UNIT(test_goods), UNIT(test_prefixes),
          UNIT(test_unsubscribe_all), UNIT(test_ping), UNIT(test_names), UNIT(test_scratch_is_enough),
          UNIT(test_set_all), UNIT(test_set_all_large), UNIT(test_error_is_never_answered),
          UNIT(test_error_settles_a_call))
