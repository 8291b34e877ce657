/* Commas, brackets, and bytes of any origin as text. */
#include "gateway/base/jsonw.h"
#include "protocol/json.h"
#include "tests/unit/unit.h"

static void test_structure(void)
{
    struct buf out;
    buf_init(&out, 4096);
    struct jsonw w = {.out = &out};
    jsonw_open(&w, NULL, '{');
    jsonw_i64(&w, "n", INT64_MIN);
    jsonw_open(&w, "empty", '[');
    jsonw_close(&w, ']');
    jsonw_open(&w, "list", '[');
    jsonw_bool(&w, NULL, true);
    jsonw_open(&w, NULL, '{');
    jsonw_close(&w, '}');
    jsonw_raw(&w, NULL, SLICE_LIT("5.00"));
    jsonw_close(&w, ']');
    jsonw_str(&w, "last", "");
    jsonw_close(&w, '}');
    static const char expected[] = "{\"n\":-9223372036854775808,\"empty\":[],\"list\":[true,{},5.00],\"last\":\"\"}";
    CU_ASSERT_TRUE(slice_eq(buf_slice(&out), SLICE_LIT(expected)));
    CU_ASSERT_TRUE(json_valid(buf_slice(&out), 8));
    buf_deinit(&out);
}

static void test_text(void)
{
    static const struct {
        struct slice in, out;
    } cases[] = {
        {{"plain", 5}, {"\"plain\"", 7}},
        {{"a\"b\\", 4}, {"\"a\\\"b\\\\\"", 8}},
        {{"\n\t", 2}, {"\"\\n\\t\"", 6}},
        {{"\xC3\xA9", 2}, {"\"\xC3\xA9\"", 4}},
        {{"\0", 1}, {"\"\xEF\xBF\xBD\"", 5}},
        {{"\xC3", 1}, {"\"\xEF\xBF\xBD\"", 5}},                                  /* cut */
        {{"\xED\xA0\x80", 3}, {"\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"", 11}}, /* a surrogate */
        {{NULL, 0}, {"\"\"", 2}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf out;
        buf_init(&out, 4096);
        struct jsonw w = {.out = &out};
        jsonw_text(&w, NULL, cases[i].in);
        CU_ASSERT_TRUE(slice_eq(buf_slice(&out), cases[i].out));
        CU_ASSERT_TRUE(json_valid(buf_slice(&out), 1));
        buf_deinit(&out);
    }
}

/* Every byte alone, and every pair with it, is valid JSON afterwards. */
static void test_any_bytes(void)
{
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            char bytes[] = {(char)a, (char)b};
            struct buf out;
            buf_init(&out, 64);
            struct jsonw w = {.out = &out};
            jsonw_text(&w, NULL, slice_of(bytes, 2));
            if (out.failed || !json_valid(buf_slice(&out), 1))
                CU_FAIL("not JSON");
            buf_deinit(&out);
        }
}

UNIT_MAIN("gateway/base/jsonw", UNIT(test_structure), UNIT(test_text), UNIT(test_any_bytes))
