/* The strict JSON scanner and the conversions for ids, names and numbers. */
#include "protocol/json.h"

#include "protocol/base/alloc.h"
#include "tests/unit/unit.h"

/* A text that may hold any byte, zero included. */
#define TEXT(literal)                                                                                                  \
    {                                                                                                                  \
        (literal), sizeof(literal) - 1                                                                                 \
    }
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* heap copies the text to memory that ends with it, so that a sanitizer sees a read past its end. */
static struct slice heap(struct slice s)
{
    char *copy = sg_malloc(s.len);
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    return slice_of(copy, s.len);
}

static enum json_status check(struct slice text, int max_depth)
{
    struct slice copy = heap(text);
    enum json_status status = json_check(copy, max_depth);
    free((void *)copy.ptr);
    return status;
}

static void show(struct slice text)
{
    printf("\n    unexpected: %.*s\n", (int)text.len, text.ptr);
}

static const struct slice good_texts[] = {
    TEXT("0"),
    TEXT("-0"),
    TEXT("1"),
    TEXT("-1"),
    TEXT("10"),
    TEXT("1234567890123456789012345678901234567890"),
    TEXT("0.0"),
    TEXT("0.10"),
    TEXT("-1.5"),
    TEXT("1e5"),
    TEXT("1E5"),
    TEXT("1e+5"),
    TEXT("1e-05"),
    TEXT("0e0"),
    TEXT("1.25e400"),
    TEXT("true"),
    TEXT("false"),
    TEXT("null"),
    TEXT("\"\""),
    TEXT("\"a\""),
    TEXT("\"1234567\""),
    TEXT("\"12345678\""),
    TEXT("\"123456789\""),
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    TEXT("\"\\u0000\\u001f\\uABCD\\uabcd\""),
    TEXT("\"\\ud83d\\ude00 \\uDBFF\\uDFFF\""),
    TEXT("\"\\ud7ff\\ue000\""),
    TEXT("\"\x7f\""),
    TEXT("\"\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf\""),
    TEXT("[]"),
    TEXT("{}"),
    TEXT("[ ]"),
    TEXT("{\t\r\n }"),
    TEXT("[1,2]"),
    TEXT(" [ 1 , 2 ] "),
    TEXT("[[],[],{}]"),
    TEXT("{\"a\":1}"),
    TEXT("{\"\":{\"\":[]}}"),
    TEXT("{\"a\":1,\"a\":2}"),
    TEXT("{\"a\" : [ { \"b\" : null } , true ] , \"c\" : \"d\" }"),
    TEXT("\n\r\t 1\n\r\t "),
};

static void test_good(void)
{
    for (size_t i = 0; i < COUNT(good_texts); i++) {
        if (check(good_texts[i], 64) == JSON_OK)
            continue;
        show(good_texts[i]);
        CU_FAIL("refused");
    }
    CU_ASSERT_TRUE(json_valid(SLICE_LIT("[]"), 1));
}

static const struct slice bad_texts[] = {
    TEXT(""),
    TEXT(" "),
    TEXT("\0"),
    TEXT("-"),
    TEXT("+1"),
    TEXT("01"),
    TEXT("-01"),
    TEXT("00"),
    TEXT("1."),
    TEXT(".5"),
    TEXT("-.5"),
    TEXT("1.e5"),
    TEXT("1e"),
    TEXT("1e+"),
    TEXT("1ee5"),
    TEXT("1e5.0"),
    TEXT("0x10"),
    TEXT("1_000"),
    TEXT("--1"),
    TEXT("NaN"),
    TEXT("-NaN"),
    TEXT("Infinity"),
    TEXT("-Infinity"),
    TEXT("nan"),
    TEXT("inf"),
    TEXT("True"),
    TEXT("tru"),
    TEXT("truee"),
    TEXT("nul"),
    TEXT("undefined"),
    TEXT("'a'"),
    TEXT("a"),
    TEXT("\""),
    TEXT("\"a"),
    TEXT("\"12345678"),
    TEXT("\"\\\""),
    TEXT("\"\\a\""),
    TEXT("\"\\'\""),
    TEXT("\"\\0\""),
    TEXT("\"\\x41\""),
    TEXT("\"\\U0041\""),
    TEXT("\"\\u\""),
    TEXT("\"\\u004\""),
    TEXT("\"\\u004g\""),
    TEXT("\"\\u 041\""),
    TEXT("\"\\u+041\""),
    TEXT("\"\\u00"),
    TEXT("\"\\"),
    TEXT("\"\\ud83d\""),
    TEXT("\"\\ud83dx\""),
    TEXT("\"\\ud83d\\n\""),
    TEXT("\"\\ud83d\\u0041\""),
    TEXT("\"\\ud83d\\ud83d\""),
    TEXT("\"\\ude00\""),
    TEXT("\"\\ude00\\ud83d\""),
    TEXT("\"\\ud83d\\"),
    TEXT("\"\\ud83d\\u"),
    TEXT("\"\\ud83d\\ude0"),
    TEXT("\"a\nb\""),
    TEXT("\"a\tb\""),
    TEXT("\"a\0b\""),
    TEXT("\"\x1f\""),
    TEXT("\"\x80\""),
    TEXT("\"\xbf\""),
    TEXT("\"\xc0\x80\""),
    TEXT("\"\xc1\xbf\""),
    TEXT("\"\xc2\""),
    TEXT("\"\xc2"),
    TEXT("\"\xc2\xc0\""),
    TEXT("\"\xe0\x9f\xbf\""),
    TEXT("\"\xe0\xa0\""),
    TEXT("\"\xe1\x80\xc0\""),
    TEXT("\"\xed\xa0\x80\""),
    TEXT("\"\xed\xbf\xbf\""),
    TEXT("\"\xf0\x8f\xbf\xbf\""),
    TEXT("\"\xf0\x90\x80\""),
    TEXT("\"\xf1\x80\x80\x7f\""),
    TEXT("\"\xf4\x90\x80\x80\""),
    TEXT("\"\xf5\x80\x80\x80\""),
    TEXT("\"\xff\""),
    TEXT("\xff"),
    TEXT("\xef\xbb\xbf{}"),
    TEXT("\xc2\xa0{}"),
    TEXT("\f1"),
    TEXT("\v1"),
    TEXT("["),
    TEXT("]"),
    TEXT("[1"),
    TEXT("[1,"),
    TEXT("[,1]"),
    TEXT("[1,]"),
    TEXT("[1,,2]"),
    TEXT("[1 2]"),
    TEXT("[1;2]"),
    TEXT("[1}"),
    TEXT("{"),
    TEXT("}"),
    TEXT("{]"),
    TEXT("[}"),
    TEXT("{\"a\"}"),
    TEXT("{\"a\":}"),
    TEXT("{\"a\" 1}"),
    TEXT("{\"a\":1,}"),
    TEXT("{,\"a\":1}"),
    TEXT("{\"a\":1 \"b\":2}"),
    TEXT("{\"a\":1]"),
    TEXT("{a:1}"),
    TEXT("{1:1}"),
    TEXT("{null:1}"),
    TEXT("{'a':1}"),
    TEXT("{\"a\\\":1}"),
    TEXT("{\"a\":[1,2}"),
    TEXT("[{\"a\":1]}"),
    TEXT("{{"),
    TEXT("{}{}"),
    TEXT("{} x"),
    TEXT("1 2"),
    TEXT("[]]"),
    TEXT("/* c */1"),
    TEXT("1//"),
};

static void test_bad(void)
{
    for (size_t i = 0; i < COUNT(bad_texts); i++) {
        if (check(bad_texts[i], 64) == JSON_INVALID)
            continue;
        show(bad_texts[i]);
        CU_FAIL("accepted");
    }
}

/* A text that begins and ends with a bracket or quote has no good prefix. */
static void test_prefixes(void)
{
    struct slice text = SLICE_LIT(
        "{\"a\\u00e9\\ud83d\\ude00 \xf0\x9f\x98\x80\":[1.5e+3,-0,true,false,null,{},[],\"x\"],\"b\":{\"c\":[[\"\"]]}}");
    CU_ASSERT_EQUAL(check(text, 64), JSON_OK);
    for (size_t len = 0; len < text.len; len++)
        CU_ASSERT_EQUAL(check(slice_of(text.ptr, len), 64), JSON_INVALID);
}

static enum json_status status_with(char special, size_t at)
{
    char text[42];
    memset(text, 'x', sizeof text);
    text[0] = text[sizeof text - 1] = '"';
    text[at] = special;
    return json_check(slice_of(text, sizeof text), 1);
}

/* Eight bytes are looked at together: every special byte must be seen at every place. */
static void test_special_bytes_at_every_place(void)
{
    for (size_t at = 1; at < 41; at++) {
        for (int c = 0; c < 256; c++) {
            bool good = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
            CU_ASSERT_EQUAL(status_with((char)(unsigned char)c, at), good ? JSON_OK : JSON_INVALID);
        }
    }
}

static struct slice nested(char *room, size_t depth, bool objects)
{
    size_t len = 0;
    for (size_t i = 0; i < depth; i++) {
        if (objects)
            memcpy(room + len, "{\"a\":", 5);
        else
            room[len] = '[';
        len += objects ? 5 : 1;
    }
    room[len++] = '1';
    memset(room + len, objects ? '}' : ']', depth);
    return slice_of(room, len + depth);
}

static void test_depth(void)
{
    static char room[200000];
    for (int objects = 0; objects < 2; objects++) {
        CU_ASSERT_EQUAL(check(nested(room, 0, objects), 0), JSON_OK);
        CU_ASSERT_EQUAL(check(nested(room, 1, objects), 0), JSON_TOO_DEEP);
        CU_ASSERT_EQUAL(check(nested(room, 64, objects), 64), JSON_OK);
        CU_ASSERT_EQUAL(check(nested(room, 65, objects), 64), JSON_TOO_DEEP);
        CU_ASSERT_EQUAL(check(nested(room, JSON_DEPTH_LIMIT, objects), 1 << 20), JSON_OK);
        CU_ASSERT_EQUAL(check(nested(room, JSON_DEPTH_LIMIT + 1, objects), 1 << 20), JSON_TOO_DEEP);
        CU_ASSERT_EQUAL(check(nested(room, 30000, objects), 64), JSON_TOO_DEEP);
    }
    /* Side by side is not inside one another. */
    CU_ASSERT_EQUAL(check(SLICE_LIT("[[],[],[[],[]],{\"a\":{}}]"), 3), JSON_OK);
    CU_ASSERT_EQUAL(check(SLICE_LIT("[[],[],[[],[[]]]]"), 3), JSON_TOO_DEEP);
    /* What comes first is reported. */
    CU_ASSERT_EQUAL(check(SLICE_LIT("[nil,[[]]]"), 2), JSON_INVALID);
    CU_ASSERT_EQUAL(check(SLICE_LIT("[[[]],nil]"), 2), JSON_TOO_DEEP);
}

static void test_utf8(void)
{
    CU_ASSERT_TRUE(json_utf8(SLICE_NONE));
    CU_ASSERT_TRUE(json_utf8(SLICE_LIT("{{ \xc3\xa9 \xf0\x9f\x98\x80")));
    CU_ASSERT_FALSE(json_utf8(SLICE_LIT("{{ \xc3")));
    CU_ASSERT_FALSE(json_utf8(SLICE_LIT("\xed\xa0\x80")));
    CU_ASSERT_FALSE(json_utf8(SLICE_LIT("abcdefgh\xff")));
}

/* ---- members ---- */

enum { FUNC, TYPE, VALUE, KEYS };
static const struct slice keys[KEYS] = {TEXT("func"), TEXT("type"), TEXT("value")};

static bool value_is(const struct json_value *v, enum json_kind type, const char *text, int depth)
{
    return v->type == type && v->depth == depth && slice_eq(v->text, slice_str(text));
}

static enum json_status members(const char *text, struct json_value values[KEYS], enum json_kind *top)
{
    return json_members(slice_str(text), 64, keys, KEYS, values, top);
}

static void test_members(void)
{
    struct json_value v[KEYS];
    enum json_kind top;
    CU_ASSERT_EQUAL(members(" {\"func\" : \"set\" ,\"extra\":{\"type\":1},\"value\": [1, {\"a\":[2]} ] \n} ", v, &top),
                    JSON_OK);
    CU_ASSERT_EQUAL(top, JSON_OBJECT);
    CU_ASSERT_TRUE(value_is(&v[FUNC], JSON_STRING, "\"set\"", 0));
    CU_ASSERT_EQUAL(v[TYPE].type, JSON_ABSENT);
    CU_ASSERT_TRUE(value_is(&v[VALUE], JSON_ARRAY, "[1, {\"a\":[2]} ]", 3));

    CU_ASSERT_EQUAL(members("{\"func\":null,\"type\":false,\"value\":-1.50}", v, &top), JSON_OK);
    CU_ASSERT_TRUE(value_is(&v[FUNC], JSON_NULL, "null", 0));
    CU_ASSERT_TRUE(value_is(&v[TYPE], JSON_BOOL, "false", 0));
    CU_ASSERT_TRUE(value_is(&v[VALUE], JSON_NUMBER, "-1.50", 0));

    CU_ASSERT_EQUAL(members("{}", v, &top), JSON_OK);
    CU_ASSERT_EQUAL(v[FUNC].type, JSON_ABSENT);
}

static void test_members_last_wins(void)
{
    struct json_value v[KEYS];
    enum json_kind top;
    CU_ASSERT_EQUAL(members("{\"func\":1,\"value\":{},\"func\":[],\"value\":\"x\"}", v, &top), JSON_OK);
    CU_ASSERT_TRUE(value_is(&v[FUNC], JSON_ARRAY, "[]", 1));
    CU_ASSERT_TRUE(value_is(&v[VALUE], JSON_STRING, "\"x\"", 0));
}

static void test_members_with_escaped_keys(void)
{
    struct json_value v[KEYS];
    enum json_kind top;
    CU_ASSERT_EQUAL(
        members("{\"\\u0066unc\":1,\"\\u0074\\u0079\\u0070\\u0065\":2,\"val\\u0075e\\u0000\":3,\"v\\/alue\":4}", v,
                &top),
        JSON_OK);
    CU_ASSERT_TRUE(value_is(&v[FUNC], JSON_NUMBER, "1", 0));
    CU_ASSERT_TRUE(value_is(&v[TYPE], JSON_NUMBER, "2", 0));
    CU_ASSERT_EQUAL(v[VALUE].type, JSON_ABSENT);
    CU_ASSERT_EQUAL(members("{\"\\u0066unc and much more than any of the keys could ever be, escaped\":1}", v, &top),
                    JSON_OK);
    CU_ASSERT_EQUAL(v[FUNC].type, JSON_ABSENT);
}

static void test_members_of_something_else(void)
{
    static const struct {
        const char *text;
        enum json_kind top;
    } cases[] = {{"[{\"func\":1}]", JSON_ARRAY},
                 {"\"func\"", JSON_STRING},
                 {" 12 ", JSON_NUMBER},
                 {"true", JSON_BOOL},
                 {"null", JSON_NULL}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_value v[KEYS];
        enum json_kind top = JSON_ABSENT;
        CU_ASSERT_EQUAL(members(cases[i].text, v, &top), JSON_OK);
        CU_ASSERT_EQUAL(top, cases[i].top);
    }
}

/* Whatever json_check says of a text, json_members says too. */
static void test_members_agree_with_check(void)
{
    static char room[8000];
    struct json_value v[KEYS];
    enum json_kind top;
    for (size_t i = 0; i < COUNT(bad_texts); i++)
        CU_ASSERT_EQUAL(json_members(bad_texts[i], 64, keys, KEYS, v, &top), JSON_INVALID);
    for (size_t i = 0; i < COUNT(good_texts); i++)
        CU_ASSERT_EQUAL(json_members(good_texts[i], 64, keys, KEYS, v, &top), JSON_OK);
    struct slice deepest = nested(room, JSON_DEPTH_LIMIT, false);
    CU_ASSERT_EQUAL(json_members(deepest, JSON_DEPTH_LIMIT * 2, keys, KEYS, v, &top), JSON_OK);
    deepest = nested(room, JSON_DEPTH_LIMIT + 1, false);
    CU_ASSERT_EQUAL(json_members(deepest, JSON_DEPTH_LIMIT * 2, keys, KEYS, v, &top), JSON_TOO_DEEP);
    for (int max = 0; max < 5; max++)
        for (size_t depth = 0; depth < 6; depth++)
            for (int objects = 0; objects < 2; objects++) {
                struct slice text = nested(room, depth, objects);
                CU_ASSERT_EQUAL(json_members(text, max, keys, KEYS, v, &top), json_check(text, max));
            }
}

static void test_elements(void)
{
    struct json_value v[KEYS];
    struct slice rest = SLICE_LIT("[ {\"func\":1,\"value\":[[]]} ,{},3, \"]\",[4,{\"func\":5}] ,null ]");
    CU_ASSERT_EQUAL(json_next(&rest, keys, KEYS, v), JSON_OBJECT);
    CU_ASSERT_TRUE(value_is(&v[FUNC], JSON_NUMBER, "1", 0));
    CU_ASSERT_TRUE(value_is(&v[VALUE], JSON_ARRAY, "[[]]", 2));
    CU_ASSERT_EQUAL(json_next(&rest, keys, KEYS, v), JSON_OBJECT);
    CU_ASSERT_EQUAL(v[FUNC].type, JSON_ABSENT);
    static const enum json_kind more[] = {JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_NULL, JSON_ABSENT, JSON_ABSENT};
    for (size_t i = 0; i < COUNT(more); i++)
        CU_ASSERT_EQUAL(json_next(&rest, keys, KEYS, v), more[i]);
    static const char *const empty[] = {"[]", "[ ]", "", "1", "{}"};
    for (size_t i = 0; i < COUNT(empty); i++) {
        rest = slice_str(empty[i]);
        CU_ASSERT_EQUAL(json_next(&rest, keys, KEYS, v), JSON_ABSENT);
    }
}

/* ---- strings ---- */

static const struct {
    struct slice text, decoded;
} strings[] = {
    {TEXT("\"\""), TEXT("")},
    {TEXT("\"plain \xc3\xa9\""), TEXT("plain \xc3\xa9")},
    {TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), TEXT("\"\\/\b\f\n\r\t")},
    {TEXT("\"\\u0041\\u00e9\\u20AC\""), TEXT("A\xc3\xa9\xe2\x82\xac")},
    {TEXT("\"\\ud83d\\ude00\""), TEXT("\xf0\x9f\x98\x80")},
    {TEXT("\"\\uDBFF\\uDFFF\""), TEXT("\xf4\x8f\xbf\xbf")},
    {TEXT("\"\\uD800\\uDC00\""), TEXT("\xf0\x90\x80\x80")},
    {TEXT("\"a\\u0000b\""), TEXT("a\0b")},
    {TEXT("\"\\\\u0041\""), TEXT("\\u0041")},
    {TEXT("\"\\uffff\\ue000\\ud7ff\""), TEXT("\xef\xbf\xbf\xee\x80\x80\xed\x9f\xbf")},
    {TEXT("\"\xf0\x9f\x98\x80\\n\""), TEXT("\xf0\x9f\x98\x80\n")},
};

static void test_decoding(void)
{
    struct buf scratch;
    buf_init(&scratch, 1000);
    for (size_t i = 0; i < COUNT(strings); i++) {
        struct slice out = SLICE_NONE, want = strings[i].decoded;
        CU_ASSERT_EQUAL(check(strings[i].text, 0), JSON_OK);
        bool good = json_string(strings[i].text, want.len, &scratch, &out) && slice_eq(out, want);
        if (!good)
            show(strings[i].text);
        CU_ASSERT_TRUE(good);
        if (want.len > 0)
            CU_ASSERT_FALSE(json_string(strings[i].text, want.len - 1, &scratch, &out));
        buf_reset(&scratch);
    }
    buf_deinit(&scratch);
}

static void test_decoding_borrows_what_it_can(void)
{
    struct buf scratch;
    struct slice out, text = SLICE_LIT("\"abc\"");
    buf_init(&scratch, 3);
    CU_ASSERT_TRUE(json_string(text, 10, &scratch, &out));
    CU_ASSERT_PTR_EQUAL(out.ptr, text.ptr + 1);
    CU_ASSERT_EQUAL(scratch.len, 0);
    CU_ASSERT_TRUE(json_string(SLICE_LIT("\"a\\nb\""), 10, &scratch, &out));
    CU_ASSERT_EQUAL(scratch.len, 3);
    CU_ASSERT_FALSE(json_string(SLICE_LIT("\"\\n\""), 10, &scratch, &out)); /* scratch is full */
    buf_deinit(&scratch);
}

static void test_quoting(void)
{
    static const struct {
        struct slice utf8, text;
    } cases[] = {
        {TEXT(""), TEXT("\"\"")},
        {TEXT("a/b \xc3\xa9 \x7f"), TEXT("\"a/b \xc3\xa9 \x7f\"")},
        {TEXT("\"\\"), TEXT("\"\\\"\\\\\"")},
        {TEXT("\b\f\n\r\t"), TEXT("\"\\b\\f\\n\\r\\t\"")},
        {TEXT("\0\x01\x0b\x0e\x1f"), TEXT("\"\\u0000\\u0001\\u000b\\u000e\\u001f\"")},
        {TEXT("\xe2\x80\xa8"), TEXT("\"\xe2\x80\xa8\"")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b;
        buf_init(&b, 1000);
        json_quote(&b, cases[i].utf8);
        CU_ASSERT_TRUE(slice_eq(buf_slice(&b), cases[i].text));
        CU_ASSERT_EQUAL(json_check(buf_slice(&b), 0), JSON_OK);
        buf_deinit(&b);
    }
}

/* Every code point survives quoting and decoding. */
static void test_quoting_round_trip(void)
{
    struct buf quoted, decoded;
    buf_init(&quoted, 100);
    buf_init(&decoded, 100);
    for (uint32_t c = 0; c < 0x800; c++) {
        char raw[2] = {(char)(unsigned char)(c < 0x80 ? c : 0xc0 | c >> 6), (char)(unsigned char)(0x80 | (c & 0x3f))};
        struct slice utf8 = slice_of(raw, c < 0x80 ? 1 : 2), out = SLICE_NONE;
        buf_reset(&quoted);
        buf_reset(&decoded);
        json_quote(&quoted, utf8);
        bool good = json_string(buf_slice(&quoted), 2, &decoded, &out) && slice_eq(out, utf8) &&
                    json_id_canonical(buf_slice(&quoted), 2);
        if (!good)
            printf("\n    code point %u\n", (unsigned)c);
        CU_ASSERT_TRUE(good);
    }
    buf_deinit(&quoted);
    buf_deinit(&decoded);
}

/* ---- integers ---- */

static const struct {
    const char *text;
    bool good;
    int64_t value;
} integers[] = {
    {"0", true, 0},
    {"-0", true, 0},
    {"-0.0e5", true, 0},
    {"0e400", true, 0},
    {"0.000", true, 0},
    {"7", true, 7},
    {"-7", true, -7},
    {"1.0", true, 1},
    {"1.000", true, 1},
    {"1e0", true, 1},
    {"1E+2", true, 100},
    {"10e-1", true, 1},
    {"1200e-2", true, 12},
    {"1.5e1", true, 15},
    {"1.25e2", true, 125},
    {"0.003e3", true, 3},
    {"0.0030e4", true, 30},
    {"1.5", false, 0},
    {"1e-1", false, 0},
    {"15e-1", false, 0},
    {"0.001", false, 0},
    {"1.25e1", false, 0},
    {"1e-400", false, 0},
    {"1e-99999999999999999999", false, 0},
    {"9223372036854775807", true, INT64_MAX},
    {"9223372036854775807.0", true, INT64_MAX},
    {"9223372036854775807.1", false, 0},
    {"9223372036854775808", true, INT64_MAX},
    {"-9223372036854775808", true, INT64_MIN},
    {"-9223372036854775809", true, INT64_MIN},
    {"9999999999999999999", true, INT64_MAX},
    {"18446744073709551616", true, INT64_MAX},
    {"-1e19", true, INT64_MIN},
    {"1e18", true, 1000000000000000000},
    {"1e30", true, INT64_MAX},
    {"1e308", true, INT64_MAX},
    {"-1e308", true, INT64_MIN},
    {"1e309", false, 0},
    {"1e400", false, 0},
    {"-1e400", false, 0},
    {"1e999999999999999999999999", false, 0},
    {"0.0000000001e310", true, INT64_MAX},
};

static void test_integers(void)
{
    for (size_t i = 0; i < COUNT(integers); i++) {
        int64_t n = 42;
        bool good = json_integer(slice_str(integers[i].text), &n);
        bool right = good == integers[i].good && (!good || n == integers[i].value);
        if (!right)
            show(slice_str(integers[i].text));
        CU_ASSERT_TRUE(right);
    }
}

/* Long texts must not overflow anything. */
static void test_long_integers(void)
{
    static char text[5000];
    int64_t n;
    memset(text, '9', sizeof text);
    CU_ASSERT_FALSE(json_integer(slice_of(text, sizeof text), &n)); /* like 1e400 */
    CU_ASSERT_TRUE(json_integer(slice_of(text, 300), &n));
    CU_ASSERT_EQUAL(n, INT64_MAX);
    memset(text, '0', sizeof text);
    text[1] = '.';
    CU_ASSERT_TRUE(json_integer(slice_of(text, sizeof text), &n));
    CU_ASSERT_EQUAL(n, 0);
    memcpy(text + sizeof text - 7, "1e+4992", 7); /* 4 991 zeros behind the point, then a 1 */
    CU_ASSERT_TRUE(json_integer(slice_of(text, sizeof text), &n));
    CU_ASSERT_EQUAL(n, 1);
}

/* ---- ids ---- */

static const struct {
    struct slice text;
    enum json_id_result result;
    struct slice canonical;
} ids[] = {
    {TEXT("1"), JSON_ID_OK, TEXT("1")},
    {TEXT("-1"), JSON_ID_OK, TEXT("-1")},
    {TEXT("0"), JSON_ID_OK, TEXT("0")},
    {TEXT("-0"), JSON_ID_OK, TEXT("0")},
    {TEXT("1.0"), JSON_ID_OK, TEXT("1")},
    {TEXT("1e0"), JSON_ID_OK, TEXT("1")},
    {TEXT("-2.50e1"), JSON_ID_OK, TEXT("-25")},
    {TEXT("12345678901234567890"), JSON_ID_OK, TEXT("12345678901234567890")},
    {TEXT("123456789012345678901"), JSON_ID_LENGTH, TEXT("")}, /* 21 bytes where 20 are allowed */
    {TEXT("12345678901234567890.0"), JSON_ID_TYPE, TEXT("")},
    {TEXT("1e19"), JSON_ID_TYPE, TEXT("")},
    {TEXT("1.5"), JSON_ID_TYPE, TEXT("")},
    {TEXT("1e400"), JSON_ID_TYPE, TEXT("")},
    {TEXT("null"), JSON_ID_TYPE, TEXT("")},
    {TEXT("true"), JSON_ID_TYPE, TEXT("")},
    {TEXT("{}"), JSON_ID_TYPE, TEXT("")},
    {TEXT("[]"), JSON_ID_TYPE, TEXT("")},
    {TEXT("\"\""), JSON_ID_LENGTH, TEXT("")},
    {TEXT("\"1\""), JSON_ID_OK, TEXT("\"1\"")},
    {TEXT("\"a\""), JSON_ID_OK, TEXT("\"a\"")},
    {TEXT("\"a\\/b\""), JSON_ID_OK, TEXT("\"a/b\"")},
    {TEXT("\"\\u0061\""), JSON_ID_OK, TEXT("\"a\"")},
    {TEXT("\"\\u00e9\""), JSON_ID_OK, TEXT("\"\xc3\xa9\"")},
    {TEXT("\"\\u000A\\u001F\\u0022\""), JSON_ID_OK, TEXT("\"\\n\\u001f\\\"\"")},
    {TEXT("\"\\u0000\""), JSON_ID_OK, TEXT("\"\\u0000\"")},
    {TEXT("\"12345678901234567890\""), JSON_ID_OK, TEXT("\"12345678901234567890\"")},
    {TEXT("\"123456789012345678901\""), JSON_ID_LENGTH, TEXT("")},
    {TEXT("\"1234567890123456789\\n\""), JSON_ID_OK, TEXT("\"1234567890123456789\\n\"")},
    {TEXT("\"1234567890123456789\\u00e9\""), JSON_ID_LENGTH, TEXT("")},
    {TEXT("\"\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001"
          "\\u0001\\u0001\\u0001\\u0001\\u0001\""),
     JSON_ID_OK,
     TEXT("\"\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001\\u0001"
          "\\u0001\\u0001\\u0001\\u0001\\u0001\"")},
};

static void test_ids(void)
{
    struct buf scratch;
    buf_init(&scratch, 1000);
    for (size_t i = 0; i < COUNT(ids); i++) {
        struct slice rest, out = SLICE_NONE;
        struct json_value v[1];
        enum json_kind top;
        char message[300];
        int len = snprintf(message, sizeof message, "{\"id\":%.*s}", (int)ids[i].text.len, ids[i].text.ptr);
        rest = slice_of(message, (size_t)len);
        CU_ASSERT_EQUAL(json_members(rest, 8, &SLICE_LIT("id"), 1, v, &top), JSON_OK);
        enum json_id_result result = json_id(v, 20, &scratch, &out);
        bool right = result == ids[i].result && slice_eq(out, ids[i].canonical);
        if (!right)
            show(ids[i].text);
        CU_ASSERT_TRUE(right);
        CU_ASSERT_EQUAL(json_id_canonical(ids[i].text, 20),
                        result == JSON_ID_OK && slice_eq(ids[i].text, ids[i].canonical));
        if (result == JSON_ID_OK)
            CU_ASSERT_TRUE(json_id_canonical(out, 20));
        buf_reset(&scratch);
    }
    buf_deinit(&scratch);
}

/* An integer that is longer in canonical form than as written. */
static void test_id_grows(void)
{
    struct json_value v = {.text = SLICE_LIT("1e9"), .type = JSON_NUMBER};
    struct slice id = SLICE_NONE;
    struct buf scratch;
    buf_init(&scratch, 100);
    CU_ASSERT_EQUAL(json_id(&v, 9, &scratch, &id), JSON_ID_LENGTH);
    CU_ASSERT_PTR_NULL(id.ptr);
    CU_ASSERT_EQUAL(json_id(&v, 10, &scratch, &id), JSON_ID_OK);
    CU_ASSERT_TRUE(slice_eq(id, SLICE_LIT("1000000000")));
    buf_deinit(&scratch);
}

static void test_not_canonical(void)
{
    static const struct slice cases[] = {
        TEXT(""),
        TEXT("a"),
        TEXT("-"),
        TEXT("01"),
        TEXT(" 1"),
        TEXT("1 "),
        TEXT("\"a"),
        TEXT("a\""),
        TEXT("\"a\" "),
        TEXT("\"a\"b\""),
        TEXT("\""),
        TEXT("\"\\u001F\""),
        TEXT("\"\n\""),
        TEXT("\"\xff\""),
        TEXT("\"\\u0022\""),
        TEXT("\"\\u000a\""),
        TEXT("\"\\u007f\""),
        TEXT("\"\\u0020\""),
        TEXT("\"\\/\""),
        TEXT("\"\\u00"),
        TEXT("\"\\ud83d\\ude00\""),
        TEXT("1.0"),
        TEXT("\"\\"),
        TEXT("\"\\x\""),
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice copy = heap(cases[i]);
        if (json_id_canonical(copy, 256)) {
            show(copy);
            CU_FAIL("accepted");
        }
        free((void *)copy.ptr);
    }
    CU_PASS("all refused");
}

UNIT_MAIN("protocol/json", UNIT(test_good), UNIT(test_bad), UNIT(test_prefixes),
          UNIT(test_special_bytes_at_every_place), UNIT(test_depth), UNIT(test_utf8), UNIT(test_members),
          UNIT(test_members_last_wins), UNIT(test_members_with_escaped_keys), UNIT(test_members_of_something_else),
          UNIT(test_members_agree_with_check), UNIT(test_elements), UNIT(test_decoding),
          UNIT(test_decoding_borrows_what_it_can), UNIT(test_quoting), UNIT(test_quoting_round_trip),
          UNIT(test_integers), UNIT(test_long_integers), UNIT(test_ids), UNIT(test_id_grows), UNIT(test_not_canonical))
