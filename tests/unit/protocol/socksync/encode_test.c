/* Every message that the gateway sends, byte for byte. */
#include "protocol/socksync/encode.h"

#include "protocol/base/alloc.h"
#include "protocol/base/frame.h"
#include "protocol/json.h"
#include "protocol/socksync/socksync.h"
#include "tests/unit/unit.h"

static struct buf out;

static void begin(void)
{
    buf_init(&out, 1 << 20);
}

/* end: `out` holds exactly these messages, each a text frame with a short header, and each JSON. */
static void end(uint32_t told, const char *const *messages, uint32_t count)
{
    size_t at = 0;
    CU_ASSERT_EQUAL(told, count);
    for (uint32_t i = 0; i < count; i++) {
        size_t len = strlen(messages[i]), header = len < 126 ? 2 : 4;
        CU_ASSERT_FATAL(out.len >= at + header + len);
        struct slice payload = slice_of(out.ptr + at + header, len);
        CU_ASSERT_EQUAL((unsigned char)out.ptr[at], 0x81);
        if (!slice_eq(payload, slice_str(messages[i])))
            printf("\n    %.*s\n", (int)(out.len - at), out.ptr + at);
        CU_ASSERT_TRUE(slice_eq(payload, slice_str(messages[i])));
        CU_ASSERT_EQUAL(json_check(payload, 8), JSON_OK);
        at += header + len;
    }
    CU_ASSERT_EQUAL(at, out.len);
    buf_deinit(&out);
}

#define EXPECT(call, ...)                                                                                              \
    do {                                                                                                               \
        static const char *const messages[] = {__VA_ARGS__};                                                           \
        begin();                                                                                                       \
        uint32_t told = (call);                                                                                        \
        end(told, messages, sizeof messages / sizeof *messages);                                                       \
    } while (0)

#define S(literal) SLICE_LIT(literal)

static const struct dialect *const d = &socksync_dialect;

static void test_var(void)
{
    EXPECT(d->var->set(&out, S("clock"), S("\"10:00\"")),
           "{\"func\":\"set\",\"type\":\"var\",\"name\":\"clock\",\"value\":\"10:00\"}");
    EXPECT(d->var->set(&out, S("x"), S("[ 1.50, \"\\u0061\"\n]")),
           "{\"func\":\"set\",\"type\":\"var\",\"name\":\"x\",\"value\":[ 1.50, \"\\u0061\"\n]}");
    EXPECT(d->var->set(&out, S("a\"\\/\xc3\xa9"), S("null")),
           "{\"func\":\"set\",\"type\":\"var\",\"name\":\"a\\\"\\\\/\xc3\xa9\",\"value\":null}");
}

static void test_item(void)
{
    struct entry *e = entry_new(S("\"c\""), S("{\"n\": 3}"));
    EXPECT(d->list->item_set(&out, S("todo"), e),
           "{\"func\":\"set\",\"type\":\"list\",\"name\":\"todo\",\"id\":\"c\",\"value\":{\"n\": 3}}");
    EXPECT(d->list->item_delete(&out, S("todo"), S("\"c\""), false),
           "{\"func\":\"delete\",\"type\":\"list\",\"name\":\"todo\",\"id\":\"c\"}");
    EXPECT(d->list->item_delete(&out, S("todo"), S("-7"), true),
           "{\"func\":\"delete\",\"type\":\"list\",\"name\":\"todo\",\"id\":-7,\"gone\":true}");
    entry_unref(e);
}

/* page_of makes a page of items 1, 2, … with the values 10, 20, … */
static struct page *page_of(uint32_t count, int64_t number, int64_t size, int64_t total)
{
    struct page *p = sg_malloc(sizeof *p + count * sizeof(struct entry *));
    *p = (struct page){.refs = 1, .count = count, .number = number, .size = size, .total = total};
    for (uint32_t i = 0; i < count; i++) {
        char id[8], value[8];
        int id_len = snprintf(id, sizeof id, "%u", i + 1),
            value_len = snprintf(value, sizeof value, "%u", (i + 1) * 10);
        p->slots[i] = entry_new(slice_of(id, (size_t)id_len), slice_of(value, (size_t)value_len));
    }
    return p;
}

static void test_page(void)
{
    struct page *p = page_of(2, 1, 2, 5), *empty = page_of(0, 0, 10, 0);
    EXPECT(d->list->page(&out, S("todo"), p),
           "{\"func\":\"set_all\",\"type\":\"list\",\"name\":\"todo\",\"page\":1,\"total_"
           "item_count\":5,\"items\":[{\"id\":1,"
           "\"value\":10},{\"id\":2,\"value\":20}]}");
    EXPECT(d->list->page(&out, S("todo"), empty),
           "{\"func\":\"set_all\",\"type\":\"list\",\"name\":\"todo\",\"page\":0,\"total_item_count\":0,\"items\":[]}");
    page_unref(p);
    page_unref(empty);
}

static void test_steps(void)
{
    static const struct dialect_limits relative, absolute = {.index_absolute = true};
    struct page *to = page_of(3, 4, 3, 15);
    struct step steps[] = {
        {.op = STEP_DELETE, .gone = true, .entry = to->slots[0]},
        {.op = STEP_DELETE, .entry = to->slots[1]},
        {.op = STEP_INSERT, .index = 0, .entry = to->slots[0]},
        {.op = STEP_INSERT, .index = 2, .entry = to->slots[2]},
        {.op = STEP_SET, .entry = to->slots[1]},
    };
    struct page_steps s = {.steps = steps, .len = 5, .set_count = true};
#define DELETES                                                                                                        \
    "{\"func\":\"delete\",\"type\":\"list\",\"name\":\"l\",\"id\":1,\"gone\":true}",                                   \
        "{\"func\":\"delete\",\"type\":\"list\",\"name\":\"l\",\"id\":2}"
#define REST                                                                                                           \
    "{\"func\":\"set\",\"type\":\"list\",\"name\":\"l\",\"id\":2,\"value\":20}",                                       \
        "{\"func\":\"set_count\",\"type\":\"list\",\"name\":\"l\",\"total_item_count\":15}"
    EXPECT(d->list->steps(&out, S("l"), &relative, to, &s), DELETES,
           "{\"func\":\"insert\",\"type\":\"list\",\"name\":\"l\",\"index\":0,\"id\":1,\"value\":10}",
           "{\"func\":\"insert\",\"type\":\"list\",\"name\":\"l\",\"index\":2,\"id\":3,\"value\":30}", REST);
    EXPECT(d->list->steps(&out, S("l"), &absolute, to, &s), DELETES,
           "{\"func\":\"insert\",\"type\":\"list\",\"name\":\"l\",\"index\":12,\"id\":1,\"value\":10}",
           "{\"func\":\"insert\",\"type\":\"list\",\"name\":\"l\",\"index\":14,\"id\":3,\"value\":30}", REST);
    s.len = 0;
    EXPECT(d->list->steps(&out, S("l"), &relative, to, &s),
           "{\"func\":\"set_count\",\"type\":\"list\",\"name\":\"l\",\"total_item_count\":15}");
    s.len = 5;
    s.replace = true;
    EXPECT(d->list->steps(&out, S("l"), &relative, to, &s),
           "{\"func\":\"set_all\",\"type\":\"list\",\"name\":\"l\",\"page\":4,\"total_item_count\":15,\"items\":[{"
           "\"id\":1,"
           "\"value\":10},{\"id\":2,\"value\":20},{\"id\":3,\"value\":30}]}");
    s = (struct page_steps){.steps = steps, .len = 1};
    EXPECT(d->list->steps(&out, S("l"), &relative, to, &s),
           "{\"func\":\"delete\",\"type\":\"list\",\"name\":\"l\",\"id\":1,\"gone\":true}");
    page_unref(to);
}

static void test_error(void)
{
    EXPECT(d->error(&out, ERROR_ID, S("no such item"), KIND_LIST, S("todo"), S("\"zz\"")),
           "{\"func\":\"error\",\"error_code\":4,\"message\":\"no such "
           "item\",\"type\":\"list\",\"name\":\"todo\",\"id\":\"zz\"}");
    EXPECT(d->error(&out, ERROR_FUNC, S("not subscribed"), KIND_VAR, S("clock"), SLICE_NONE),
           "{\"func\":\"error\",\"error_code\":1,\"message\":\"not subscribed\",\"type\":\"var\",\"name\":\"clock\"}");
    EXPECT(d->waiting(&out, S("unknown name"), KIND_LIST, S("todo"), S("7")),
           "{\"func\":\"error\",\"error_code\":3,\"message\":\"unknown "
           "name\",\"type\":\"list\",\"name\":\"todo\",\"id\":7,\"waiting\":true}");
    EXPECT(d->error(&out, ERROR_JSON, S("invalid JSON"), KIND_NONE, SLICE_NONE, SLICE_NONE),
           "{\"func\":\"error\",\"error_code\":7,\"message\":\"invalid JSON\"}");
    EXPECT(d->error(&out, ERROR_NAME, S("invalid name"), KIND_FUNCTION, SLICE_NONE, S("7")),
           "{\"func\":\"error\",\"error_code\":3,\"message\":\"invalid name\",\"type\":\"function\",\"id\":7}");
    EXPECT(d->error(&out, ERROR_OTHER, S("\"quoted\"\n"), KIND_NONE, SLICE_NONE, SLICE_NONE),
           "{\"func\":\"error\",\"error_code\":8,\"message\":\"\\\"quoted\\\"\\n\"}");
    EXPECT(d->error(&out, ERROR_OTHER, SLICE_NONE, KIND_NONE, SLICE_NONE, SLICE_NONE),
           "{\"func\":\"error\",\"error_code\":8}");
}

static void test_interest(void)
{
    EXPECT(d->offered(&out, KIND_FUNCTION, S("add")),
           "{\"func\":\"subscribe\",\"type\":\"function\",\"name\":\"add\"}");
    EXPECT(d->offered(&out, KIND_VAR, S("cursor")), "{\"func\":\"subscribe\",\"type\":\"var\",\"name\":\"cursor\"}");
    EXPECT(d->offered(&out, KIND_LIST, S("\"")), "{\"func\":\"subscribe\",\"type\":\"list\",\"name\":\"\\\"\"}");
    EXPECT(d->withdrawn(&out, KIND_FUNCTION, S("add")),
           "{\"func\":\"unsubscribe\",\"type\":\"function\",\"name\":\"add\"}");
}

static void test_calls(void)
{
    EXPECT(d->call->call(&out, S("notify"), S("\"s-1\""), S("{\"text\":\"hi\"}")),
           "{\"func\":\"call\",\"type\":\"function\",\"name\":\"notify\",\"id\":\"s-1\",\"args\":{\"text\":\"hi\"}}");
    EXPECT(d->call->call(&out, S("notify"), S("5"), SLICE_NONE),
           "{\"func\":\"call\",\"type\":\"function\",\"name\":\"notify\",\"id\":5}");
    EXPECT(d->call->ret(&out, S("add"), S("\"7f1c\""), S("3")),
           "{\"func\":\"return\",\"type\":\"function\",\"name\":\"add\",\"id\":\"7f1c\",\"value\":3}");
    EXPECT(d->call->ret(&out, S("add"), S("\"7f1c\""), S("null")),
           "{\"func\":\"return\",\"type\":\"function\",\"name\":\"add\",\"id\":\"7f1c\",\"value\":null}");
    EXPECT(d->call->ret(&out, S("add"), S("\"7f1c\""), SLICE_NONE),
           "{\"func\":\"return\",\"type\":\"function\",\"name\":\"add\",\"id\":\"7f1c\"}");
}

static void test_pong(void)
{
    EXPECT(encode_pong(&out, SLICE_NONE), "{\"func\":\"pong\"}");
    EXPECT(encode_pong(&out, S("\"a\"")), "{\"func\":\"pong\",\"id\":\"a\"}");
    EXPECT(encode_pong(&out, S("-7")), "{\"func\":\"pong\",\"id\":-7}");
}

static void test_messages_follow_one_another(void)
{
    EXPECT(d->offered(&out, KIND_VAR, S("a")) + d->var->set(&out, S("a"), S("1")),
           "{\"func\":\"subscribe\",\"type\":\"var\",\"name\":\"a\"}",
           "{\"func\":\"set\",\"type\":\"var\",\"name\":\"a\",\"value\":1}");
}

/* A message that does not fit leaves the earlier ones whole. */
static void test_no_room(void)
{
    struct buf small;
    buf_init(&small, 100);
    (void)d->var->set(&small, S("a"), S("1"));
    size_t whole = small.len;
    (void)d->var->set(&small, S("a"), S("\"a value that does not fit into what is left\""));
    CU_ASSERT_TRUE(small.failed);
    CU_ASSERT_EQUAL(small.len, whole);
    buf_deinit(&small);
}

static void test_names(void)
{
    CU_ASSERT_STRING_EQUAL(d->name, "socksync");
    CU_ASSERT_STRING_EQUAL(d->routes[0].subprotocol, "socksync.v1");
}

UNIT_MAIN("protocol/socksync/encode", UNIT(test_var), UNIT(test_item), UNIT(test_page), UNIT(test_steps),
          UNIT(test_error), UNIT(test_interest), UNIT(test_calls), UNIT(test_pong),
          UNIT(test_messages_follow_one_another), UNIT(test_no_room), UNIT(test_names))
