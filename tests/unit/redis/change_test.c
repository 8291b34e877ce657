#include "redis/change.h"

#include "protocol/base/alloc.h"
#include "tests/unit/unit.h"

#define INT64_MAX_TEXT "9223372036854775807"

static struct slice text(const char *s)
{
    return s ? slice_str(s) : SLICE_NONE;
}

static const struct good {
    const char *payload;
    enum change_op op;
    int64_t rev, index, from, total;
    const char *id, *value;
} good[] = {
    {"vs 1 5", CHANGE_VAR_SET, 1, 0, 0, 0, NULL, "5"},
    {"vs 12 {\"usd\": 5}", CHANGE_VAR_SET, 12, 0, 0, 0, NULL, "{\"usd\": 5}"},
    {"vs " INT64_MAX_TEXT "  ", CHANGE_VAR_SET, INT64_MAX, 0, 0, 0, NULL, " "},
    {"vd 7", CHANGE_VAR_DELETE, 7, 0, 0, 0, NULL, NULL},
    {"li 1 0 1 3 \"a\" null", CHANGE_LIST_INSERT, 1, 0, 0, 1, "\"a\"", "null"},
    {"li 9 4 5 5 \"a b\" {\"x\":[1, 2]}", CHANGE_LIST_INSERT, 9, 4, 0, 5, "\"a b\"", "{\"x\":[1, 2]}"},
    {"li 9 4 5 1 7 8", CHANGE_LIST_INSERT, 9, 4, 0, 5, "7", "8"},
    {"ls 3 2 3 2 -1 \"v\"", CHANGE_LIST_SET, 3, 2, 0, 3, "-1", "\"v\""},
    {"lx 3 0 0 3 \"a\"", CHANGE_LIST_DELETE, 3, 0, 0, 0, "\"a\"", NULL},
    {"lx 3 2 2 3 \" \"", CHANGE_LIST_DELETE, 3, 2, 0, 2, "\" \"", NULL},
    {"lm 8 0 2 3 3 \"a\" 1", CHANGE_LIST_MOVE, 8, 2, 0, 3, "\"a\"", "1"},
    {"lm 8 2 0 3 3 \"a\" 1", CHANGE_LIST_MOVE, 8, 0, 2, 3, "\"a\"", "1"},
    {"la 4 0", CHANGE_LIST_ALL, 4, 0, 0, 0, NULL, NULL},
    {"la 4 1000000", CHANGE_LIST_ALL, 4, 0, 0, 1000000, NULL, NULL},
    {"lz 5", CHANGE_LIST_DROP, 5, 0, 0, 0, NULL, NULL},
};
enum { GOOD = sizeof good / sizeof good[0] };

static void test_good(void)
{
    for (size_t i = 0; i < GOOD; i++) {
        const struct good *g = &good[i];
        struct change c;
        bool right = change_parse(slice_str(g->payload), &c) && c.op == g->op && c.rev == g->rev &&
                     c.index == g->index && c.from == g->from && c.total == g->total && slice_eq(c.id, text(g->id)) &&
                     slice_eq(c.value, text(g->value)) && change_is_var(&c) == (g->payload[0] == 'v');
        CU_ASSERT_TRUE(right);
        if (!right)
            fprintf(stderr, "%s\n", g->payload);
    }
}

/* A prefix may be an event of its own (a shorter value or number), but nothing of it may lie outside of the prefix. */
static bool lies_within(struct slice inner, struct slice outer)
{
    return inner.len == 0 || (inner.ptr >= outer.ptr && inner.ptr + inner.len <= outer.ptr + outer.len);
}

static void check_prefix(const char *payload, size_t n)
{
    char *copy = sg_malloc(n); /* exactly as large, for the sanitizer */
    struct slice prefix = slice_of(copy, n);
    struct change c;
    struct call_event e;
    memcpy(copy, payload, n);
    if (change_parse(prefix, &c)) {
        CU_ASSERT_TRUE(lies_within(c.id, prefix));
        CU_ASSERT_TRUE(lies_within(c.value, prefix));
        CU_ASSERT_TRUE(n >= 4);
    }
    CU_ASSERT_FALSE(call_event_parse(prefix, &e));
    free(copy);
}

static void test_prefixes_stay_within(void)
{
    for (size_t i = 0; i < GOOD; i++) {
        for (size_t n = 0; n < strlen(good[i].payload); n++)
            check_prefix(good[i].payload, n);
    }
}

static void test_bad(void)
{
    static const struct {
        const char *payload, *why;
    } bad[] = {
        {"", "nothing"},
        {"v", "one letter"},
        {"vs", "no fields"},
        {"vs ", "no revision"},
        {"vs 1", "no value"},
        {"vs 1 ", "empty value"},
        {"vs 0 5", "revision 0"},
        {"vs -1 5", "negative revision"},
        {"vs 01 5", "leading zero"},
        {"vs +1 5", "plus sign"},
        {"vs 1.0 5", "fraction"},
        {"vs 1e3 5", "exponent"},
        {"vs x 5", "no number"},
        {"vs  1 5", "two spaces"},
        {" vs 1 5", "leading space"},
        {"vs\t1 5", "tab"},
        {"VS 1 5", "capitals"},
        {"vs 9223372036854775808 5", "revision that does not fit"},
        {"vx 1 5", "unknown kind"},
        {"ve 1", "unknown kind"},
        {"lq 1 0 1 3 \"a\" 1", "unknown kind"},
        {"vsx 1 5", "longer word"},
        {"vd", "no fields"},
        {"vd ", "no revision"},
        {"vd 0", "revision 0"},
        {"vd 7 ", "space at the end"},
        {"vd 7 5", "a value where none belongs"},
        {"lz 0", "revision 0"},
        {"lz 5 5", "a field too many"},
        {"la 4", "no total"},
        {"la 4 -1", "negative total"},
        {"la 4 0 ", "space at the end"},
        {"la 4 0 0", "a field too many"},
        {"la 0 0", "revision 0"},
        {"li 1 1 1 3 \"a\" 1", "index at the total"},
        {"li 1 -1 1 3 \"a\" 1", "negative index"},
        {"li 1 0 0 3 \"a\" 1", "inserted, but none there"},
        {"li 1 0 1 0  1", "empty id"},
        {"li 1 0 1 -3 \"a\" 1", "negative length"},
        {"li 1 0 1 4 \"a\" 1", "length into the space"},
        {"li 1 0 1 2 \"a\" 1", "length too short"},
        {"li 1 0 1 5 \"a\" 1", "length to the end"},
        {"li 1 0 1 6 \"a\" 1", "length beyond the end"},
        {"li 1 0 1 9223372036854775807 \"a\" 1", "huge length"},
        {"li 1 0 1 3 \"a\"", "no value"},
        {"li 1 0 1 3 \"a\" ", "empty value"},
        {"li 1 0 1 3", "no id"},
        {"li 1 0 1", "no length"},
        {"li 1 0", "no total"},
        {"ls 1 1 1 3 \"a\" 1", "index at the total"},
        {"ls 1 0 1 3 \"a\"", "no value"},
        {"lx 3 1 0 3 \"a\"", "index beyond the total"},
        {"lx 3 0 0 3 \"a\" ", "space at the end"},
        {"lx 3 0 0 3 \"a\" 1", "a value where none belongs"},
        {"lx 3 0 0 2 \"a\"", "length too short"},
        {"lm 8 3 0 3 3 \"a\" 1", "from at the total"},
        {"lm 8 0 3 3 3 \"a\" 1", "to at the total"},
        {"lm 8 0 0 0 3 \"a\" 1", "moved, but none there"},
        {"lm 8 -1 0 3 3 \"a\" 1", "negative from"},
        {"lm 8 0 2 3 3 \"a\"", "no value"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct change c;
        bool taken = change_parse(slice_str(bad[i].payload), &c);
        CU_ASSERT_FALSE(taken);
        if (taken)
            fprintf(stderr, "%s: %s\n", bad[i].why, bad[i].payload);
    }
}

static void test_bytes_are_left_alone(void)
{
    struct change c;
    CU_ASSERT_TRUE(change_parse(SLICE_LIT("li 1 0 1 3 \0\n\xff \0"), &c));
    CU_ASSERT_TRUE(slice_eq(c.id, SLICE_LIT("\0\n\xff")));
    CU_ASSERT_TRUE(slice_eq(c.value, SLICE_LIT("\0")));
}

/* --- calls --- */

static const struct good_call {
    const char *payload;
    enum call_event_op op;
    int64_t rev, timeout_ms;
    const char *corr, *gw, *exec, *name, *body;
} good_calls[] = {
    {"c k1 g2 x3 1500 3 add [1, 2]", CALL_EVENT_CALL, 0, 1500, "k1", "g2", "x3", "add", "[1, 2]"},
    {"c k1 g2 x3 0 3 add ", CALL_EVENT_CALL, 0, 0, "k1", "g2", "x3", "add", ""},
    {"c k1 g2 x3 1 3 add", CALL_EVENT_CALL, 0, 1, "k1", "g2", "x3", "add", ""},
    {"c k1 g2 x3 1500 7 add two {}", CALL_EVENT_CALL, 0, 1500, "k1", "g2", "x3", "add two", "{}"},
    {"r k1 n", CALL_EVENT_RESULT, 0, 0, "k1", NULL, NULL, NULL, "n"},
    {"r k1 v {\"x\": 1}", CALL_EVENT_RESULT, 0, 0, "k1", NULL, NULL, NULL, "v {\"x\": 1}"},
    {"r k1 e 7 it is late", CALL_EVENT_RESULT, 0, 0, "k1", NULL, NULL, NULL, "e 7 it is late"},
    {"r k1 e -1 ", CALL_EVENT_RESULT, 0, 0, "k1", NULL, NULL, NULL, "e -1 "},
    {"r k1 t", CALL_EVENT_RESULT, 0, 0, "k1", NULL, NULL, NULL, "t"},
    {"a k1 g2", CALL_EVENT_AGAIN, 0, 0, "k1", "g2", NULL, NULL, NULL},
    {"b g2", CALL_EVENT_GATEWAY_BACK, 0, 0, NULL, "g2", NULL, NULL, NULL},
    {"f+ 5 add two", CALL_EVENT_APPEARED, 5, 0, NULL, NULL, NULL, "add two", NULL},
    {"f- 6 add", CALL_EVENT_ENDED, 6, 0, NULL, NULL, NULL, "add", NULL},
    {"g- 7 g2", CALL_EVENT_GATEWAY_GONE, 7, 0, NULL, "g2", NULL, NULL, NULL},
};

static void test_good_calls(void)
{
    for (size_t i = 0; i < sizeof good_calls / sizeof good_calls[0]; i++) {
        const struct good_call *g = &good_calls[i];
        struct call_event e;
        struct change c;
        bool right = call_event_parse(slice_str(g->payload), &e) && e.op == g->op && e.rev == g->rev &&
                     e.timeout_ms == g->timeout_ms && slice_eq(e.corr, text(g->corr)) && slice_eq(e.gw, text(g->gw)) &&
                     slice_eq(e.exec, text(g->exec)) && slice_eq(e.name, text(g->name)) &&
                     slice_eq(e.body, text(g->body));
        CU_ASSERT_TRUE(right);
        if (!right)
            fprintf(stderr, "%s\n", g->payload);
        CU_ASSERT_FALSE(change_parse(slice_str(g->payload), &c));
    }
}

static void test_bad_calls(void)
{
    static const char *const bad[] = {
        "",
        "c",
        "c ",
        "c k1",
        "c k1 g2",
        "c k1 g2 x3",
        "c k1 g2 x3 1500",
        "c k1 g2 x3 1500 3",
        "c k1 g2 x3 1500 4 add",
        "c k1 g2 x3 1500 2 add []",
        "c k1 g2 x3 1500 0  []",
        "c  g2 x3 1500 3 add",
        "c k1  x3 1500 3 add",
        "c k1 g2  1500 3 add",
        "c k1 g2 x3 -1 3 add",
        "c k1 g2 x3 x 3 add",
        "c k1 g2 x3 1500 -3 add",
        "c k1 g2 x3 1500 9223372036854775807 add",
        "r",
        "r ",
        "r k1",
        "r k1 ",
        "r  n",
        "r k1 n ",
        "r k1 nn",
        "r k1 tt",
        "a",
        "a k1",
        "a k1 ",
        "b",
        "b ",
        "r k1 v",
        "r k1 v ",
        "r k1 x 1",
        "r k1 e",
        "r k1 e ",
        "r k1 e 7",
        "r k1 e x late",
        "r k1 e 7.5 late",
        "f+",
        "f+ ",
        "f+ 5",
        "f+ 5 ",
        "f+ 0 add",
        "f+ -1 add",
        "f- x add",
        "f 5 add",
        "g-",
        "g- 7",
        "g- 7 ",
        "g- 0 g2",
        "g+ 7 g2",
        "q k1 n",
        "C k1 g2 x3 1500 3 add",
        " r k1 n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct call_event e;
        bool taken = call_event_parse(slice_str(bad[i]), &e);
        CU_ASSERT_FALSE(taken);
        if (taken)
            fprintf(stderr, "taken for good: %s\n", bad[i]);
    }
}

UNIT_MAIN("redis/change", UNIT(test_good), UNIT(test_prefixes_stay_within), UNIT(test_bad),
          UNIT(test_bytes_are_left_alone), UNIT(test_good_calls), UNIT(test_bad_calls))
